"""What the journal says of whole runs: what each meant to do, did, and whether it came to an end."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from dmz.promotion.journal import Action, Entry, Event, Lines, begun, described, shown
from dmz.promotion.plan import Plan
from dmz.promotion.wording import printable


class State(StrEnum):
    """How a run stands."""

    RUNNING = "running"
    ENDED = "ended"
    FAILED = "failed"
    KILLED = "killed"


@dataclass(frozen=True)
class Run:
    """One run, as its first and its last entries tell."""

    name: str
    state: State
    who: str
    said: Mapping[str, str]
    """What the environment said of who ran it, which anybody can set."""
    doing: str
    """`sync`, `shard 3 of 8`, `withdraw` or `undo`."""
    releases: Mapping[str, str]
    """Digest by workload."""
    copied: int | None
    """None: not known."""
    withdrawn: int | None
    bytes: int | None
    note: str
    """Why it failed."""

    @property
    def at(self) -> datetime:
        """When it began."""
        return begun(self.name)


def run(name: str, told: Iterable[Entry], *, alive: bool) -> Run:
    """A run from those of its entries that tell of the whole: the first, the last, the last `COPIED`.

    Args:
        alive: whether it holds a lease.
    """
    told = sorted(told, key=lambda entry: entry.number)
    by_action = {entry.action: entry for entry in told}
    first = next((entry for entry in told if entry.action is Action.BEGAN), None)
    details = first.details if first else {}
    ended, failed = by_action.get(Action.ENDED), by_action.get(Action.FAILED)
    state = State.ENDED if ended else State.FAILED if failed else State.RUNNING if alive else State.KILLED
    last = ended or failed or by_action.get(Action.COPIED)
    counted: Mapping[str, Any] = last.details if last else {}
    return Run(
        name,
        state,
        _text(details.get("who")) or "unknown",
        _texts(details.get("said")),
        _text(details.get("doing")) or "unknown",
        _texts(details.get("releases")),
        _count(counted.get("copied")),
        _count(counted.get("withdrawn")),
        _count(counted.get("bytes")),
        printable(failed.note, 500) if failed else "",
    )


def _text(value: object) -> str:
    return printable(value, 200) if isinstance(value, str) else ""


def _texts(value: object) -> dict[str, str]:
    return {_text(key): _text(each) for key, each in value.items()} if isinstance(value, dict) else {}


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def intended(plan: Plan) -> Lines:
    """A plan as lines of the journal; what stays as it is stands in the releases."""
    return (
        Lines()
        .of(plan.clear, lambda stored: f"clear {shown(stored)}")
        .of(plan.copy, lambda artifact: f"copy {described(artifact)}")
        .of(plan.withdraw, lambda stored: f"withdraw {shown(stored)}")
    )


@dataclass
class Takeover:
    """A run that was found without an end, and what of its intentions is in place: told part by part, as
    there may be a million."""

    run: str
    held: Collection[str]
    """SHA-256 of everything that the destinations hold."""
    meant: int = field(default=0, init=False)
    there: int = field(default=0, init=False)

    def told(self, entries: Iterable[Entry], part: int = 1, parts: int = 1) -> Event:
        """What the next part of its intentions came to.

        Args:
            entries: those that say what it meant to do; all others say nothing of that.
        """
        meant = [
            line.removeprefix("copy ")
            for entry in entries
            if entry.action is Action.BEGAN
            for line in entry.items
            if line.startswith("copy ")
        ]
        there = tuple(line for line in meant if line.rpartition("sha256:")[2] in self.held)
        self.meant += len(meant)
        self.there += len(there)
        so_far = f" (part {part} of {parts} of what it meant to do)" if part < parts else ""
        return Event(
            Action.TOOK_OVER,
            there,
            f"{self.run} came to no end; {self.there} of {self.meant} artifacts that it meant to copy are in "
            f"place{so_far}",
            {"run": self.run, "meant": self.meant, "inPlace": self.there},
        )
