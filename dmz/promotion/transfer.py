"""The carrying out of a plan, step by step, so that inner is right after each of them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from dmz.artifact import Artifact
from dmz.promotion.comparison import compare
from dmz.promotion.copying import DEFAULT_LIMITS, Copier, Limits, Places
from dmz.promotion.journal import NOWHERE, Action, Event, Lines, Record, described, shown
from dmz.promotion.place import by_kind, slot
from dmz.promotion.plan import Plan
from dmz.promotion.progress import Progress
from dmz.registries.interface import Stored

Say = Callable[[object], None]
"""Told what is being done from now on; whose text may change while it is done."""


@dataclass(frozen=True)
class Counters:
    """What was done."""

    copied: int = 0
    kept: int = 0
    withdrawn: int = 0
    bytes: int = 0
    """Of the copied artifacts."""
    seconds: float = 0.0


@dataclass(frozen=True)
class Observers:
    """Who is told what happens."""

    say: Say = lambda _: None
    record: Record = NOWHERE
    arrived: Callable[[], Awaitable[None]] | None = None
    """Called when all that is approved is readable and before anything goes, to point those who read at the
    new; when it fails, nothing is withdrawn."""


async def carry_out(
    plan: Plan, places: Places, observers: Observers = Observers(), limits: Limits = DEFAULT_LIMITS
) -> Counters:
    """Clear what is wrong, copy, admit, compare with the destination's own record, tell, then withdraw.

    What is right and has to be cleared with what is wrong is archived first.

    It may be run again after any interruption: what is in place stays, what was left out follows.

    Args:
        plan: one that `Plan.check` passed.
        places: where artifacts come from and go.
        observers: told of progress and events.
        limits: concurrency and retries.

    Raises:
        InputError: the plan names a repository that is not among those given; nothing was changed.
        TransferError: a step failed. Every file that was copied before is an approved one, and nothing that
            was approved was withdrawn, but for the versions that had to be cleared.
    """
    started = time.monotonic()
    say, record = observers.say, observers.record
    if places.archive is not None:
        say("looking at what the archive keeps")
    archived = await places.archived()
    places.check(plan.copy, archived)
    await _save(plan, places, archived, observers, limits)
    await _withdraw(plan.clear, places, record, Action.CLEARING)
    copied = await copy(plan, places, archived, observers, limits)
    await _admit(plan, places, say, record)
    await compare(plan, places, say, limits)
    await _settle(plan, places, say)
    if observers.arrived:
        await observers.arrived()
        await record(Event(Action.PUBLISHED))
    if plan.withdraw:
        say(f"withdrawing {len(plan.withdraw)} files")
    await _withdraw(plan.withdraw, places, record, Action.WITHDRAWING)
    return Counters(
        copied=len(plan.copy),
        kept=len(plan.keep),
        withdrawn=len(plan.withdraw) + len(plan.clear),
        bytes=copied,
        seconds=time.monotonic() - started,
    )


async def copy(
    plan: Plan, places: Places, archived: set[str], observers: Observers, limits: Limits = DEFAULT_LIMITS
) -> int:
    """Copy what the plan says, but for what an earlier run left staged; nothing staged is readable yet.

    Args:
        plan: whose `copy` goes to the destinations, and whose `keep` to the archive where it is not there.
        places: where artifacts come from and go.
        archived: SHA-256 of what the archive has; grows.
        observers: told of progress and events.
        limits: concurrency and retries.

    Returns:
        Bytes of what was copied.

    Raises:
        TransferError: one could not be copied.
    """
    staged: set[Artifact] = set()
    for kind, artifacts in by_kind(plan.copy).items():
        staged |= await places.destinations[kind].staged(artifacts)
    todo = [
        artifact
        for artifact in plan.copy
        # What is staged and not archived goes the whole way again: it can't be read where it waits.
        if artifact not in staged or (places.archive is not None and artifact.sha256 not in archived)
    ]
    progress = Progress(len(todo), sum(artifact.size for artifact in todo))
    copier = Copier(places, archived, progress, limits, observers.record)
    if todo:
        observers.say(progress)
        await copier.copy(todo)
    await _archive(plan.keep, places, archived, observers, limits)
    return progress.size


async def _save(plan: Plan, places: Places, archived: set[str], observers: Observers, limits: Limits) -> None:
    """Archive what is approved of the versions that are to be cleared: its source may have forgotten it."""
    cleared = {(slot(each), each.sha256) for each in plan.clear}
    right = [artifact for artifact in plan.copy if (slot(artifact), artifact.sha256) in cleared]
    await _archive(right, places, archived, observers, limits)


async def _archive(
    held: Iterable[Artifact], places: Places, archived: set[str], observers: Observers, limits: Limits
) -> None:
    missing = [artifact for artifact in held if artifact.sha256 not in archived]
    if missing and places.archive is not None:
        observers.say(f"archiving {len(missing)} files that inner holds")
        await Copier(places, archived, Progress(0, 0), limits, observers.record).archive(missing)


async def _admit(plan: Plan, places: Places, say: Say, record: Record) -> None:
    for kind, artifacts in by_kind(plan.copy).items():
        say(f"admitting {len(artifacts)} files to the {kind} repository")
        await record(Event(Action.ADMITTING, Lines().of(artifacts, described)))
        await places.destinations[kind].admit(artifacts)
        await record(Event(Action.ADMITTED, note=str(kind)))


async def _settle(plan: Plan, places: Places, say: Say) -> None:
    # Also what was there before: an earlier run may have ended while the index was behind. Also where nothing
    # is wanted: what a killed run staged for a release that was given up has to go.
    wanted = by_kind([*plan.copy, *plan.keep])
    for kind, destination in places.destinations.items():
        if artifacts := wanted.get(kind, []):
            say(f"waiting until the {kind} repository shows all to installers")
        await destination.settle(artifacts)


async def _withdraw(leaving: tuple[Stored, ...], places: Places, record: Record, action: Action) -> None:
    if not leaving:
        return
    await record(Event(action, Lines().of(leaving, shown)))
    for kind, stored in by_kind(leaving).items():
        await places.destinations[kind].withdraw(stored)
    await record(Event(Action.WITHDRAWN, note=f"{len(leaving)} files"))
