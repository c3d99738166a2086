"""Ranges of versions: the schema's evaluation, in the ecosystem's own order.

See https://ossf.github.io/osv-schema/#evaluation
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cmp_to_key, lru_cache
from typing import Final, NamedTuple

from dmz.promotion import versions
from dmz.promotion.advisories.records import Event, Range
from dmz.promotion.advisories.stored import ranges_of
from dmz.promotion.versions import Ordered

_EVERY: Final = (Event(introduced="0"),)

_FIXED: Final = 0
_INTRODUCED: Final = 1
_LAST_AFFECTED: Final = 2
"""Their order at one version: what is mended and broken there again is broken; what is last affected is."""

_Point = tuple[Ordered | None, int]
"""Where something changes, and what; None: the beginning, before every version."""
_BEGINNING: Final[_Point] = (None, _INTRODUCED)
_UNKNOWN: Final[_Point] = (None, -1)
"""Something that is no version."""


class _Line(NamedTuple):
    """A range, ready to be asked."""

    points: Sequence[_Point]
    below: Ordered | None
    """Versions from here on are outside of the range; None: it has no limit."""

    def holds(self, version: Ordered) -> bool:
        if self.below is not None and not version < self.below:
            return False
        affected = False
        for at, kind in self.points:
            if kind == _LAST_AFFECTED:
                affected &= at is not None and versions.public(version) <= at
            elif at is None or at <= version:
                affected = kind == _INTRODUCED
        return affected


class Bounds:
    """The ranges of a record, ready to be asked."""

    __slots__ = ("_lines", "_unreadable", "fixed")

    def __init__(self, ecosystem: str, ranges: Sequence[Range]) -> None:
        lines = [_line(ecosystem, each.events or ()) for each in ranges]
        self._lines: Final = [line for line in lines if line is not None and line.points]
        self._unreadable: Final = None in lines
        self.fixed: Final[Mapping[str, Ordered]] = _fixed_in(ecosystem, ranges)
        """The versions that they call fixed, as far as they are any."""

    def hold(self, version: Ordered) -> bool | None:
        """Whether a version is inside of one of them; None: they say nothing of any version.

        What can't be compared holds every version: a record that nobody can read must not open the gate.
        """
        if self._unreadable:
            return True
        return any(line.holds(version) for line in self._lines) if self._lines else None


@lru_cache(maxsize=16384)  # a package's records have many a range in common
def bounds(ecosystem: str, ranges: bytes) -> Bounds:
    """The ranges of a record, from their packed form."""
    return Bounds(ecosystem, ranges_of(ranges))


def _fixed_in(ecosystem: str, ranges: Iterable[Range]) -> Mapping[str, Ordered]:
    texts = [event.fixed for each in ranges for event in each.events or () if event.fixed is not None]
    parsed = ((text, versions.parse(ecosystem, text)) for text in texts)
    return {text: version for text, version in parsed if version is not None}


def comparable(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """The ranges of versions. Those of commits (GIT) have the versions that follow listed beside them."""
    return tuple([each for each in ranges if each.type != "GIT"])


def boundless(ranges: Iterable[Range]) -> bool:
    """Whether one of the ranges has every version, so that a list of some says nothing more."""
    return _EVERY in [each.events for each in ranges]


def _line(ecosystem: str, events: tuple[Event, ...]) -> _Line | None:
    """A range; None if something in it can't be compared."""
    points: list[_Point] = []
    limits: list[Ordered | None] = []
    since = False
    for event in events:
        before = len(points) + len(limits)
        if event.introduced is not None:
            since = True
            points.append(_point(ecosystem, event.introduced, _INTRODUCED))
        if event.fixed is not None:
            points.append(_point(ecosystem, event.fixed, _FIXED))
        if event.last_affected is not None:
            points.append(_point(ecosystem, event.last_affected, _LAST_AFFECTED))
        if event.limit is not None:
            limit = None if "*" in event.limit else versions.parse(ecosystem, event.limit)
            if limit is None and "*" not in event.limit:
                return None
            limits.append(limit)
        if len(points) + len(limits) == before:
            return None
    if _UNKNOWN in points:
        return None
    if (points or limits) and not since:
        points.append(_BEGINNING)  # the schema wants one; without it, nothing says since when
    if len(points) > 1 and not (len(points) == 2 and points[0] is _BEGINNING):
        points.sort(key=cmp_to_key(_by_version))
    return _Line(points, _last(limits) if limits else None)


def _point(ecosystem: str, text: str, kind: int) -> _Point:
    if kind == _INTRODUCED and text == "0":
        return _BEGINNING
    at = versions.parse(ecosystem, text)
    return _UNKNOWN if at is None else (at, kind)


def _last(limits: Sequence[Ordered | None]) -> Ordered | None:
    """A version is inside if it is below any limit: below the last one."""
    last: Ordered | None = None
    for limit in limits:
        if limit is None:
            return None
        if last is None or last < limit:
            last = limit
    return last


def _by_version(one: _Point, other: _Point) -> int:
    if _before(one[0], other[0]):
        return -1
    return 1 if _before(other[0], one[0]) else one[1] - other[1]


def _before(one: Ordered | None, other: Ordered | None) -> bool:
    if one is None or other is None:
        return one is None and other is not None
    return one < other
