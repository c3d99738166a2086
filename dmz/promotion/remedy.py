"""The smallest change of a resolution after which everything passes, found by resolving again.

What is claimed of it, and what a resolver that is only asked can prove:

1. Every version passes and all requirements are met: the resolver's last answer, judged as a whole.
2. No distribution that passes got another version without need: the number of those that did is the least
   possible. Conflicts between those that would stay were proved until a smallest cover of them was enough
   (J. Davies, F. Bacchus, "Solving MAXSAT by Solving a Sequence of Simpler SAT Instances", CP 2011).
   Where that takes more questions than allowed, only: none of them could have stayed by itself.
3. Among those, versions are near: the refused ones first, each in turn is as near to what it was as the ones
   before it allow.

What a changed distribution no longer needs is left out, and what it needs anew comes in: neither is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol

from dmz.promotion.conflict import minimal, smallest_cover

Pins = Mapping[str, str]
"""Version by name."""
Excluded = Mapping[str, frozenset[str]]
"""Versions that are left out, by name."""

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_EVERYTHING: Final[Mapping[str, frozenset[str]]] = MappingProxyType({})
_QUESTIONS: Final = 150
"""Questions to the resolver for claim 2: some half a minute for a workload of hundreds of distributions."""


@dataclass(frozen=True)
class Question:
    """What a resolver is asked."""

    requirements: tuple[str, ...]
    excluded: Excluded
    pins: Pins = field(default_factory=dict)
    """Versions that hold where something needs the name."""
    prefer: Pins = field(default_factory=dict)
    """Versions to take where nothing speaks against it."""


class Resolver(Protocol):
    """Something that finds versions which fit together."""

    async def resolve(self, question: Question) -> Pins | None:
        """A resolution; None if there is none."""
        ...

    async def nearest(self, name: str, version: str) -> Sequence[str]:
        """All versions that are offered, the nearest to `version` first."""
        ...


class Judge(Protocol):
    """What says which versions pass. It says the same of a version each time."""

    async def refused(self, pins: Pins) -> Collection[str]:
        """The names whose versions are refused."""
        ...

    async def known(self, name: str) -> Collection[str]:
        """Further versions of a name that are known to be refused without a closer look."""
        ...


@dataclass(frozen=True)
class Mended:
    """A resolution that passes."""

    pins: Pins
    refused: Pins
    """What of the first resolution does not pass."""
    moved: frozenset[str]
    """Names that pass as they were and have another version nevertheless."""
    fewest: bool
    """Whether no fewer could move; otherwise none of them could have stayed by itself."""


@dataclass(frozen=True)
class Way:
    """A requirement that could be changed: with this version of its distribution, everything passes."""

    requirement: str
    name: str
    version: str


@dataclass(frozen=True)
class Conflict:
    """Nothing passes: demands that cannot be met together, none of which could be left out."""

    requirements: tuple[str, ...]
    excluded: Excluded
    """Names of which the refused versions stand in the way, with these versions."""
    ways: tuple[Way, ...] = ()


@dataclass
class Search:
    """One search for the smallest change."""

    resolver: Resolver
    judge: Judge
    requirements: tuple[str, ...]
    first: Pins
    """The resolution to stay near to."""
    relaxed: Callable[[str], tuple[str, str] | None] = lambda requirement: None
    """Name and text of a requirement without what it says of versions; None: it says nothing of them."""
    questions: int = _QUESTIONS
    _excluded: dict[str, frozenset[str]] = field(default_factory=dict)
    _asked: int = 0

    async def run(self) -> Mended | Conflict:
        """The smallest change, or why there is none."""
        refused = {name: self.first[name] for name in await self.judge.refused(self.first)}
        if not refused:
            return Mended(self.first, {}, frozenset(), True)
        await self._exclude(refused)
        some = await self._passing(_NOTHING)
        if some is None:
            return await self._conflict()
        kept = {name: version for name, version in self.first.items() if name not in refused}
        found, moved, fewest = await self._fewest(kept, some)
        pins = {name: version for name, version in kept.items() if name not in moved}
        found = await self._near([*sorted(refused), *sorted(moved)], found, pins)
        return Mended(found, refused, moved, fewest)

    # ---- asking

    async def _passing(
        self, pins: Pins, window: Excluded = _EVERYTHING, requirements: tuple[str, ...] | None = None
    ) -> Pins | None:
        """A resolution in which everything passes; what is refused on the way is left out from then on."""
        wanted = self.requirements if requirements is None else requirements
        while True:
            self._asked += 1
            excluded = _union([self._excluded, window])
            found = await self.resolver.resolve(Question(wanted, excluded, pins, self.first))
            if found is None:
                return None
            bad = {name: found[name] for name in await self.judge.refused(found)}
            if not bad:
                return found
            await self._exclude(bad)

    async def _exclude(self, refused: Pins) -> None:
        for name, version in refused.items():
            known = frozenset(await self.judge.known(name)) if name not in self._excluded else frozenset()
            self._excluded[name] = self._excluded.get(name, frozenset()) | known | {version}

    # ---- claim 2

    async def _fewest(self, kept: Pins, some: Pins) -> tuple[Pins, frozenset[str], bool]:
        """A passing resolution, what moved in it, and whether that is the fewest."""
        conflicts: list[frozenset[str]] = []
        likely = _moved(kept, some)
        # What stayed in one resolution that passes is rarely part of a conflict: it is asked about last.
        order = sorted(kept, key=lambda name: (name not in likely, name))
        while self._asked < self.questions:
            free = smallest_cover(conflicts)
            pinned = [name for name in order if name not in free]
            found = await self._passing(_only(kept, pinned))
            if found is not None:
                return found, free, True

            async def fits(names: Sequence[str]) -> bool:
                return await self._passing(_only(kept, names)) is not None

            conflicts.append(frozenset(await minimal(pinned, fits)))
        return await self._fewer(kept, some)

    async def _fewer(self, kept: Pins, some: Pins) -> tuple[Pins, frozenset[str], bool]:
        """Of what moved in a resolution, each that can stay does."""
        found, moved = some, _moved(kept, some)
        for name in sorted(moved):
            if name in moved:
                stays = _only(kept, (other for other in kept if other == name or other not in moved))
                better = await self._passing(stays)
                if better is not None:
                    found, moved = better, _moved(kept, better)
        return found, moved, False

    # ---- claim 3

    async def _near(self, names: Iterable[str], found: Pins, pins: Pins) -> Pins:
        """Bring the versions of these names, in turn, as near to what they were as can be."""
        names = list(names)
        while True:
            before, near = dict(self._excluded), found
            fixed, window = dict(pins), dict[str, frozenset[str]]()
            for name in names:
                near, outside = await self._nearer(name, self.first[name], near, fixed, window)
                if name in near:
                    fixed[name] = near[name]
                else:
                    window[name] = outside
            # What is nearest was measured by what was known to be refused: it is measured again.
            if self._excluded == before:
                return near

    async def _nearer(
        self,
        name: str,
        near: str,
        found: Pins,
        pins: Pins,
        window: Excluded,
        requirements: tuple[str, ...] | None = None,
    ) -> tuple[Pins, frozenset[str]]:
        """The nearest version of one name, by halving; and what lies farther off."""
        offered = await self.resolver.nearest(name, near)
        fine = [text for text in offered if text not in self._excluded.get(name, ())]
        low, high = 1, fine.index(found[name]) + 1 if found.get(name) in fine else 1
        while low < high:
            middle = (low + high) // 2
            narrowed = _union([window, {name: frozenset(offered) - frozenset(fine[:middle])}])
            nearer = await self._passing(pins, narrowed, requirements)
            if nearer is None:
                low = middle + 1
            else:
                found = nearer
                # Something in the window may have turned out to be refused meanwhile.
                high = min(middle, fine.index(nearer[name]) + 1 if nearer.get(name) in fine else middle)
        return found, frozenset(offered) - frozenset(fine[:low])

    # ---- none

    async def _conflict(self) -> Conflict:
        excluded = dict(self._excluded)
        demands: list[tuple[str, str]] = [
            *(("exclusion", name) for name in sorted(excluded)),
            *(("requirement", text) for text in self.requirements),
        ]

        async def fits(some: Sequence[tuple[str, str]]) -> bool:
            wanted = tuple(text for text in self.requirements if ("requirement", text) in some)
            without = {name: excluded[name] for name in excluded if ("exclusion", name) in some}
            return await self.resolver.resolve(Question(wanted, without)) is not None

        core = await minimal(demands, fits)
        requirements = tuple(text for kind, text in core if kind == "requirement")
        names = [name for kind, name in core if kind == "exclusion"]
        ways = [way for text in requirements if (way := await self._way(text))]
        return Conflict(requirements, {name: excluded[name] for name in names}, tuple(ways))

    async def _way(self, requirement: str) -> Way | None:
        """The nearest version with which everything passes if this requirement asks for none."""
        free = self.relaxed(requirement)
        if free is None:
            return None
        name, text = free
        wanted = tuple(text if each == requirement else each for each in self.requirements)
        found = await self._passing(_NOTHING, requirements=wanted)
        if found is None or name not in found:
            return None
        near = self.first.get(name, found[name])
        found, _ = await self._nearer(name, near, found, _NOTHING, _EVERYTHING, wanted)
        return Way(requirement, name, found[name])


def _moved(kept: Pins, found: Pins) -> frozenset[str]:
    return frozenset(name for name, version in kept.items() if found.get(name, version) != version)


def _only(pins: Pins, names: Iterable[str]) -> Pins:
    return {name: pins[name] for name in names}


def _union(parts: Iterable[Excluded]) -> Excluded:
    found: dict[str, frozenset[str]] = {}
    for part in parts:
        for name, texts in part.items():
            found[name] = found.get(name, frozenset()) | texts
    return found
