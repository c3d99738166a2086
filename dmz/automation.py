"""The two stacks through the Pulumi Automation API, as `dmz run` and CI use them.

Source: https://www.pulumi.com/docs/iac/automation-api/
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Final, Literal

from pulumi import automation

from dmz.errors import DmzError, InputError
from dmz.promotion.wording import printable

Say = Callable[[str], None]

_ERROR: Final = re.compile(r"^\s*(?:stderr:\s*)?(?:error|pulumi:.*\berror):\s*(.+)$", re.IGNORECASE)
_NEXT: Final = re.compile(r"^\s*(?:$|(?:error|warning|stderr):)")
"""What a message that goes on over several lines ends before."""
_VERDICT: Final = re.compile(r"(?:update|preview|refresh|destroy) failed")
"""That it failed, which is no reason."""
_BRIDGE: Final = re.compile(r"^sdk-v2/\S+ sdk\.helper_schema: |: provider=\S+$")
"""What bridged providers put around their messages."""
_LINE: Final = 800
"""Characters that a reason may have."""
_CHANGES: Final = ("create", "update", "replace", "delete", "create-replacement", "delete-replaced")


def engine() -> Literal["cli", "embedded"]:
    """Which engine answers to `pulumi` on PATH.

    Raises:
        InputError: there is none.
    """
    if shutil.which("pulumi") is None:
        raise InputError("there is no pulumi on PATH: install its CLI, or use the sandbox (dmz sandbox up)")
    said = subprocess.run(["pulumi", "version"], capture_output=True, text=True, check=False).stdout
    return "embedded" if "embedded" in said else "cli"


def reason(output: str) -> str:
    """The one line of an engine's output that says what went wrong."""
    lines = output.rpartition("Diagnostics:\n")[2].splitlines()
    found = [
        _one_line(match.group(1), list(takewhile(lambda line: not _NEXT.match(line), lines[at + 1 :])))
        for at, line in enumerate(lines)
        if (match := _ERROR.match(line))
    ]
    told = [line for line in found if not _VERDICT.match(line)]
    last = [line.strip() for line in lines if line.strip()][-1:]
    return (told or found or last or ["the engine gave no reason"])[0]


def _one_line(first: str, more: Sequence[str]) -> str:
    """A message of several lines as one: of a traceback its last line, and nothing that is said twice."""
    more = [line.strip() for line in more]
    if "Traceback (most recent call last):" in more:
        more = more[-1:]
    words = [_BRIDGE.sub("", first.strip()), *(line for line in more if not line.startswith("* "))]
    return printable(" ".join(words), _LINE)


@dataclass(frozen=True)
class Changes:
    """What an operation did, or would do."""

    counts: Mapping[str, int]
    """Number of resources by operation (`create`, `update`, `same`, …)."""
    text: str
    """What the engine printed."""

    @property
    def any(self) -> bool:
        """Whether anything at all changed."""
        return any(self.counts.get(name) for name in _CHANGES)

    def __str__(self) -> str:
        """One phrase: `12 create, 3 update`, or `nothing changed`."""
        if not self.any:
            return "nothing changed"
        return ", ".join(f"{self.counts[name]} {name}" for name in _CHANGES if self.counts.get(name))


class Stack:
    """One stack of this program."""

    def __init__(self, name: str, folder: Path) -> None:
        """Find the stack; one that is not there yet is made when something is first done to it.

        Raises:
            InputError: it has no configuration.
        """
        self.name = name
        self._folder = folder
        self._known: automation.Stack | None = None
        if not (folder / f"Pulumi.{name}.yaml").exists():
            raise InputError(
                f"Pulumi.{name}.yaml: there is no such file; write the stack's configuration first"
            )
        with _told(name), suppress(automation.StackNotFoundError):
            self._known = automation.select_stack(stack_name=name, work_dir=str(folder))

    @property
    def _stack(self) -> automation.Stack:
        if self._known is None:
            self._known = automation.create_stack(stack_name=self.name, work_dir=str(self._folder))
        return self._known

    def up(self, say: Say) -> Changes:
        """Make the stack's resources what the program declares."""
        with _told(self.name):
            done = self._stack.up(on_output=say, color="never", show_secrets=False)
        return Changes(_counts(done.summary.resource_changes), done.stdout)

    def preview(self, say: Say) -> Changes:
        """What `up` would do, with each package that would change."""
        with _told(self.name):
            shown = self._stack.preview(on_output=say, diff=True, color="never")
        return Changes(_counts(shown.change_summary), shown.stdout)

    def refresh(self, say: Say) -> Changes:
        """Read what is really there; only this finds what changed behind our back."""
        with _told(self.name):
            done = self._stack.refresh(on_output=say, color="never")
        return Changes(_counts(done.summary.resource_changes), done.stdout)

    def destroy(self, say: Say) -> Changes:
        """Remove the stack's resources."""
        with _told(self.name):
            done = self._stack.destroy(on_output=say, color="never")
        return Changes(_counts(done.summary.resource_changes), done.stdout)

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs as plain values; empty before its first `up`."""
        if self._known is None:
            return {}
        with _told(self.name):
            return {name: output.value for name, output in self._stack.outputs().items()}

    def resources(self, kind: str = "") -> list[Mapping[str, Any]]:
        """The resources in the stack's state as the checkpoint has them; of one type if `kind` names it."""
        if self._known is None:
            return []
        with _told(self.name):
            state = self._stack.export_stack().deployment or {}
        found: list[Mapping[str, Any]] = state.get("resources") or []
        return [each for each in found if not kind or each["type"] == kind]


def _counts(found: Mapping[Any, int] | None) -> dict[str, int]:
    return {str(getattr(name, "value", name)): count for name, count in (found or {}).items()}


@contextmanager
def _told(stack: str) -> Iterator[None]:
    """Turn an engine's failure into one line that names the stack."""
    try:
        yield
    except automation.CommandError as error:
        raise DmzError(f"stack {stack}: {reason(str(error))}") from error
