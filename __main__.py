"""The Pulumi program: reads the configuration and declares the side it names."""

import pulumi

from dmz.config import Side
from dmz.errors import DmzError
from dmz.stacks import inner, outer
from dmz.stacks.settings import load


async def main() -> None:
    """Declare one side; what a person has to mend ends the program with one line."""
    try:
        settings = load()
        await (inner if settings.side is Side.INNER else outer).declare(settings)
    except DmzError as error:
        raise pulumi.RunError(str(error)) from None


pulumi.run(main)
