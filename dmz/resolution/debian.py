"""Resolving a workload's Debian packages against the outer suites, for the base image, by apt itself.

apt gets the part of the indexes that it could take anything from: what is asked for, and all that this
depends on in any version, by name or by what a package provides. The rest could not change its answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from debian.deb822 import Deb822, PkgRelation

from dmz.promotion.installed import Installed
from dmz.registries.index import AptSuites, Found
from dmz.resolution.apt import Planned, simulate

_NEEDS: Final = ("Pre-Depends", "Depends")


class DebianResolution:
    """What the suites offer to a base image, as far as these packages may need it."""

    def __init__(
        self,
        offered: Mapping[str, Sequence[tuple[Found, bytes]]],
        base: Sequence[Installed],
        architecture: str,
    ) -> None:
        self._offered = offered
        self._base = base
        self._architecture = architecture

    @classmethod
    async def of(
        cls, suites: AptSuites, names: Iterable[str], base: Sequence[Installed], architecture: str
    ) -> DebianResolution:
        """Read what is needed of the suites."""
        offered: dict[str, Sequence[tuple[Found, bytes]]] = {}
        waiting = [*names]
        while waiting:
            name = waiting.pop()
            if name in offered:
                continue
            offered[name] = await suites.texts(name)
            waiting += await suites.providers(name)
            for _, text in offered[name]:
                waiting += needs(text)
        return cls(offered, base, architecture)

    def versions(self, name: str) -> list[Found]:
        """All that the suites have of a package, in their order."""
        return [found for found, _ in self._offered.get(name, ())]

    async def plan(
        self,
        names: Sequence[str],
        without: Collection[tuple[str, str]] = (),
        pins: Mapping[str, str] | None = None,
    ) -> list[tuple[Planned, Found]]:
        """What apt would install, and where that comes from.

        Args:
            without: (package, version) that are not to be had.
            pins: the one version of a package that is to be had.

        Raises:
            AptMissingError, AptUnsatisfiableError: as `simulate` does.
        """
        pins = pins or {}
        there = [
            (found, text)
            for name, offered in self._offered.items()
            for found, text in offered
            if (name, found.stanza.version) not in without
            and pins.get(name, found.stanza.version) == found.stanza.version
        ]
        planned = await simulate(names, (text for _, text in there), self._base, self._architecture)
        places = {
            (found.stanza.package, found.stanza.architecture, found.stanza.version): found
            for found, _ in reversed(there)
        }
        return [(each, places[each.name, each.architecture, each.version]) for each in planned]


def needs(stanza: bytes) -> set[str]:
    """The names, real or virtual, that a package depends on, with all alternatives."""
    fields = Deb822(stanza)
    return {
        str(alternative["name"])
        for field in _NEEDS
        if field in fields
        for alternatives in PkgRelation.parse_relations(" ".join(fields[field].split()))
        for alternative in alternatives
    }
