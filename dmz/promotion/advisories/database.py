"""The advisories as a source of findings: a snapshot of OSV records, asked by package and version."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Final

from dmz.errors import InputError
from dmz.promotion import versions
from dmz.promotion.advisories.ahead import Ahead, Asked, ahead
from dmz.promotion.advisories.aliases import names, together
from dmz.promotion.advisories.archive import files
from dmz.promotion.advisories.build import Say
from dmz.promotion.advisories.coverage import Coverage, Spellings, fixed_in
from dmz.promotion.advisories.ecosystems import recognise
from dmz.promotion.advisories.index import Index, open_index
from dmz.promotion.advisories.records import moment
from dmz.promotion.advisories.rows import Known, Said
from dmz.promotion.advisories.severity import severity
from dmz.promotion.finding import Finding, Nature, Severity
from dmz.promotion.versions import Ordered, backported, normalised_name, unsigned
from dmz.promotion.wording import printable


class _Package:
    """What the records say of one package."""

    def __init__(self, ecosystem: str, said: Iterable[tuple[int, Said]]) -> None:
        self._ecosystem: Final = ecosystem
        self._said: Final = tuple(
            (number, each, Coverage(ecosystem, each.ranges, each.versions)) for number, each in said
        )
        self._spellings: Final = Spellings(ecosystem, (each.versions for _, each, _ in self._said))

    def concerning(self, version: Ordered, text: str) -> Iterator[tuple[int, Said]]:
        """The records that concern a version, each with its number."""
        spelt = self._spellings.of(version, text)
        return ((number, said) for number, said, coverage in self._said if coverage.covers(version, spelt))

    def mended_by(self, version: Ordered, text: str) -> Iterator[tuple[int, Said]]:
        """The records that call a version fixed, and that don't concern it."""
        spelt = self._spellings.of(version, text)
        return (
            (number, said)
            for number, said, coverage in self._said
            if version in self.fixed(said).values() and not coverage.covers(version, spelt)
        )

    def fixed(self, said: Said) -> Mapping[str, Ordered]:
        """The versions that mend what a record says."""
        return fixed_in(self._ecosystem, said.ranges)


@dataclass(frozen=True, slots=True)
class _Match:
    """A record that concerns the version in question, with what it says."""

    id: str
    aliases: Sequence[str]
    upstream: Sequence[str]
    group: str
    summary: str
    severity: Severity | None
    fixed: Mapping[str, Ordered]


