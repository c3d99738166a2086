"""What the repositories hold: one row a file, found by package and version; the bytes lie in blobs."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sandbox.cloud.artifact_registry.lag import Lag
from sandbox.cloud.artifact_registry.repository import Repository
from sandbox.cloud.context import Cloud
from sandbox.cloud.errors import ApiError, already_exists, not_found
from sandbox.cloud.storage.blobs import Blobs, Digests
from sandbox.cloud.storage.objects import timestamp, transaction

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS files (
    repository TEXT NOT NULL, epoch TEXT NOT NULL, id TEXT NOT NULL,
    package TEXT NOT NULL, version TEXT NOT NULL,
    size INTEGER NOT NULL, sha256 TEXT NOT NULL, md5 TEXT NOT NULL, crc32c INTEGER NOT NULL,
    details TEXT NOT NULL, created TEXT NOT NULL, fetched TEXT,
    PRIMARY KEY (repository, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS files_by_version ON files (repository, package, version);
CREATE INDEX IF NOT EXISTS files_by_content ON files (sha256);
"""
_COLUMNS: Final = "id, package, version, size, sha256, md5, crc32c, details, created, fetched"
_LISTED: Final = _COLUMNS.replace("details", "'{}'")
"""Without what a listing has no use for, and what takes longest to read."""
_BY_VERSION: Final = "INDEXED BY files_by_version"
"""SQLite, which has no statistics here, would go through the whole repository by id for one package."""


@dataclass(frozen=True)
class Entry:
    """One file of a repository."""

    id: str
    """Its path in the repository: `jax/jax-0.4-py3-none-any.whl`, `pool/hello_2.10_amd64_MD5.deb`."""
    package: str
    version: str
    digests: Digests
    details: Mapping[str, Any] = field(default_factory=dict)
    """What its index needs besides: `requires_python`, or the `control` stanza."""
    created: str = ""
    fetched: str | None = None
    """When it was fetched from upstream; remote repositories only."""

    @property
    def filename(self) -> str:
        """The last part of the id."""
        return self.id.rpartition("/")[2]


