"""The objects of all buckets: their generations, preconditions and bytes."""

from __future__ import annotations

import base64
import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sandbox.cloud.context import Cloud
from sandbox.cloud.errors import ApiError, invalid, not_found
from sandbox.cloud.storage.blobs import Blobs, Digests

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT NOT NULL, epoch TEXT NOT NULL, name TEXT NOT NULL,
    generation INTEGER NOT NULL, metageneration INTEGER NOT NULL,
    size INTEGER NOT NULL, sha256 TEXT NOT NULL, md5 TEXT NOT NULL, crc32c INTEGER NOT NULL,
    fields TEXT NOT NULL, created TEXT NOT NULL, updated TEXT NOT NULL, deleted TEXT,
    PRIMARY KEY (bucket, name, generation)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS objects_by_content ON objects (sha256);
"""

_COLUMNS: Final = (
    "name, size, sha256, md5, crc32c, generation, metageneration, fields, created, updated, deleted"
)

WRITABLE: Final = frozenset(
    {
        "cacheControl", "contentDisposition", "contentEncoding", "contentLanguage", "contentType",
        "customTime", "metadata",
    }
)  # fmt: skip
"""Fields of an object that its writer may set."""


@dataclass(frozen=True)
class Object:
    """One generation of one object (https://cloud.google.com/storage/docs/json_api/v1/objects)."""

    bucket: str
    name: str
    digests: Digests
    generation: int
    metageneration: int
    created: str
    """RFC 3339, as all times here."""
    updated: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    """What the writer said: `WRITABLE`."""
    deleted: str | None = None
    """When it stopped being the live generation; only in buckets with versioning."""
    retained_until: str | None = None
    """Until when it can neither be replaced nor deleted; only in buckets with a retention policy."""

    @property
    def content_type(self) -> str:
        """As the writer said it."""
        return str(self.fields.get("contentType") or "application/octet-stream")

    @property
    def crc32c(self) -> str:
        """Base64 of the big-endian checksum, as Google writes it."""
        return base64.b64encode(self.digests.crc32c.to_bytes(4, "big")).decode()

    @property
    def md5(self) -> str:
        """Base64 of the MD5."""
        return base64.b64encode(bytes.fromhex(self.digests.md5)).decode()

    @property
    def etag(self) -> str:
        """Changes with every generation and metageneration."""
        return base64.b64encode(f"{self.generation}/{self.metageneration}".encode()).decode()


@dataclass(frozen=True)
class Preconditions:
    """`if…Match` parameters (https://cloud.google.com/storage/docs/request-preconditions)."""

    generation_match: int | None = None
    """0 stands for: there is no live object."""
    generation_not_match: int | None = None
    metageneration_match: int | None = None
    metageneration_not_match: int | None = None

    @classmethod
    def parse(cls, query: Mapping[str, str], prefix: str = "if") -> Preconditions:
        """From query parameters; `prefix` is `ifSource` for a copy's source.

        Raises:
            ApiError: one is no integer.
        """
        values: dict[str, int | None] = {}
        for name in ("Generation", "Metageneration"):
            for suffix in ("Match", "NotMatch"):
                text = query.get(f"{prefix}{name}{suffix}")
                if text is not None and not text.isdecimal():
                    raise invalid(f"{prefix}{name}{suffix} has to be a number, not '{text}'")
                key = f"{name}_{suffix}".lower().replace("notmatch", "not_match")
                values[key] = None if text is None else int(text)
        return cls(**values)

    def check(self, current: Object | None, *, reading: bool = False) -> None:
        """Raise 412 unless `current` is as required; a `NotMatch` that fails on a read is 304."""
        generation = current.generation if current else 0
        metageneration = current.metageneration if current else None
        if self.generation_match not in (None, generation) or (
            self.metageneration_match not in (None, metageneration)
        ):
            raise _condition_not_met(412)
        if (self.generation_not_match is not None and self.generation_not_match == generation) or (
            self.metageneration_not_match is not None and self.metageneration_not_match == metageneration
        ):
            raise _condition_not_met(304 if reading else 412)


class Objects:
    """All objects of one cloud; for use from the event loop only."""

    def __init__(self, cloud: Cloud) -> None:
        folder = cloud.root / "objects"
        self._cloud = cloud
        self.blobs = Blobs(folder, exclusive=True)
        self._database = sqlite3.connect(folder / "objects.sqlite", isolation_level=None)
        self._database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _SCHEMA)
        named = self._database.execute("SELECT DISTINCT sha256 FROM objects").fetchall()
        self.blobs.keep_only({sha256 for (sha256,) in named})
        newest = self._database.execute("SELECT max(generation) FROM objects").fetchone()[0]
        self._generation = int(newest or 0)
        """The newest; generations only grow."""
        self._epochs: dict[str, str] = {}
        """Of the buckets whose earlier contents, of a bucket of the same name, are known to be gone."""

    def bucket(self, name: str) -> dict[str, Any]:
        """The bucket's resource.

        Raises:
            ApiError: there is no such bucket.
        """
        resource = self._cloud.store.get(f"storage/b/{name}")
        if resource is None:
            raise not_found(f"The specified bucket does not exist: {name}")
        return resource

    def live(self, bucket: str, name: str) -> Object | None:
        """The live object of that name, if any."""
        return self._one("name = ? AND deleted IS NULL", bucket, name)

    def get(self, bucket: str, name: str, generation: int | None = None) -> Object:
        """The live object, or that generation of it.

        Raises:
            ApiError: there is none.
        """
        found = (
            self.live(bucket, name)
            if generation is None
            else self._one("name = ? AND generation = ?", bucket, name, generation)
        )
        if found is None:
            version = "" if generation is None else f"#{generation}"
            raise not_found(f"No such object: {bucket}/{name}{version}")
        return found

    def list(
        self, bucket: str, prefix: str = "", *, start: str = "", limit: int = -1, versions: bool = False
    ) -> Iterator[Object]:
        """Objects whose name starts with `prefix`, by name and generation; from the name `start` on."""
        which = "name >= ?" + ("" if versions else " AND deleted IS NULL")
        for found in self._rows(which, bucket, max(prefix, start), limit=limit):
            if not found.name.startswith(prefix):
                break
            yield found

    def put(
        self,
        bucket: str,
        name: str,
        digests: Digests,
        fields: Mapping[str, Any],
        preconditions: Preconditions = Preconditions(),
    ) -> Object:
        """Make published bytes the live object of that name.

        Raises:
            ApiError: no such bucket, a name that Cloud Storage doesn't take, or a precondition fails.
        """
        _check_name(name)
        versioned = bool(self.bucket(bucket).get("versioning", {}).get("enabled"))
        current = self.live(bucket, name)
        preconditions.check(current)
        generation = self._generation = max(int(time.time() * 1_000_000), self._generation + 1)
        now = timestamp()
        made = Object(bucket, name, digests, generation, 1, now, now, dict(fields))
        if not self.blobs.has(digests.sha256):
            raise ApiError(503, "UNAVAILABLE", "The same bytes were being deleted meanwhile; try again")
        if current is not None:
            _check_retention(current)
        with transaction(self._database):
            if current is not None:
                self._retire(current, versioned, now)
            self._insert(made)
        if current is not None:
            self.collect(current.digests.sha256)
        return self.get(bucket, name)

    def patch(self, current: Object, fields: Mapping[str, Any]) -> Object:
        """Change what the writer said of an object; a field that is None goes."""
        merged = {**current.fields, **fields}
        changed = replace(
            current,
            fields={key: value for key, value in merged.items() if value is not None},
            metageneration=current.metageneration + 1,
            updated=timestamp(),
        )
        with transaction(self._database):
            self._drop(current)
            self._insert(changed)
        return changed

    def delete(self, found: Object, *, generation_named: bool = False) -> None:
        """Delete the live object, or for good the generation that was named."""
        _check_retention(found)
        versioned = bool(self.bucket(found.bucket).get("versioning", {}).get("enabled"))
        with transaction(self._database):
            self._retire(found, versioned and not generation_named, timestamp())
        self.collect(found.digests.sha256)

    def forget(self, bucket: str) -> None:
        """Drop everything in a bucket."""
        self._forget("bucket = ?", bucket)

    def _epoch(self, bucket: str) -> str:
        """Tells one bucket from a later one of the same name."""
        resource = self.bucket(bucket)
        epoch = str(resource.get("timeCreated", ""))
        if self._epochs.get(bucket) != epoch:
            self._forget("bucket = ? AND epoch <> ?", bucket, epoch)
            self._epochs[bucket] = epoch
        return epoch

    def _forget(self, which: str, *values: object) -> None:
        statement = f"DELETE FROM objects WHERE {which} RETURNING sha256"  # noqa: S608
        for (sha256,) in set(self._database.execute(statement, values).fetchall()):
            self.collect(sha256)

    def _one(self, which: str, bucket: str, *values: object) -> Object | None:
        return next(self._rows(which, bucket, *values), None)

    def _rows(self, which: str, bucket: str, *values: object, limit: int = -1) -> Iterator[Object]:
        self._epoch(bucket)
        policy = self.bucket(bucket).get("retentionPolicy") or {}
        kept = timedelta(seconds=int(policy.get("retentionPeriod", 0)))
        query = (
            f"SELECT {_COLUMNS} FROM objects WHERE bucket = ? AND {which} ORDER BY name, generation LIMIT ?"  # noqa: S608
        )
        for row in self._database.execute(query, (bucket, *values, limit)).fetchall():
            name, size, sha256, md5, crc32c, generation, metageneration, fields, created, updated, deleted = (
                row
            )
            digests = Digests(size, sha256, md5, crc32c)
            said = json.loads(fields)
            until = _rfc3339(datetime.fromisoformat(created) + kept) if kept else None
            yield Object(
                bucket, name, digests, generation, metageneration, created, updated, said, deleted, until
            )

    def _insert(self, made: Object) -> None:
        digests = made.digests
        self._database.execute(
            "INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                made.bucket, self._epoch(made.bucket), made.name, made.generation, made.metageneration,
                digests.size, digests.sha256, digests.md5, digests.crc32c,
                json.dumps(dict(made.fields)), made.created, made.updated, made.deleted,
            ),
        )  # fmt: skip

    def _retire(self, found: Object, keep: bool, now: str) -> None:
        self._drop(found)
        if keep:
            self._insert(replace(found, deleted=now))

    def _drop(self, found: Object) -> None:
        self._database.execute(
            "DELETE FROM objects WHERE bucket = ? AND name = ? AND generation = ?",
            (found.bucket, found.name, found.generation),
        )

    def collect(self, sha256: str) -> None:
        """Remove published bytes unless an object has them."""
        used = self._database.execute("SELECT 1 FROM objects WHERE sha256 = ? LIMIT 1", (sha256,)).fetchone()
        if used is None:
            self.blobs.remove(sha256)


