"""Which versions a record means: the schema's evaluation, in the ecosystem's own order.

See https://ossf.github.io/osv-schema/#evaluation
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from functools import cached_property, cmp_to_key, lru_cache
from typing import Final, NamedTuple

import msgspec

from dmz.promotion import versions
from dmz.promotion.advisories.records import Event, Range
from dmz.promotion.versions import Ordered

_EVERY: Final = (Event(introduced="0"),)

_FIXED: Final = 0
_INTRODUCED: Final = 1
_LAST_AFFECTED: Final = 2
"""Their order at one version: what is mended and broken there again is broken; what is last affected is."""

_INSIGNIFICANT: Final = bytes(number for number in range(256) if chr(number) not in '123456789"')
"""All but the digits that tell versions apart, and the ends of strings."""

_LIST: Final = msgspec.json.Decoder(list[str])

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


class Coverage:
    """The versions of one package that a record concerns.

    Where it gives nothing that can be compared, or something that can't, it concerns all of them: a record
    that nobody can read must not open the gate.
    """

    __slots__ = ("_everything", "_lines", "_listed")

    def __init__(self, ecosystem: str, ranges: Iterable[Range], listed: bytes) -> None:
        """Args:
        listed: the versions that the record lists, as compact JSON, or empty.
        """
        lines = [_line(ecosystem, each.events or ()) for each in ranges]
        self._lines: Final = [line for line in lines if line is not None and line.points]
        self._listed: Final = listed
        self._everything: Final = None in lines or not (
            self._lines or any(versions.parse(ecosystem, text) is not None for text in _strings(listed))
        )

    def covers(self, version: Ordered, spelt: Set[str]) -> bool:
        """Whether a version is concerned.

        Args:
            spelt: how the version may stand in a list, as `Spellings` knows it.
        """
        if self._everything:
            return True
        for line in self._lines:
            if line.holds(version):
                return True
        return bool(spelt) and not spelt.isdisjoint(_strings(self._listed))


class Spellings:
    """How the lists of a package's records spell its versions: `1.0`, `1.0.0` and `v1` are one.

    The lists of a package hold thousands of versions, and parsing them would take most of the time of a
    screening. Equal versions have the same digits in the same order, but for zeros, in every ecosystem; only
    those that agree in these are parsed.
    """

    def __init__(self, ecosystem: str, lists: Iterable[bytes]) -> None:
        """Args:
        lists: as compact JSON, or empty.
        """
        self._ecosystem: Final = ecosystem
        self._lists: Final = [each for each in lists if each]
        self._joined: Final = b"".join(self._lists)
        self._plain: Final = self._joined.isascii() and b"\\" not in self._joined
        self._digits: Final = self._joined.translate(None, _INSIGNIFICANT)
        """The same with nothing but the digits that count, in their quotes."""

    def of(self, version: Ordered, text: str) -> Set[str]:
        """The spellings of a version, and of the public one that a local version is a build of.

        Args:
            text: one of its spellings.
        """
        public = versions.public(version)
        meant = {text} if public is version else {text, str(public)}
        return {
            spelling
            for spelling in set().union(*map(self._like, meant))
            if versions.parse(self._ecosystem, spelling) in (version, public)
        }

    def _like(self, text: str) -> Iterable[str]:
        digits = text.encode().translate(None, _INSIGNIFICANT)
        if not digits or not self._plain:
            return set().union(*map(_strings, self._lists))
        return {self._strings[number].decode() for number in self._numbers(b'"%b"' % digits)}

    def _numbers(self, wanted: bytes) -> Iterator[int]:
        """Which strings of the lists have these digits, in their quotes."""
        quotes, start = 0, 0
        while (at := self._digits.find(wanted, start)) >= 0:
            quotes += self._digits.count(b'"', start, at)
            yield quotes // 2
            quotes, start = quotes + 1, at + 1

    @cached_property
    def _strings(self) -> list[bytes]:
        return self._joined.split(b'"')[1::2]


def _strings(listed: bytes) -> list[str]:
    return _LIST.decode(listed) if listed else []


@lru_cache(maxsize=16384)  # a package's records have many a range in common
def fixed_in(ecosystem: str, ranges: tuple[Range, ...]) -> Mapping[str, Ordered]:
    """The versions that a record calls fixed, as far as they are any."""
    texts = [event.fixed for each in ranges for event in each.events or () if event.fixed is not None]
    parsed = ((text, versions.parse(ecosystem, text)) for text in texts)
    return {text: version for text, version in parsed if version is not None}


def comparable(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """The ranges of versions. Those of commits (GIT) have the versions that follow listed beside them."""
    return tuple([each for each in ranges if each.type != "GIT"])


def boundless(ranges: Iterable[Range]) -> bool:
    """Whether one of the ranges has every version, so that a list of some says nothing more."""
    return any(each.events == _EVERY for each in ranges)


@lru_cache(maxsize=16384)
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
