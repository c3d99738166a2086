"""Advisories: OSV records, and which of them concern a version (https://ossf.github.io/osv-schema/)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cmp_to_key
from pathlib import Path
from typing import Any, Final

from cvss import CVSS3, CVSS4
from cvss.exceptions import CVSSError
from packaging.utils import canonicalize_name
from pydantic import BaseModel, ConfigDict, ValidationError

from dmz.errors import InputError
from dmz.promotion import versions
from dmz.promotion.finding import Finding, Nature, Severity
from dmz.promotion.versions import PYPI, Ordered
from dmz.promotion.wording import printable, problem

_DISTRIBUTIONS: Final = ("Debian:", "Ubuntu:")


_WORDS: Final[Mapping[str, Severity]] = {
    "negligible": Severity.LOW,
    "unimportant": Severity.LOW,
    "low": Severity.LOW,
    "moderate": Severity.MEDIUM,
    "medium": Severity.MEDIUM,
    "important": Severity.HIGH,
    "high": Severity.HIGH,
    "critical": Severity.CRITICAL,
}
"""GitHub's, Ubuntu's and Debian's words. Any other word says nothing."""


class _Lenient(BaseModel):
    # Only what is used is looked at: databases add fields of their own to their records.
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class _Score(_Lenient):
    type: str
    score: str


class _Range(_Lenient):
    type: str
    events: list[dict[str, str]] = []


class _Package(_Lenient):
    ecosystem: str
    name: str


class _Affected(_Lenient):
    package: _Package | None = None
    ranges: list[_Range] = []
    versions: list[str] = []
    severity: list[_Score] = []
    ecosystem_specific: dict[str, Any] | None = None
    database_specific: dict[str, Any] | None = None


class _Osv(_Lenient):
    id: str
    withdrawn: str | None = None
    aliases: list[str] = []
    summary: str = ""
    details: str = ""
    severity: list[_Score] = []
    affected: list[_Affected] = []
    database_specific: dict[str, Any] | None = None


@dataclass(frozen=True)
class _Event:
    at: Ordered | None
    """None: the beginning, before every version."""
    rank: int
    """Order of events at one version: fixed, introduced, last affected."""


_RANKS: Final[Mapping[str, int]] = {"fixed": 0, "limit": 0, "introduced": 1, "last_affected": 2}


@dataclass(frozen=True)
class _Concern:
    """What one record says of one package."""

    record: _Osv
    affected: _Affected
    ranges: tuple[tuple[_Event, ...], ...]
    listed: frozenset[Ordered]
    everything: bool
    """The record gives nothing that versions can be compared with, so that it concerns all of them."""
    fixed: tuple[str, ...] = field(default=())

    def covers(self, version: Ordered) -> bool:
        return (
            self.everything
            or version in self.listed
            or any(_within(events, version) for events in self.ranges)
        )


@dataclass(frozen=True)
class Advisories:
    """A set of advisories, found by ecosystem and package name."""

    _concerns: Mapping[tuple[str, str], tuple[_Concern, ...]]
    _groups: Mapping[str, str]
    """Id or alias → the group of names that mean the same."""
    count: int
    """Records that were read, without the withdrawn ones."""

    @classmethod
    def load(cls, path: Path) -> Advisories:
        """Read a folder of OSV files (`*.json`, also in folders below), or one file with a list of records.

        Raises:
            InputError: something in there is no OSV record, an id stands twice, or there is no record: a
                screening without advisories would admit everything.
        """
        found: dict[str, tuple[_Osv, Path]] = {}
        for source, document in _documents(path):
            record = _record(source, document)
            if record.id in found:
                raise InputError(
                    f"{source}: {record.id} stands in {found[record.id][1]} too; keep one of the two"
                )
            found[record.id] = (record, source)
        if not found:
            raise InputError(f"{path}: no advisory in there; give a folder of OSV records (advisories/)")
        return cls.of(record for record, _ in found.values() if record.withdrawn is None)

    @classmethod
    def of(cls, records: Iterable[_Osv]) -> Advisories:
        """Index parsed records."""
        concerns: dict[tuple[str, str], list[_Concern]] = {}
        groups = _Groups()
        count = 0
        for record in sorted(records, key=lambda each: each.id):
            count += 1
            groups.join(record.id, record.aliases)
            for affected in record.affected:
                package = affected.package
                if package and (package.ecosystem == PYPI or package.ecosystem.startswith(_DISTRIBUTIONS)):
                    key = (package.ecosystem, _name(package.ecosystem, package.name))
                    concerns.setdefault(key, []).append(_concern(record, affected, package.ecosystem))
        return cls({key: tuple(each) for key, each in concerns.items()}, groups.all(), count)

    def findings(self, ecosystem: str, name: str, version: str) -> tuple[Finding, ...]:
        """What is known against a version.

        Args:
            ecosystem: `PyPI`, or a distribution with its release: `Debian:12`, `Ubuntu:22.04:LTS`.
            name: of the distribution, or of the Debian *source* package, which those advisories name.
            version: of the distribution, or of the source package.

        Raises:
            InputError: the ecosystem has no such version.
        """
        parsed = versions.parse(ecosystem, version)
        if parsed is None:
            raise InputError(f"{name}: '{printable(version, 80)}' is no version in {ecosystem}; correct it")
        groups: dict[str, list[_Concern]] = {}
        for concern in self._concerns.get((ecosystem, _name(ecosystem, name)), ()):
            if concern.covers(parsed):
                groups.setdefault(self._groups[concern.record.id], []).append(concern)
        return tuple(
            sorted((_finding(ecosystem, group) for group in groups.values()), key=lambda found: found.label)
        )


