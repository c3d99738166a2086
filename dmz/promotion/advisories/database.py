"""The advisories as a source of findings: a snapshot of OSV records, asked by package and version."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from dmz.errors import InputError
from dmz.promotion import versions
from dmz.promotion.advisories.ahead import Ahead, Asked, started, worth
from dmz.promotion.advisories.archive import files
from dmz.promotion.advisories.build import Say
from dmz.promotion.advisories.ecosystems import recognise
from dmz.promotion.advisories.index import Index
from dmz.promotion.advisories.kept import open_index
from dmz.promotion.advisories.lookup import Lookup, Question
from dmz.promotion.advisories.records import moment
from dmz.promotion.finding import Finding
from dmz.promotion.versions import backported, normalised_name, unsigned
from dmz.promotion.wording import printable


class Database:
    """A snapshot of advisories (a `dmz.promotion.evidence.Source`)."""

    def __init__(self, path: Path, index: Index, expected: int = 0) -> None:
        """Args:
        path: where the records lie.
        index: made of them.
        expected: how many versions it will be asked for at once, as far as that is known.
        """
        self.path: Final = path
        self._index: Final = index
        self._lookup: Final = Lookup(index)
        self._other = started(index.path) if worth(expected) else None
        """It starts while the questions are gathered."""
        self._ahead: Ahead | None = None

    @classmethod
    def open(
        cls, path: Path, cache: Path | None = None, say: Say = lambda line: None, expected: int = 0
    ) -> Database:
        """Open a folder of OSV records, an archive as the OSV databases publish it, or one JSON file.

        A folder is searched to any depth for `*.json` (a record, or a list of them) and `*.zip` (a record in
        each `*.json` of it). Where an id stands twice, the record that was modified later holds.

        Args:
            cache: the folder where the index is kept for the next time; None, and wherever there is little to
                read: it is made for this time only.
            say: told what it is at, while it reads for the first time.
            expected: how many versions it will be asked for at once, as far as that is known.

        Raises:
            InputError: something in there is no OSV record, or damaged, an id stands twice and nothing says
                which holds, or there is no record: a screening without advisories would admit everything.
        """
        database = cls(path, open_index(files(path), cache, say), expected)
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
        questions: dict[Asked, Question] = {}
        for each in asked:
            with suppress(InputError):  # said when it is asked
                questions[each] = self._question(*each)
        other = None
        if worth(len(questions)):
            other, self._other = self._other or started(self._index.path), None
        if other is None:
            yield
            return
        self._ahead = Ahead(questions, self._lookup.findings, other)
        try:
            yield
        finally:
            self._ahead = None
            other.end()

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
        if self._ahead and (found := self._ahead.of((ecosystem, name, version))) is not None:
            return found
        return self._lookup.findings(self._question(ecosystem, name, version))

    def mends(self, ecosystem: str, name: str, version: str) -> tuple[Finding, ...]:
        """The findings of which a version is the fix, as their records say.

        Raises:
            InputError: the ecosystem has no such version.
        """
        return self._lookup.mends(_question(ecosystem, name, version))

    def _question(self, ecosystem: str, name: str, version: str) -> Question:
        """What to look up for a version.

        Raises:
            InputError: the ecosystem has no such version.
        """
        name, version = unsigned(ecosystem, name, version)
        backport = backported(ecosystem, version)
        if backport and self.covers(backport[0]):
            # It is the next release's version, which this release's fixes say nothing of.
            ecosystem, version = backport
        return _question(ecosystem, name, version)


def _question(ecosystem: str, name: str, version: str) -> Question:
    if versions.parse(ecosystem, version) is None:
        raise InputError(f"{name}: '{printable(version, 80)}' is no version in {ecosystem}; correct it")
    ours = recognise(ecosystem)
    return ours.key if ours else ecosystem, normalised_name(ecosystem, name), version
