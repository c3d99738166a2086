"""What a destination says that it took, compared with what was approved."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final

from dmz.artifact import Artifact
from dmz.errors import TransferError
from dmz.promotion.copying import Limits, Places
from dmz.promotion.place import Unit, by_kind, slot, unit
from dmz.promotion.plan import Plan
from dmz.registries.interface import PAGE, Stored

_FIRST_PAUSE: Final = 0.2
"""Seconds after which a listing that lags is asked again; half as much more each time."""
_LONGEST_PAUSE: Final = 10.0


async def compare(plan: Plan, places: Places, say: Callable[[object], None], limits: Limits) -> None:
    """Look each copied artifact up in the destination's own record.

    Where that takes no more requests than a listing of everything, only these are asked for. What is not
    found so is looked for in the listing, which alone says that something is missing; one that lags is asked
    again for as long as `limits.listing` says.

    Raises:
        TransferError: the record has other bytes, or an artifact is still missing; says what a person can do.
    """
    cleared = {unit(each) for each in plan.clear}
    for kind, copied in by_kind(plan.copy).items():
        say(f"comparing {len(copied)} files with the record of the {kind} repository")
        destination = places.destinations[kind]
        kept = sum(each.kind is kind for each in plan.keep)
        of = copied if len(copied) <= 1 + kept // PAGE else None
        until, pause = time.monotonic() + limits.listing, _FIRST_PAUSE
        while complaint := _amiss(copied, cleared, await destination.list(of)):
            if complaint.may_pass and of is not None:
                of = None  # nothing is missing because it was not found by its name
                continue
            if time.monotonic() >= until or not complaint.may_pass:
                raise TransferError(complaint.text)
            say(f"waiting until the {kind} repository lists all that it took")
            await asyncio.sleep(min(pause, max(0.0, until - time.monotonic())))
            pause = min(_LONGEST_PAUSE, pause * 1.5)


@dataclass(frozen=True)
class _Complaint:
    text: str
    may_pass: bool
    """Whether it may be only that the listing lags."""


def _amiss(
    copied: Iterable[Artifact], cleared: Collection[Unit], listed: Iterable[Stored]
) -> _Complaint | None:
    """What is wrong with the record; other bytes come before what is missing."""
    places: dict[object, set[str]] = {}
    for each in listed:
        places.setdefault(slot(each), set()).add(each.sha256)
    missing: _Complaint | None = None
    for artifact in copied:
        held = places.get(slot(artifact), set())
        if held - {artifact.sha256}:
            return _Complaint(
                _record(artifact, ", ".join(sorted(held)))
                + f"run again, and if it stays, delete version {artifact.version} of {artifact.name} there "
                "yourself and look at who else writes there",
                may_pass=False,
            )
        if not held and missing is None:
            remedy = "run again, and if it stays, look at who else writes there"
            if unit(artifact) in cleared:
                remedy = (
                    "other bytes had its name and were withdrawn, and the service seems not to give the "
                    f"name again: delete {artifact.name} there as a whole and run again, or release another "
                    "version"
                )
            missing = _Complaint(_record(artifact, "no such file") + remedy, may_pass=True)
    return missing


def _record(artifact: Artifact, found: str) -> str:
    return (
        f"{artifact.key} {artifact.filename}: approved is SHA-256 {artifact.sha256}, the inner repository's "
        f"record after the copy has {found}; nothing else was withdrawn; "
    )
