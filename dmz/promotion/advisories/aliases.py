"""Which records are about the same: one finding for one vulnerability, and never one for two.

`aliases` is symmetric and transitive, `upstream` is neither: a distribution's record *passes on* the
vulnerabilities that it lists there (https://ossf.github.io/osv-schema/#aliases-field). For one package, the
record about one vulnerability and the distribution's about the same one are one finding. A record about
several (a security notice, or one whose aliases are several CVEs) is none of them: whoever accepts one of the
vulnerabilities has not accepted the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from dmz.promotion.finding import Severity
from dmz.promotion.versions import Ordered

_CVE: Final = "CVE-"


class Match(Struct, frozen=True, gc=False):
    """A record that concerns the version in question, with what it says."""

    id: str
    names: Sequence[str]
    """What its finding may be called."""
    subjects: Sequence[str]
    """The CVEs that it is about, sorted."""
    group: str
    """What its aliases lead to, directly or by way of other records."""
    summary: str
    severity: Severity | None
    fixed: Mapping[str, Ordered]
    """The versions that mend it."""


class Groups:
    """Names that mean the same, directly or by way of others (union-find)."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def __contains__(self, name: str) -> bool:
        """Whether anything else means the same."""
        return name in self._parent

    def __getitem__(self, name: str) -> str:
        root = name
        while (parent := self._parent.get(root, root)) != root:
            root = parent
        while (parent := self._parent.get(name, root)) != root:
            self._parent[name], name = root, parent
        return root

    def join(self, name: str, others: Iterable[str]) -> None:
        """All of these mean the same."""
        root = self._parent[name] = self[name]
        for other in others:
            self._parent[self[other]] = root


def subjects(identity: str, aliases: Sequence[str], upstream: Sequence[str]) -> Sequence[str]:
    """The CVEs that a record is about, by its own name, its aliases or what it passes on; sorted."""
    found = [name for name in (identity, *aliases, *upstream) if name.startswith(_CVE)]
    return sorted(set(found)) if len(found) > 1 else found


def names(identity: str, aliases: Sequence[str], about: Sequence[str]) -> Sequence[str]:
    """What a record's finding may be called; of a record about several CVEs, none of them."""
    if len(about) == 1:
        return (identity, *aliases, *about)
    return (identity, *[name for name in aliases if name not in about])


def together(records: Iterable[Match]) -> list[list[Match]]:
    """The records about one package, those about the same vulnerability together.

    A record about several vulnerabilities comes alone, and not at all if each of them has a record of its own
    here and none of what it says is worse.
    """
    several: dict[str, list[Match]] = defaultdict(list)
    unnamed: list[Match] = []
    about: dict[str, list[Match]] = defaultdict(list)
    for record in records:
        match record.subjects:
            case [cve]:
                about[cve].append(record)
            case []:
                unnamed.append(record)
            case _:
                several[record.id].append(record)
    others = _led(unnamed, about)
    alone = [each for each in several.values() if not all(_told(one, about) for one in each)]
    return [*about.values(), *others.values(), *alone]


def _led(unnamed: Sequence[Match], about: dict[str, list[Match]]) -> Mapping[str, list[Match]]:
    """Put records that name no CVE to the one that their aliases lead to; those that stay, by group."""
    others: dict[str, list[Match]] = defaultdict(list)
    if not unnamed:
        return others
    led: dict[str, set[str]] = defaultdict(set)
    for cve, records in about.items():
        for record in records:
            led[record.group].add(cve)
    for record in unnamed:
        # By way of its aliases it is about one CVE, or nobody says about which.
        match sorted(led[record.group]):
            case [cve]:
                about[cve].append(record)
            case _:
                others[record.group].append(record)
    return others


def _told(record: Match, about: Mapping[str, Sequence[Match]]) -> bool:
    if any(cve not in about for cve in record.subjects):
        return False
    rated = [each.severity for cve in record.subjects for each in about[cve] if each.severity is not None]
    return record.severity is None or (bool(rated) and record.severity <= max(rated))
