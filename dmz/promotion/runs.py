"""What the journal says of whole runs: what each meant to do, did, and whether it came to an end."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from dmz.promotion.journal import Action, Entry, Event, begun, described, shown
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


def intended(plan: Plan) -> Iterator[str]:
    """A plan as lines of the journal; what stays as it is stands in the releases."""
    yield from (f"clear {shown(stored)}" for stored in plan.clear)
    yield from (f"copy {described(artifact)}" for artifact in plan.copy)
    yield from (f"withdraw {shown(stored)}" for stored in plan.withdraw)


def took_over(name: str, told: Iterable[Entry], held: Collection[str]) -> Event:
    """That a run was found that came to no end, and what of its intentions is in place.

    Args:
        told: its entries, of which those that say what it meant to do count.
        held: SHA-256 of everything that the destinations hold.
    """
    meant = [
        line.removeprefix("copy ")
        for entry in told
        if entry.action is Action.BEGAN
        for line in entry.items
        if line.startswith("copy ")
    ]
    there = tuple(line for line in meant if line.rpartition("sha256:")[2] in held)
    return Event(
        Action.TOOK_OVER,
        there,
        f"{name} came to no end; {len(there)} of {len(meant)} artifacts that it meant to copy are in place",
        {"run": name, "meant": len(meant), "inPlace": len(there)},
    )
