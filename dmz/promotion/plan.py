"""The plan: what has to be done so that the inner repositories hold the releases, and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Final

from dmz.artifact import Artifact
from dmz.errors import RefusedError
from dmz.promotion.place import Slot, Unit, slot, unit
from dmz.registries.interface import Stored


@dataclass(frozen=True)
class Plan:
    """What to do, each part sorted. No file is in two parts, but for `foreign`."""

    clear: tuple[Stored, ...] = ()
    """Withdrawn before anything is copied: all files of the versions in which something is that nobody
    approved, and of which a release has a file. What is approved of them is in `copy`."""
    copy: tuple[Artifact, ...] = ()
    keep: tuple[Artifact, ...] = ()
    withdraw: tuple[Stored, ...] = ()
    """Withdrawn when all else is in place: versions of which no release has anything."""
    lingering: tuple[Stored, ...] = ()
    """No longer approved, of a version that has an approved file: withdrawing removes whole versions."""
    foreign: tuple[Stored, ...] = ()
    """The part of `clear` and `withdraw` that nobody ever approved for here."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.clear or self.copy or self.withdraw)

    def check(self, adopt: bool) -> None:
        """Whether the plan may be carried out.

        Args:
            adopt: whether what an earlier run did not put there may be withdrawn (`dmz:adopt`).

        Raises:
            RefusedError: there are foreign files that nobody gave up.
        """
        if self.foreign and not adopt:
            first, more = self.foreign[0], len(self.foreign) - 1
            raise RefusedError(
                f"the inner repositories hold {len(self.foreign)} files that no release has and that this "
                f"stack did not put there ({first.kind}/{first.name} {first.filename}, SHA-256 "
                f"{first.sha256}{f', and {more} more' if more else ''}); set dmz:adopt to true to withdraw "
                "them; nothing was changed"
            )


def plan(desired: Iterable[Artifact], stored: Iterable[Stored], approved: Collection[str] = ()) -> Plan:
    """Compare what has to be there with what is there.

    Args:
        desired: the union of the releases.
        stored: everything that the inner repositories hold, from their own record.
        approved: the SHA-256 of what earlier releases approved for here. Such a file may linger with a
            version that is wanted; any other is drift, and its version is withdrawn and copied anew.
    """
    wanted, held = sorted(desired, key=_PACKAGE), sorted(stored, key=_PACKAGE)
    made = _Parts()
    for artifacts, files in _packages(wanted, held):
        _compare(artifacts, files, approved, made)
    unknown = {each.sha256 for each in made.odd if each.sha256 not in approved}
    if unknown:  # which is rare: no set of a million digests for nothing
        unknown -= {artifact.sha256 for artifact in (*made.copy, *made.keep)}
    return Plan(
        clear=tuple(made.clear),
        copy=tuple(made.copy),
        keep=tuple(made.keep),
        withdraw=tuple(made.withdraw),
        lingering=tuple(made.lingering),
        foreign=tuple(each for each in made.odd if each.sha256 in unknown),
    )


_PACKAGE: Final = attrgetter("kind", "name")
"""What the order of artifacts and files begins with. No place and no version has files of two packages, so
that one package after the other can be compared: of a million artifacts nothing else has to be kept."""


def _packages(
    wanted: Iterable[Artifact], held: Iterable[Stored]
) -> Iterator[tuple[list[Artifact], list[Stored]]]:
    """What is wanted and held of each package; both come sorted, and go sorted and each once."""
    ours, theirs = groupby(wanted, _PACKAGE), groupby(held, _PACKAGE)
    our, their = next(ours, None), next(theirs, None)
    while our or their:
        first = min(each[0] for each in (our, their) if each)
        artifacts: list[Artifact] = []
        files: list[Stored] = []
        if our and our[0] == first:
            # Of a place the last one counts.
            artifacts = sorted({slot(each): each for each in sorted(our[1])}.values())
            our = next(ours, None)
        if their and their[0] == first:
            files, their = sorted(set(their[1])), next(theirs, None)
        yield artifacts, files


@dataclass
class _Parts:
    """A plan while it is made, each part sorted."""

    clear: list[Stored] = field(default_factory=list)
    copy: list[Artifact] = field(default_factory=list)
    keep: list[Artifact] = field(default_factory=list)
    withdraw: list[Stored] = field(default_factory=list)
    lingering: list[Stored] = field(default_factory=list)
    odd: list[Stored] = field(default_factory=list)
    """What is wrong where it is, or is to go: foreign unless it was approved."""


def _compare(artifacts: list[Artifact], files: list[Stored], approved: Collection[str], made: _Parts) -> None:
    """Compare what is wanted of one package with what is held of it."""
    if not files:
        made.copy += artifacts
        return
    wanted: dict[Slot, Artifact] = {slot(artifact): artifact for artifact in artifacts}
    units = {unit(artifact) for artifact in artifacts}
    right: set[Slot] = set()
    beside: list[Stored] = []
    clearing: set[Unit] = set()
    for each in files:
        place = slot(each)
        artifact = wanted.get(place)
        if artifact is not None and artifact.sha256 == each.sha256:
            right.add(place)
        elif unit(each) in units:
            beside.append(each)
            # A place has one content: an approved one that is in another's place is wrong there all the same.
            if artifact is not None or each.sha256 not in approved:
                clearing.add(unit(each))
                made.odd.append(each)
        else:
            made.withdraw.append(each)
            made.odd.append(each)
    for artifact in artifacts:
        stays = slot(artifact) in right and not (clearing and unit(artifact) in clearing)
        (made.keep if stays else made.copy).append(artifact)
    if clearing:
        made.clear += (each for each in files if unit(each) in clearing)
    made.lingering += (each for each in beside if unit(each) not in clearing)
