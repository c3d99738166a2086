"""Verification: released = in outer = in inner = installed, by SHA-256."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dmz.artifact import Artifact, Kind
from dmz.promotion import versions
from dmz.registries.interface import Stored


@dataclass(frozen=True, order=True)
class Held:
    """One file that somebody has."""

    kind: Kind
    name: str
    architecture: str
    version: str
    sha256: str

    @classmethod
    def of(cls, holding: Artifact | Stored | Held) -> Held:
        """What is compared, without spelling differences."""
        return cls(
            holding.kind,
            holding.name,
            holding.architecture,
            versions.normalised(holding.kind, holding.version),
            holding.sha256,
        )

    @property
    def slot(self) -> tuple[Kind, str, str, str]:
        """What it claims to be, whatever its bytes."""
        return self.kind, self.name, self.architecture, self.version

    def __str__(self) -> str:
        architecture = f":{self.architecture}" if self.architecture else ""
        version = "" if self.kind is Kind.FILE else f" {self.version}"
        return f"{self.kind}/{self.name}{architecture}{version}"


Holding = Artifact | Stored | Held
"""Anything that names a version of something and its bytes."""


@dataclass(frozen=True, order=True)
class Difference:
    """Something that is not as released."""

    place: str
    """`outer`, `inner` or `installed`."""
    text: str
    """One line: the artifact, what was released and what is there."""

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


def differences(
    release: Iterable[Holding],
    outer: Iterable[Holding],
    inner: Iterable[Holding],
    installed: Iterable[Holding],
    others: Iterable[Holding] = (),
) -> list[Difference]:
    """Compare the four lists; an empty answer means that they agree.

    Outer may hold more: it is a cache of what the machines asked for. Inner may hold what other releases
    have. The machine may have installed nothing else.

    Args:
        release: artifacts of the release that the machine reported.
        outer: what the outer repositories hold, from their own record.
        inner: what the inner repositories hold, from their own record.
        installed: what the machine compared with the release and installed.
        others: artifacts of the other workloads' releases.
    """
    wanted = {Held.of(each) for each in release}
    allowed = wanted | {Held.of(each) for each in others}
    found = {
        "outer": {Held.of(each) for each in outer},
        "inner": {Held.of(each) for each in inner},
        "installed": {Held.of(each) for each in installed},
    }
    return sorted(
        [
            *(line for place, having in found.items() for line in _missing(place, wanted, having)),
            *_extra("inner", found["inner"], allowed, "in no release"),
            *_extra("installed", found["installed"], wanted, "not in this release"),
        ]
    )


def _missing(place: str, wanted: set[Held], having: set[Held]) -> Iterator[Difference]:
    digests, elsewhere = defaultdict(list), defaultdict(list)
    for each in sorted(having):
        digests[each.slot].append(each.sha256)
        elsewhere[each.slot[:3]].append(each.version)
    for held in wanted - having:
        if instead := digests[held.slot]:
            text = f"was released with SHA-256 {held.sha256}, {place} has {' and '.join(instead)}"
        elif (others := elsewhere[held.slot[:3]]) and held.kind is not Kind.FILE:
            text = f"was released and is missing; {place} has {', '.join(others)}"
        else:
            text = "was released and is missing"
        yield Difference(place, f"{held} {text}")


def _extra(place: str, having: set[Held], allowed: set[Held], why: str) -> Iterator[Difference]:
    # A file that stands where a released one should be was told already, as a difference in bytes.
    told = {each.slot for each in allowed - having}
    for held in having - allowed:
        if held.slot not in told:
            yield Difference(place, f"{held} (SHA-256 {held.sha256}) is there, {why}")
