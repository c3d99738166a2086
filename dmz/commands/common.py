"""What all commands share: the setting of a call, its options, and how it ends.

Exit codes: 0 as asked; 1 something did not work; 2 bad input, nothing was changed; 3 refused by screening or
by a check; 4 verified and found different, or a way out of the sealed network.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from dmz import targets
from dmz.console import Steps
from dmz.errors import DmzError, InputError, RefusedError
from dmz.promotion.wording import printable
from dmz.workflow.claims import PATIENCE
from dmz.workflow.estate import Estate
from dmz.workflow.refused import ScreeningRefusedError

if TYPE_CHECKING:  # every command imports this, and few the rest
    from dmz.promotion.summary import Refusal

FAILED: Final = 1
BAD_INPUT: Final = 2
REFUSED: Final = 3
DIFFERENT: Final = 4

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as JSON on standard output."
)
workload_option = click.option(
    "--workload",
    type=click.Path(path_type=Path),
    help="Another workload file of the checkout than the stack's own: its release goes inside as well.",
)
patience_option = click.option(
    "--patience",
    type=click.FloatRange(min=0),
    default=PATIENCE,
    show_default=True,
    help="Seconds to wait for a machine.",
)


class Setting:
    """The target and the estate of one call; the target is entered when a command needs it."""

    def __init__(self, target: str, estate: Estate) -> None:
        self.target = target
        self._estate = estate

    def checkout(self) -> Estate:
        """The estate as the checkout has it, for what can be answered without the target."""
        if not (self._estate.folder / "Pulumi.yaml").exists():
            raise InputError(f"{self._estate.folder} has no Pulumi.yaml; go to the checkout, or use -C")
        # The program reads the workload and the releases relative to Pulumi.yaml, and so do the commands.
        os.chdir(self._estate.folder)
        # Bad configuration is said before anything comes up.
        self._estate.check()
        return self._estate

    def entered(self, steps: Steps) -> Estate:
        """The estate, with the environment leading to the target."""
        estate = self.checkout()
        with steps.step("target", f"Target: {self.target}") as step:
            targets.enter(self.target, step.say)
        return estate


@contextmanager
def told(as_json: bool) -> Iterator[None]:
    """Ends the program with one line and the exit code that fits, whatever the project's own error was."""
    try:
        yield
    except ScreeningRefusedError as error:
        end(REFUSED, str(error), as_json, {"refused": refusals(error.refusals)})
    except InputError as error:
        end(BAD_INPUT, str(error), as_json)
    except RefusedError as error:
        end(REFUSED, str(error), as_json)
    except DmzError as error:
        end(FAILED, str(error), as_json)
    except OSError as error:
        # A full disk, a file that may not be read: no fault of the program, so no traceback of it.
        where = f"{printable(str(error.filename), 120)}: " if error.filename else ""
        end(FAILED, f"{where}{printable(error.strerror or str(error))}; mend that, then run again", as_json)


def end(code: int, message: str, as_json: bool, more: dict[str, Any] | None = None) -> NoReturn:
    """End the program with one line and an exit code."""
    if as_json:
        print_json({"error": message, **(more or {})})
    click.secho(f"dmz: {message}", fg="red", err=True)
    sys.exit(code)


def unseen(why: str) -> str:
    """That a look at what was withdrawn at once was not possible, as a line for a person."""
    return f"What was withdrawn at once can't be seen from here, so only the sync refuses it: {why}"


def print_json(document: dict[str, Any]) -> None:
    """The result of a command, for scripts."""
    click.echo(json.dumps(document, indent=2))


def refusals(found: Iterable[Refusal]) -> list[dict[str, Any]]:
    """Refusals, for scripts."""
    return [each.document() for each in found]