def _documents(path: Path) -> Iterator[tuple[Path, Any]]:
    if not path.exists():
        raise InputError(f"{path}: no such advisories; give a folder of OSV records (advisories/)")
    for source in sorted(path.rglob("*.json")) if path.is_dir() else [path]:
        try:
            document = json.loads(source.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{source}: no JSON ({printable(str(error))}); correct or remove it") from None
        for each in document if isinstance(document, list) else [document]:
            yield source, each


def _record(source: Path, document: Any) -> _Osv:
    try:
        return _Osv.model_validate(document)
    except ValidationError as error:
        raise InputError(f"{source}: no OSV record ({problem(error)}); correct or remove it") from None


def _name(ecosystem: str, name: str) -> str:
    return canonicalize_name(name) if ecosystem == PYPI else name


class _Groups:
    """Names that mean the same, directly or by way of others (union-find)."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def _root(self, name: str) -> str:
        self._parent.setdefault(name, name)
        while (parent := self._parent[name]) != name:
            self._parent[name] = self._parent[parent]
            name = parent
        return name

    def join(self, name: str, others: Iterable[str]) -> None:
        root = self._root(name)
        for other in others:
            self._parent[self._root(other)] = root

    def all(self) -> dict[str, str]:
        return {name: self._root(name) for name in self._parent}


def _concern(record: _Osv, affected: _Affected, ecosystem: str) -> _Concern:
    ranges: list[tuple[_Event, ...]] = []
    fixed: list[str] = []
    comparable = True
    for each in affected.ranges:
        # GIT ranges speak of commits; databases list the versions that follow from them beside.
        if each.type == "GIT":
            continue
        events: list[_Event] = []
        for event in each.events:
            for kind, text in event.items():
                if kind == "limit" and text == "*":
                    continue
                beginning = kind == "introduced" and text == "0"
                at = None if beginning else versions.parse(ecosystem, text)
                comparable &= kind in _RANKS and (at is not None or beginning)
                if comparable:
                    events.append(_Event(at, _RANKS[kind]))
                if kind == "fixed":
                    fixed.append(text)
        ranges.append(tuple(sorted(events, key=cmp_to_key(_by_version))))
    listed = {versions.parse(ecosystem, text) for text in affected.versions}
    known = frozenset(version for version in listed if version is not None)
    return _Concern(
        record=record,
        affected=affected,
        ranges=tuple(ranges) if comparable else (),
        listed=known,
        everything=not comparable or not (any(ranges) or known),
        fixed=tuple(fixed),
    )


def _by_version(one: _Event, other: _Event) -> int:
    if _before(one.at, other.at):
        return -1
    return 1 if _before(other.at, one.at) else one.rank - other.rank


def _before(one: Ordered | None, other: Ordered | None) -> bool:
    if one is None or other is None:
        return one is None and other is not None
    return one < other


def _within(events: tuple[_Event, ...], version: Ordered) -> bool:
    """The schema's evaluation: walk the events in order and see in which state the version is left."""
    affected = False
    for event in events:
        if event.rank == _RANKS["last_affected"]:
            affected &= event.at is not None and version <= event.at
        elif event.at is None or event.at <= version:
            affected = event.rank == _RANKS["introduced"]
    return affected


def _finding(ecosystem: str, group: list[_Concern]) -> Finding:
    records = [concern.record for concern in group]
    names = sorted({name for record in records for name in (record.id, *record.aliases)})
    severities = [severity for concern in group if (severity := _severity(concern)) is not None]
    texts = [text for record in records for text in (record.summary, record.details) if text.strip()]
    known = {
        text: at
        for concern in group
        for text in concern.fixed
        if (at := versions.parse(ecosystem, text)) is not None
    }
    return Finding(
        id=records[0].id,
        aliases=tuple(name for name in names if name != records[0].id),
        summary=printable(texts[0], 160) if texts else "",
        severity=max(severities) if severities else None,
        fixed=tuple(sorted(known, key=lambda text: known[text])),
        # OSV's records of malware have ids `MAL-…`.
        nature=Nature.MALWARE if any(name.startswith("MAL-") for name in names) else Nature.VULNERABILITY,
    )


def _severity(concern: _Concern) -> Severity | None:
    scores = [*concern.affected.severity, *concern.record.severity]
    rated = [rating for score in scores if (rating := _rating(score)) is not None]
    if rated:
        return max(rated)
    words = [
        (concern.affected.database_specific or {}).get("severity"),
        (concern.affected.ecosystem_specific or {}).get("urgency"),
        (concern.record.database_specific or {}).get("severity"),
    ]
    known = [_WORDS[word.lower()] for word in words if isinstance(word, str) and word.lower() in _WORDS]
    return max(known) if known else None


def _rating(score: _Score) -> Severity | None:
    try:
        match score.type:
            case "CVSS_V3":
                return Severity[CVSS3(score.score).severities()[0].upper()]
            case "CVSS_V4":
                return Severity[CVSS4(score.score).severity.upper()]
            case "Ubuntu":
                return _WORDS.get(score.score.lower())
            case _:
                return None
    except (CVSSError, KeyError):
        return None
