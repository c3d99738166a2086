"""Where a run takes place: Google Cloud as the environment says, or something that plugs in.

A target is an entry point of the group `dmz.targets`. Nothing here knows of any by name, but for the one that
is the environment as it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Final, Protocol

from dmz.errors import InputError

GOOGLE: Final = "google"
"""The environment as it is: the Pulumi CLI, a backend that is logged in, ambient Google credentials."""
DEFAULT: Final = "sandbox"


class Target(Protocol):
    """Something that can stand in for Google Cloud."""

    def up(self, progress: Callable[[str], None]) -> dict[str, str]:
        """Bring it up, unless it is; returns the environment variables that lead to it.

        Raises:
            RuntimeError: it can't come up here; the text is one line that says why and what to do.
        """
        ...


def names() -> list[str]:
    """The targets that there are."""
    return sorted({GOOGLE, *(point.name for point in entry_points(group="dmz.targets"))})


def enter(name: str, progress: Callable[[str], None]) -> None:
    """Make this process's environment lead to the target; brings it up if it has to be.

    Raises:
        InputError: there is no such target, or it can't come up here.
    """
    if name == GOOGLE:
        return
    for point in entry_points(group="dmz.targets", name=name):
        target: Target = point.load()()
        try:
            os.environ.update(target.up(progress))
        except RuntimeError as error:
            raise InputError(f"target {name}: {error}") from error
        return
    raise InputError(f"--target {name}: there is no such target; choose one of {', '.join(names())}")
