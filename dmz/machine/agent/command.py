"""Running apt, dpkg and pip so that a failure says in one line what went wrong."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

_TELLING = ("e:", "error", "expected sha256", "got ")
"""How the lines begin that say what was wrong: apt's and pip's errors, and pip's digests that differ."""


class StepError(Exception):
    """A step of the agent that did not work; its text is one line."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split())[:2000])


class CommandError(StepError):
    """A program that ended with an error."""

    def __init__(self, message: str, said: str) -> None:
        super().__init__(message)
        self.said = said
        """All that it said, in its own lines."""


def run(
    arguments: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    text: str | None = None,
) -> str:
    """Run a program and return what it wrote to standard output.

    Args:
        text: its standard input; None for that of the agent.

    Raises:
        CommandError: it ended with an error; the text has the last lines of what it said.
    """
    ended = subprocess.run(
        list(arguments),
        env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
        cwd=cwd,
        input=text,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if ended.returncode:
        said = (ended.stderr.strip() or ended.stdout.strip()).splitlines()
        errors = [line.strip() for line in said if line.lower().lstrip().startswith(_TELLING)] or said[-4:]
        raise CommandError(
            f"{' '.join(arguments[:3])} ended with {ended.returncode}: {' / '.join(errors[-4:])}",
            f"{ended.stdout}\n{ended.stderr}",
        )
    return ended.stdout
