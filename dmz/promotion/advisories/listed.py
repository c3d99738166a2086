"""Lists of versions, asked in whatever spelling: `1.0`, `1.0.0` and `v1` are one.

The lists of a package hold thousands of versions, and parsing them would take most of the time of a
screening. Equal versions have the same digits in the same order, but for zeros, in every ecosystem; only
those that agree in these are parsed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from dmz.promotion import versions
from dmz.promotion.advisories.stored import plain, versions_of
from dmz.promotion.versions import Ordered

_INSIGNIFICANT: Final = bytes(number for number in range(256) if chr(number) not in '123456789"')
"""All but the digits that tell versions apart, and the ends of strings."""


class Sought(NamedTuple):
    """A version that is looked for in lists."""

    meant: tuple[Ordered, ...]
    """The version, and the public one that a local version is a build of."""
    digits: tuple[bytes, ...]
    """The digits that count of each, in quotes, as they stand in a list that has it."""

    @classmethod
    def of(cls, version: Ordered, text: str) -> Sought:
        """Args:
        text: a spelling of the version.
        """
        public = versions.public(version)
        if public is version:
            return cls((version,), (_digits(text),))
        return cls((version, public), (_digits(text), _digits(str(public))))


class Listed:
    """The versions that a record lists."""

    __slots__ = ("_digits", "_ecosystem", "_packed")

    def __init__(self, ecosystem: str, packed: bytes) -> None:
        """Args:
        packed: as an index has them.
        """
        text = plain(packed)
        self._ecosystem: Final = ecosystem
        self._packed: Final = packed
        self._digits: Final = text.translate(None, _INSIGNIFICANT) if _is_plain(text) else None
        """The list with nothing but the digits that count, in quotes; None: something is escaped."""

    def has(self, sought: Sought) -> bool:
        """Whether a version is one of them."""
        if self._digits is None:
            return any(self._is(sought, text) for text in versions_of(self._packed))
        for digits in sought.digits:
            if digits in self._digits:
                every = versions_of(self._packed)
                if any(self._is(sought, every[place]) for place in _places(digits, self._digits)):
                    return True
        return False

    def _is(self, sought: Sought, text: str) -> bool:
        return versions.parse(self._ecosystem, text) in sought.meant


def _digits(text: str) -> bytes:
    return b'"%b"' % text.encode().translate(None, _INSIGNIFICANT)


def _is_plain(text: bytes) -> bool:
    return text.isascii() and b"\\" not in text


def _places(wanted: bytes, digits: bytes) -> Iterator[int]:
    """Which strings of a list have these digits, in quotes; where there are none, their neighbours too."""
    quotes, start = 0, 0
    while (at := digits.find(wanted, start)) >= 0:
        quotes += digits.count(b'"', start, at)
        yield quotes // 2
        quotes, start = quotes + 1, at + 1