@dataclass(frozen=True)
class Database:
    """A snapshot of advisories (a `dmz.promotion.evidence.Source`)."""

    path: Path
    """Where the records lie."""
    _index: Index
    _ahead: list[Ahead] = field(default_factory=list, compare=False)

    @classmethod
    def open(cls, path: Path, cache: Path | None = None, say: Say = lambda line: None) -> Database:
        """Open a folder of OSV records, an archive as the OSV databases publish it, or one JSON file.

        A folder is searched to any depth for `*.json` (a record, or a list of them) and `*.zip` (a record in
        each `*.json` of it). Where an id stands twice, the record that was modified later holds.

        Args:
            cache: the folder where the index is kept for the next time; None, and wherever there is little to
                read: it is made for this time only.
            say: told what it is at, while it reads for the first time.

        Raises:
            InputError: something in there is no OSV record, or damaged, an id stands twice and nothing says
                which holds, or there is no record: a screening without advisories would admit everything.
        """
        database = cls(path, open_index(files(path), cache, say))
        if not database.count:
            raise InputError(f"{path}: no advisory in there; fetch them with `dmz advisories update`")
        return database

    @property
    def name(self) -> str:
        """Its name in the policy and in findings."""
        return "osv"

    @property
    def count(self) -> int:
        """Records that say something: without those that were withdrawn."""
        return int(self._index.facts["count"])

    @property
    def as_of(self) -> datetime | None:
        """The moment whose knowledge it has; UTC.

        For archives that `dmz advisories update` fetched, what the feed said of itself then, of the oldest of
        them. For others the moment at which the newest record was modified: a lower bound, because nothing
        says for how long afterwards there was no news. None if no record says when it was modified.
        """
        return moment(self._index.facts["as-of"])

    @property
    def fetched(self) -> bool:
        """Whether the feed said how old it is; otherwise `as_of` is a lower bound."""
        return bool(self._index.facts["fetched"])

    @property
    def digest(self) -> str:
        """SHA-256 that names its content.

        Over the id and the SHA-256 of every record that holds and was not withdrawn, in the order of the ids;
        a record's is over its JSON without the space between its parts. So it is the same for a folder, an
        archive, and an archive that was brought up to date piece by piece.
        """
        return self._index.facts["digest"]

    @property
    def ecosystems(self) -> dict[str, int]:
        """Records of each ecosystem that screening can ask for."""
        return dict(self._index.ecosystems)

    def covers(self, ecosystem: str) -> bool:
        """Whether there is any record of an ecosystem: without one, no answer means anything."""
        ours = recognise(ecosystem)
        return ours is not None and ours.key in self._index.ecosystems

    @contextmanager
    def expecting(self, asked: Sequence[Asked]) -> Iterator[None]:
        """Look up ahead, with the other processors, what will be asked for; where these are many.

        Args:
            asked: arguments of `findings`, in the order in which they will come.
        """
        if self._index.path is None:
            yield
            return
        with ahead(self._index.path, asked) as found:
            self._ahead[:] = [found] if found else []
            try:
                yield
            finally:
                self._ahead.clear()

    def findings(self, ecosystem: str, name: str, version: str, sha256: str = "") -> tuple[Finding, ...]:
        """What is known against a version.

        Args:
            ecosystem: `PyPI`, or a distribution with its release: `Debian:12`, `Ubuntu:22.04:LTS`.
            name: of the distribution, or of the Debian *source* package, which those advisories name.
            version: of the distribution, or of the source package.
            sha256: not looked at; records speak of versions.

        Raises:
            InputError: the ecosystem has no such version.
        """
        for each in self._ahead:
            if (found := each.of((ecosystem, name, version))) is not None:
                return found
        name, version = unsigned(ecosystem, name, version)
        backport = backported(ecosystem, version)
        if backport and self.covers(backport[0]):
            # It is the next release's version, which this release's fixes say nothing of.
            ecosystem, version = backport
        asked, package = self._asked(ecosystem, name, version)
        return self._findings(package, package.concerning(asked, version)) if package else ()

    def mends(self, ecosystem: str, name: str, version: str) -> tuple[Finding, ...]:
        """The findings of which a version is the fix, as their records say.

        Raises:
            InputError: the ecosystem has no such version.
        """
        asked, package = self._asked(ecosystem, name, version)
        return self._findings(package, package.mended_by(asked, version)) if package else ()

    def _asked(self, ecosystem: str, name: str, version: str) -> tuple[Ordered, _Package | None]:
        parsed = versions.parse(ecosystem, version)
        if parsed is None:
            raise InputError(f"{name}: '{printable(version, 80)}' is no version in {ecosystem}; correct it")
        ours = recognise(ecosystem)
        return parsed, ours and self._package(ours.key, normalised_name(ecosystem, name))

    @cached_property
    def _package(self) -> Callable[[str, str], _Package | None]:
        # A new resolution asks for every version of a few packages.
        @lru_cache(maxsize=64)
        def package(key: str, name: str) -> _Package | None:
            said = self._index.said(key, name)
            return _Package(key, said) if said else None

        return package

    def _findings(self, package: _Package, concerning: Iterable[tuple[int, Said]]) -> tuple[Finding, ...]:
        found = list(concerning)
        if not found:
            return ()
        records = self._index.known({number for number, _ in found})
        matched = [_match(package, *records[number], said) for number, said in found]
        groups = together(sorted(matched, key=lambda each: each.id), lambda each: each.severity)
        return tuple(sorted(map(_finding, groups), key=lambda found: (found.label, found.id)))


def _match(package: _Package, known: Known, group: str, said: Said) -> _Match:
    rated = severity((*said.scores, *known.scores), said.words)
    fixed = package.fixed(said)
    return _Match(known.id, known.aliases, known.upstream, group, known.summary, rated, fixed)


def _finding(group: Sequence[_Match]) -> Finding:
    first = group[0]
    called = sorted({name for each in group for name in names(each)})
    fixed = {text: version for each in group for text, version in each.fixed.items()}
    return Finding(
        id=first.id,
        aliases=tuple(name for name in called if name != first.id),
        summary=next((printable(each.summary, 160) for each in group if each.summary), ""),
        severity=max((each.severity for each in group if each.severity is not None), default=None),
        fixed=tuple(sorted(fixed, key=fixed.__getitem__)),
        # OSV's records of malware have ids `MAL-…`.
        nature=Nature.MALWARE if any(name.startswith("MAL-") for name in called) else Nature.VULNERABILITY,
    )
