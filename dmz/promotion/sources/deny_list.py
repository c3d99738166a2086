"""The deny list: what somebody here does not want inside, whatever the advisories say.

A TOML file in the checkout:

    [[deny]]
    ecosystem = "PyPI"
    name = "example"
    versions = ">=1.0,<1.4"        # left out: every version
    reason = "its maintainer's account was taken over"
    who = "security@example.com"

A distribution's packages are named by their *source* package, with relations as in a Debian control file:
`ecosystem = "Debian:12"`, `versions = "<< 1.4-2"`; `Debian` alone stands for every release.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dmz.errors import InputError
from dmz.promotion import versions
from dmz.promotion.finding import Finding, Nature
from dmz.promotion.sources import listed
from dmz.promotion.sources.listed import Listed, Said


class Denied(Listed):
    """One entry."""

    reason: Said
    """Why it may not enter; people read it in every refusal."""
    who: Said
    """Whom to ask."""

    @property
    def finding(self) -> Finding:
        """What it says against the versions that it covers."""
        return Finding(
            id=f"DENIED-{self.ecosystem}-{self.key[1]}".replace(":", "-"),
            aliases=(),
            summary=f"denied by {self.who}: {self.reason}",
            severity=None,
            fixed=(),
            nature=Nature.DENIED,
            source=DenyList.name,
        )


@dataclass(frozen=True)
class DenyList:
    """A deny list, as a source of findings."""

    _entries: Mapping[tuple[str, str], Sequence[Denied]]
    digest: str
    """SHA-256 of the file."""
    name = "deny-list"
    as_of = None
    """It does not age."""

    @classmethod
    def read(cls, path: Path) -> DenyList:
        """Read a list; an empty one denies nothing.

        Raises:
            InputError: there is none, or something in it is no entry.
        """
        body = listed.read(path, "deny list")
        entries: dict[tuple[str, str], list[Denied]] = {}
        denied = listed.tables(body, path, ("deny",))["deny"]
        for number, entry in enumerate(listed.rows(Denied, denied, f"{path}: deny"), 1):
            same = entries.setdefault(entry.key, [])
            if any((entry.ecosystem, entry.versions) == (each.ecosystem, each.versions) for each in same):
                raise InputError(f"{path}: deny {number}: {entry.name} stands twice; keep one of the two")
            same.append(entry)
        return cls(entries, listed.digest([body]))

    def findings(self, ecosystem: str, name: str, version: str, sha256: str = "") -> tuple[Finding, ...]:
        """One for each entry that names this version."""
        key = (listed.distribution(ecosystem), versions.normalised_name(ecosystem, name))
        return tuple(
            entry.finding
            for entry in self._entries.get(key, ())
            if entry.concerns(ecosystem) and entry.covers(version)
        )