@contextlib.contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All of the statements inside, or none."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    finally:
        if database.in_transaction:
            database.execute("ROLLBACK")


def timestamp() -> str:
    """Now, as Google's JSON has it."""
    return _rfc3339(datetime.now(UTC))


def _rfc3339(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _check_retention(found: Object) -> None:
    """Cloud Storage's bucket retention policies (https://cloud.google.com/storage/docs/bucket-lock)."""
    if found.retained_until and found.retained_until > timestamp():
        raise ApiError(
            403,
            "RETENTION_POLICY_NOT_MET",
            f"Object '{found.bucket}/{found.name}' is subject to bucket's retention policy or object "
            f"retention and cannot be deleted or overwritten until {found.retained_until}",
        )


def blob_path(objects: Objects, found: Object) -> Path:
    """Where the object's bytes lie."""
    return objects.blobs.path(found.digests.sha256)


def _check_name(name: str) -> None:
    """Cloud Storage's rules for object names (https://cloud.google.com/storage/docs/objects#naming)."""
    if not 1 <= len(name.encode()) <= 1024:
        raise invalid("An object's name has 1 to 1024 bytes in UTF-8")
    if "\r" in name or "\n" in name or name in {".", ".."} or name.startswith(".well-known/acme-challenge/"):
        raise invalid(f"Cloud Storage does not take the object name {name!r}")


def _condition_not_met(status: int) -> ApiError:
    return ApiError(
        status,
        "CONDITION_NOT_MET",
        "At least one of the pre-conditions you specified did not hold.",
        legacy={"locationType": "header", "location": "If-None-Match" if status == 304 else "If-Match"},
    )
