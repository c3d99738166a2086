"""The plan: what has to be done so that the inner repositories hold the releases, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dmz.artifact import Artifact
from dmz.errors import RefusedError
from dmz.promotion.place import Slot, slot, unit
from dmz.registries.interface import Stored


@dataclass(frozen=True, order=True)
class Conflict:
    """An approved artifact whose place is taken by other bytes."""

    artifact: Artifact
    stored: Stored

    def __str__(self) -> str:
        return (
            f"{self.artifact.key} {self.artifact.filename}: the release approved SHA-256 "
            f"{self.artifact.sha256}, the inner repository holds {self.stored.sha256} under this name"
        )


@dataclass(frozen=True)
class Plan:
    """What to do, each part sorted. No file is in two parts."""

    copy: tuple[Artifact, ...] = ()
    keep: tuple[Artifact, ...] = ()
    withdraw: tuple[Stored, ...] = ()
    """Files of versions of which no release has anything."""
    conflicts: tuple[Conflict, ...] = ()
    """To be settled by a person: a repository never takes other bytes under a name that it has."""
    lingering: tuple[Stored, ...] = ()
    """Not approved, but of a version that has an approved file: withdrawing removes whole versions."""
    foreign: tuple[Stored, ...] = ()
    """The part of `withdraw` that was not put there by an earlier run."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.copy or self.withdraw or self.conflicts)

    def check(self, adopt: bool) -> None:
        """Whether the plan may be carried out.

        Args:
            adopt: whether what an earlier run did not put there may be withdrawn (`dmz:adopt`).

        Raises:
            RefusedError: there are conflicts, or foreign files that nobody gave up.
        """
        if self.conflicts:
            raise RefusedError(
                f"{self.conflicts[0]}{_more(len(self.conflicts))}; find out which is right, then delete that "
                "version from the inner repository or run `dmz screen` again; nothing was changed"
            )
        if self.foreign and not adopt:
            first = self.foreign[0]
            raise RefusedError(
                f"the inner repositories hold {len(self.foreign)} files that no release has and that this "
                f"stack did not put there ({first.kind}/{first.name} {first.filename}"
                f"{_more(len(self.foreign))}); set dmz:adopt to true to withdraw them; nothing was changed"
            )


def _more(count: int) -> str:
    return f", and {count - 1} more" if count > 1 else ""


def plan(desired: Iterable[Artifact], stored: Iterable[Stored], before: Iterable[Artifact] = ()) -> Plan:
    """Compare what has to be there with what is there.

    Args:
        desired: the union of the releases.
        stored: everything that the inner repositories hold, from their own record.
        before: what earlier runs knew of: the artifacts of the state's lines. Empty on a first run.
    """
    wanted: dict[Slot, Artifact] = {slot(artifact): artifact for artifact in sorted(desired)}
    units = {unit(artifact) for artifact in wanted.values()}
    present = sorted(set(stored))
    right = {slot(each) for each in present if slot(each) in wanted and _same(wanted[slot(each)], each)}
    known = {(slot(artifact), artifact.sha256) for artifact in before}
    withdraw = tuple(each for each in present if unit(each) not in units)
    conflicts = tuple(
        sorted(
            Conflict(wanted[slot(each)], each)
            for each in present
            if slot(each) in wanted and slot(each) not in right
        )
    )
    contested = {slot(conflict.artifact) for conflict in conflicts}
    return Plan(
        copy=tuple(sorted(wanted[place] for place in wanted.keys() - right - contested)),
        keep=tuple(sorted(wanted[place] for place in right)),
        withdraw=withdraw,
        conflicts=conflicts,
        lingering=tuple(
            each
            for each in present
            if unit(each) in units
            and slot(each) not in contested
            and not (slot(each) in wanted and _same(wanted[slot(each)], each))
        ),
        foreign=tuple(each for each in withdraw if (slot(each), each.sha256) not in known),
    )


def _same(artifact: Artifact, stored: Stored) -> bool:
    return artifact.sha256 == stored.sha256
