"""What a run of the sync does, event by event, and the form in which that is kept.

Each run writes objects `journal/<run>/<number>-<action>.json`, create-only; `<run>` begins with the time of
the service that keeps them, so that the newest run is the last by name.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Self, TypeVar, overload

import msgspec

from dmz.artifact import Artifact
from dmz.errors import InputError
from dmz.registries.interface import Stored

FOLDER: Final = "journal/"
PART: Final = 10_000
"""Items that one object has at most: some two megabytes."""
_RUN: Final = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{16}")
_NAME: Final = re.compile(rf"journal/({_RUN.pattern})/(\d{{6,12}})-([a-z-]{{1,40}})\.json")


class Action(StrEnum):
    """What happened; those in `-ing` are said before it is done, so that a kill loses none."""

    BEGAN = "began"
    """With everything that the run means to do."""
    TOOK_OVER = "took over"
    """From a run that was killed, which is named."""
    CLEARING = "clearing"
    """Versions with unapproved files are about to be withdrawn."""
    COPIED = "copied"
    DAMAGED = "damaged"
    """The archive has other bytes than it should; the source serves what was approved."""
    ADMITTING = "admitting"
    """What was staged is about to become readable."""
    ADMITTED = "admitted"
    PUBLISHED = "published"
    """The machines are told which release to install."""
    WITHDRAWING = "withdrawing"
    WITHDRAWN = "withdrawn"
    BARRED = "barred"
    """Files were refused for good; no release that has one is synced any more."""
    UNBARRED = "unbarred"
    ENDED = "ended"
    FAILED = "failed"


FINAL: Final = frozenset({Action.ENDED, Action.FAILED})
"""Those after which a run does nothing more; a run without one is at work, or was killed."""


@dataclass(frozen=True)
class Event:
    """One thing that a run did, or is about to do."""

    action: Action
    items: Sequence[str] = ()
    """What it is about: a line for each artifact or file. Nothing may change it, as it may be read later."""
    note: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    """More, for programs; whatever JSON can say."""


Item = TypeVar("Item")


class Lines(Sequence[str]):
    """Lines that are made when they are read: those of a million artifacts would take 200 megabytes."""

    def __init__(self) -> None:
        self._parts: list[tuple[Sequence[Any], Callable[[Any], str]]] = []

    def of(self, items: Sequence[Item], line: Callable[[Item], str]) -> Self:
        """Add a line for each of `items`, which must not change any more."""
        self._parts.append((items, line))
        return self

    def __len__(self) -> int:
        return sum(len(items) for items, _ in self._parts)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...

    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        if isinstance(index, slice):
            return tuple(self[at] for at in range(*index.indices(len(self))))
        at = index + len(self) if index < 0 else index
        for items, line in self._parts:
            if 0 <= at < len(items):
                return line(items[at])
            at -= len(items)
        raise IndexError(index)


Record = Callable[[Event], Awaitable[None]]
"""Takes an event down; it is safe when this returns, but for `COPIED`, which may be gathered for a while:
what was meant to be copied stands in `BEGAN`, and the destination's listing says what was."""


async def _nowhere(event: Event) -> None:
    pass


NOWHERE: Final[Record] = _nowhere


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event as it is kept; one with many items takes several objects, the first of which has the note."""

    format: int
    run: str
    number: int
    """Of the object, counted from 1."""
    action: Action
    at: str
    """UTC, by the clock of the service that keeps it."""
    part: int = 1
    parts: int = 1
    items: tuple[str, ...] = ()
    note: str = ""
    details: dict[str, Any] = {}


_DECODER: Final = msgspec.json.Decoder(Entry)


def run_name(begun: datetime, run: str) -> str:
    """The name of a run from when it began and its id (16 hexadecimal digits)."""
    return f"{begun.astimezone(UTC):%Y%m%dT%H%M%SZ}-{run}"


def is_run(name: str) -> bool:
    """Whether it is the name of a run."""
    try:
        return _RUN.fullmatch(name) is not None and begun(name) is not None
    except ValueError:
        return False


def begun(run: str) -> datetime:
    """When a run began, by its name."""
    return datetime.strptime(run[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def object_name(run: str, number: int, action: Action) -> str:
    """The object of an entry."""
    return f"{FOLDER}{run}/{number:06}-{action.replace(' ', '-')}.json"


def parse_name(name: str) -> tuple[str, int, Action] | None:
    """Run, number and action by an object's name; None for what is no entry."""
    match = _NAME.fullmatch(name)
    try:
        return (match[1], int(match[2]), Action(match[3].replace("-", " "))) if match else None
    except ValueError:
        return None


def parts(event: Event) -> int:
    """How many objects an event takes, at least one."""
    return max(1, -(-len(event.items) // PART))


def entries(run: str, first: int, at: datetime, event: Event) -> Iterator[tuple[str, bytes]]:
    """The objects of one event, names and bytes, in the order in which they are written; each is made when it
    is asked for.

    Args:
        first: number of the first of them.
    """
    for index in range(parts(event)):
        entry = Entry(
            1,
            run,
            first + index,
            event.action,
            f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
            index + 1,
            parts(event),
            tuple(event.items[index * PART : (index + 1) * PART]),
            "" if index else event.note,
            {} if index else dict(event.details),
        )
        yield object_name(run, entry.number, event.action), msgspec.json.encode(entry, order="sorted")


def parse(data: bytes, where: str) -> Entry:
    """Read an entry.

    Raises:
        InputError: the bytes are none; nothing else follows from that.
    """
    try:
        return _DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            f"{where}: no entry of the journal ({str(error)[:200]}); look at who wrote it"
        ) from None


def described(artifact: Artifact) -> str:
    """An artifact as a line of the journal."""
    return f"{artifact.key} {artifact.version} {artifact.filename} sha256:{artifact.sha256}"


def shown(stored: Stored) -> str:
    """A stored file as a line of the journal."""
    return f"{stored.kind}/{stored.name} {stored.version} {stored.filename} sha256:{stored.sha256}"
