"""Asks the advisory database about every labelled version, as screening does, and counts its errors."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dmz.artifact import Artifact, Kind
from dmz.promotion.advisories.database import Database
from dmz.promotion.entry import APT_PREFIX, Entry
from dmz.promotion.evidence import Source
from dmz.promotion.finding import Nature
from dmz.promotion.versions import PYPI
from dmz.registries.debian import Packages

HERE: Final = Path(__file__).parent
RECORDS: Final = HERE / "records"
CASES: Final = HERE / "cases.toml"

_DIGEST: Final = "0" * 64


@dataclass(frozen=True)
class Case:
    """One version and the answer that is right."""

    ecosystem: str
    name: str
    """Of the distribution or the binary package."""
    version: str
    source: str
    """The field of the index: `samba (2:4.17.12+dfsg-0+deb12u1)`; empty for a distribution."""
    advisory: str
    """Any name of the finding in question."""
    affected: bool
    malware: bool
    """Whether the finding has to say so."""

    def __str__(self) -> str:
        return f"{self.ecosystem} {self.name} {self.version} ({self.advisory})"


@dataclass(frozen=True)
class Measured:
    """What came out."""

    records: int
    """Labelled versions that were asked about."""
    false_alarms: tuple[Case, ...]
    """Not affected, and a finding nevertheless; or affected, and more than one finding for it."""
    misses: tuple[Case, ...]
    """Affected, and no finding, or none of the right nature."""

    @property
    def line(self) -> str:
        """For scripts."""
        return f"records={self.records} false_alarms={len(self.false_alarms)} misses={len(self.misses)}"

    @property
    def right(self) -> bool:
        """Whether nothing is wrong."""
        return not self.false_alarms and not self.misses


def cases(path: Path = CASES) -> list[Case]:
    """All labelled versions; one that stands twice is an error."""
    found = [
        case
        for table in tomllib.loads(path.read_text(encoding="utf-8"))["package"]
        for affected in (True, False)
        for case in _labelled(table, affected)
    ]
    twice = [
        str(key)
        for key, count in Counter(
            (each.ecosystem, each.name, each.version, each.advisory) for each in found
        ).items()
        if count > 1
    ]
    if twice:
        raise ValueError(f"these stand twice: {', '.join(twice)}")
    return found


def _labelled(table: dict[str, object], affected: bool) -> Iterator[Case]:
    texts = table["affected" if affected else "clean"]
    assert isinstance(texts, list)
    ecosystem, name, advisory = (str(table[key]) for key in ("ecosystem", "name", "advisory"))
    package = str(table.get("source", name))
    for text in texts:
        version, _, of_source = text.partition(" ")
        source = "" if ecosystem == PYPI else f"{package} {of_source}".strip()
        yield Case(ecosystem, name, version, source, advisory, affected, bool(table.get("malware", False)))


def measure(source: Source, labelled: Iterable[Case]) -> Measured:
    """Ask for each version, and compare."""
    count, alarms, misses = 0, [], []
    for case in labelled:
        count += 1
        package, version = _asked(case)
        found = [
            each
            for each in source.findings(case.ecosystem, package, version, _DIGEST)
            if case.advisory in each.names
        ]
        if len(found) > case.affected:
            alarms.append(case)
        if case.affected and not any(each.nature is _nature(case) for each in found):
            misses.append(case)
    return Measured(count, tuple(alarms), tuple(misses))


def _nature(case: Case) -> Nature:
    return Nature.MALWARE if case.malware else Nature.VULNERABILITY


def _asked(case: Case) -> tuple[str, str]:
    """Which package and version the sources are asked about: for a deb, those of its source package."""
    if case.ecosystem == PYPI:
        entry = Entry(_wheel(case))
    else:
        index = f"Package: {case.name}\nVersion: {case.version}\nArchitecture: amd64\nSource: {case.source}\n"
        [stanza] = Packages(f"{index}Filename: x.deb\nSize: 1\nSHA256: {_DIGEST}\n".encode())
        entry = Entry(_deb(case, stanza.filename), source=stanza.source, source_version=stanza.source_version)
    return entry.source or entry.artifact.name, entry.source_version or entry.artifact.version


def _wheel(case: Case) -> Artifact:
    filename = f"{case.name.replace('-', '_')}-{case.version}-py3-none-any.whl"
    return Artifact(Kind.PYPI, case.name, "", case.version, filename, _DIGEST, 1, "python-remote")


def _deb(case: Case, filename: str) -> Artifact:
    return Artifact(Kind.APT, case.name, "amd64", case.version, filename, _DIGEST, 1, f"{APT_PREFIX}suite")


def accuracy(path: Path = CASES) -> Measured:
    """A set of cases against the whole database."""
    return measure(Database.open(RECORDS), cases(path))
