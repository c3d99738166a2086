"""Which records of a package mean a version: those whose ranges hold it, and those that list it.

See https://ossf.github.io/osv-schema/#evaluation
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dmz.promotion import versions
from dmz.promotion.advisories.listed import Listed, Sought
from dmz.promotion.advisories.ranges import bounds
from dmz.promotion.advisories.stored import Said, versions_of
from dmz.promotion.versions import Ordered


class Coverage:
    """What the records say of one package.

    One that gives nothing which can be compared concerns every version: a record that nobody can read must
    not open the gate.
    """

    def __init__(self, ecosystem: str, said: Sequence[Said]) -> None:
        self._ecosystem: Final = ecosystem
        self._said: Final = said
        self._lists: Final[dict[bytes, Listed]] = {}

    def concerning(self, version: Ordered, text: str) -> list[Said]:
        """The records that concern a version.

        Args:
            text: one of its spellings.
        """
        sought = Sought.of(version, text)
        # A package's records have many a range and a list in common.
        held: dict[bytes, bool | None] = {}
        has: dict[bytes, bool] = {}
        found: list[Said] = []
        for each in self._said:
            _, ranges, listed, _ = each
            if ranges in held:
                holds = held[ranges]
            else:
                holds = held[ranges] = bounds(self._ecosystem, ranges).hold(version)
            if holds is None and not self._comparable(listed):
                holds = True
            if listed and not holds:
                if listed not in has:
                    has[listed] = self._listed(listed).has(sought)
                holds = has[listed]
            if holds:
                found.append(each)
        return found

    def mended_by(self, version: Ordered, text: str) -> list[Said]:
        """The records that call a version fixed, and that don't concern it."""
        concerning = set(self.concerning(version, text))
        return [
            each
            for each in self._said
            if version in bounds(self._ecosystem, each[1]).fixed.values() and each not in concerning
        ]

    def _comparable(self, listed: bytes) -> bool:
        return any(versions.parse(self._ecosystem, text) is not None for text in versions_of(listed))

    def _listed(self, packed: bytes) -> Listed:
        if packed not in self._lists:
            self._lists[packed] = Listed(self._ecosystem, packed)
        return self._lists[packed]