class Catalog:
    """The files of all repositories of one cloud; for use from the event loop only."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        folder = cloud.root / "artifacts"
        self.blobs = Blobs(folder, exclusive=True)
        """Bytes of standard repositories."""
        self.fetched = Blobs(cloud.cache / "upstream", exclusive=False)
        """Bytes that remotes fetched, shared by all sandboxes that use this cache folder."""
        self._database = sqlite3.connect(folder / "artifacts.sqlite", isolation_level=None)
        self._database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _SCHEMA)
        self._rename_earlier()
        held = self._database.execute("SELECT DISTINCT sha256 FROM files WHERE fetched IS NULL").fetchall()
        self.blobs.keep_only({sha256 for (sha256,) in held})
        self._revisions: Counter[str] = Counter()
        self._epochs: dict[str, str] = {}
        """Of the repositories whose earlier contents, of one of the same name, are known to be gone."""
        said = cloud.options
        self._listings: Lag[list[Entry]] = Lag(said.listing_lag_requests, said.listing_lag_seconds)
        self._suites: Lag[tuple[int, list[Entry]]] = Lag(said.suite_lag_requests, said.suite_lag_seconds)

    def path(self, entry: Entry) -> Path:
        """Where the file's bytes lie."""
        return (self.fetched if entry.fetched else self.blobs).path(entry.digests.sha256)

    def revision(self, repository: Repository) -> int:
        """Counts the changes to a repository since the cloud was opened."""
        return self._revisions[repository.name]

    def get(self, repository: Repository, file_id: str) -> Entry | None:
        """The file of that id, if the repository holds it."""
        return next(iter(self._select(repository, "id = ?", file_id)), None)

    def files(
        self, repository: Repository, package: str | None = None, version: str | None = None
    ) -> list[Entry]:
        """All files by id, or those of one package or version."""
        if package is None:
            return self._select(repository, "TRUE")
        if version is None:
            return self._select(repository, "package = ?", package, using=_BY_VERSION)
        return self._select(repository, "package = ? AND version = ?", package, version, using=_BY_VERSION)

    def page(self, repository: Repository, after: str, size: int) -> list[Entry]:
        """The next files of a listing by id, one more than `size` if there are more; without their `details`.

        `after` is the last id of the page before; with none, a listing begins.
        """
        old = self._listings.told(repository.name, counted=not after)
        if old is not None:
            return [entry for entry in old if entry.id > after][: size + 1]
        return self._select(repository, "id > ?", after, columns=_LISTED, limit=size + 1)

    def listed(self, repository: Repository) -> list[Entry]:
        """All files as a listing has them, by id; without their `details`."""
        old = self._listings.told(repository.name)
        return self._select(repository, "TRUE", columns=_LISTED) if old is None else old

    def suite(self, repository: Repository, *, counted: bool) -> tuple[int, Callable[[], list[Entry]]]:
        """What an index of the repository is made from: its revision, and the files.

        `counted` is for the file that a reader asks for first.
        """
        old = self._suites.told(repository.name, counted=counted)
        if old is not None:
            revision, entries = old
            return revision, lambda: entries
        return self.revision(repository), lambda: self.files(repository)

    def add(self, repository: Repository, entry: Entry) -> Entry:
        """Make published bytes readable as a file of the repository.

        Raises:
            ApiError: the repository has a file of that id, or is not there any more; the bytes are gone then,
                unless another file has them.
        """
        if not self.path(entry).exists():
            raise ApiError(503, "UNAVAILABLE", "The same bytes were being deleted meanwhile; try again")
        digests = entry.digests
        values = (
            repository.name, repository.epoch, entry.id, entry.package, entry.version,
            digests.size, digests.sha256, digests.md5, digests.crc32c,
            json.dumps(dict(entry.details)), timestamp(), entry.fetched,
        )  # fmt: skip
        try:
            self._check_present(repository)
            self._forget_earlier(repository)
            self._before_change(repository)
            marks = ", ".join("?" * len(values))
            self._database.execute(f"INSERT INTO files VALUES ({marks})", values)  # noqa: S608
        except sqlite3.IntegrityError as error:
            self._discard(entry)
            raise already_exists("Requested entity already exists") from error
        except BaseException:
            self._discard(entry)
            raise
        self._revisions[repository.name] += 1
        return entry

    def keep(self, repository: Repository, fetched: Entry) -> Entry:
        """Add what a remote fetched, unless another request did meanwhile."""
        kept = self.get(repository, fetched.id)
        if kept is not None:  # if with other bytes, the cache folder was emptied and upstream has changed
            if kept.digests == fetched.digests:
                return kept
            self.remove(repository, [kept])
        return self.add(repository, fetched)

    def remove(self, repository: Repository, entries: Iterable[Entry]) -> None:
        """Take files away, all or none."""
        gone = list(entries)
        self._before_change(repository)
        with transaction(self._database):
            self._database.executemany(
                "DELETE FROM files WHERE repository = ? AND id = ?",
                [(repository.name, entry.id) for entry in gone],
            )
        self._revisions[repository.name] += 1
        self._collect(entry.digests.sha256 for entry in gone)

    def forget(self, repository_name: str) -> None:
        """Drop everything that a deleted repository held."""
        self._forget("repository = ?", repository_name)
        self._listings.forget(repository_name)
        self._suites.forget(repository_name)

    def _check_present(self, repository: Repository) -> None:
        """Refuse if the repository was deleted since the request for it began."""
        present = self._cloud.store.get(f"artifactregistry/{repository.name}")
        if present is None or Repository(repository.name, present).epoch != repository.epoch:
            raise not_found(f"Repository {repository.name} does not exist")

    def _before_change(self, repository: Repository) -> None:
        """Keep what is told for some time after a change."""
        self._listings.before_change(repository.name, lambda: self.files(repository))
        self._suites.before_change(
            repository.name, lambda: (self.revision(repository), self.files(repository))
        )

    def _discard(self, entry: Entry) -> None:
        """Drop published bytes that have not become this file."""
        if not entry.fetched:
            self._collect([entry.digests.sha256])

    def _forget_earlier(self, repository: Repository) -> None:
        if self._epochs.get(repository.name) != repository.epoch:
            self._forget("repository = ? AND epoch <> ?", repository.name, repository.epoch)
            self._epochs[repository.name] = repository.epoch

    def _forget(self, which: str, *values: str) -> None:
        statement = f"DELETE FROM files WHERE {which} RETURNING sha256"  # noqa: S608
        gone = self._database.execute(statement, values).fetchall()
        if gone:
            self._revisions[values[0]] += 1
            self._collect(sha256 for (sha256,) in gone)

    def _select(
        self,
        repository: Repository,
        which: str,
        *values: str,
        columns: str = _COLUMNS,
        using: str = "",
        limit: int = -1,
    ) -> list[Entry]:
        rows = self._database.execute(
            f"SELECT {columns} FROM files {using} WHERE repository = ? AND epoch = ? AND {which} "  # noqa: S608
            "ORDER BY id LIMIT ?",
            (repository.name, repository.epoch, *values, limit),
        )
        return [
            Entry(file_id, package, version, Digests(*digests), json.loads(details), created, fetched)
            for file_id, package, version, *digests, details, created, fetched in rows
        ]

    def _rename_earlier(self) -> None:
        """Give debs of an earlier version of the sandbox (`pool/REPO/NAME_…`) the ids of this one."""
        query = "SELECT repository, id FROM files WHERE fetched IS NULL AND id LIKE 'pool/%/%.deb'"
        for repository, file_id in self._database.execute(query).fetchall():
            self._database.execute(
                "UPDATE files SET id = ? WHERE repository = ? AND id = ?",
                (f"pool/{file_id.rpartition('/')[2]}", repository, file_id),
            )

    def _collect(self, hashes: Iterable[str]) -> None:
        """Remove bytes of standard repositories that no file needs any more; what was fetched is kept."""
        for sha256 in set(hashes):
            query = "SELECT 1 FROM files WHERE sha256 = ? AND fetched IS NULL LIMIT 1"
            if self._database.execute(query, (sha256,)).fetchone() is None:
                self.blobs.remove(sha256)
