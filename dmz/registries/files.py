"""Workload files: a bucket of Cloud Storage behind the registries' interface."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Set
from contextlib import AbstractAsyncContextManager
from typing import Final

from dmz.artifact import Artifact, Kind
from dmz.errors import TransferError
from dmz.registries import objects
from dmz.registries.archive import BucketArchive
from dmz.registries.bucket import Bucket, Object
from dmz.registries.concurrency import together
from dmz.registries.google import Google
from dmz.registries.interface import Stored
from dmz.registries.repository import in_order

_FILES: Final = "files/"
"""Prefix of the objects `files/<sha256>/<name>`."""
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_AT_ONCE: Final = 8
"""Files that are read and hashed at the same time."""


class BucketRegistry:
    """Files of workloads, kept by digest in one bucket."""

    def __init__(self, google: Google, bucket: str, *, archive: BucketArchive | None = None) -> None:
        """`archive`: vouches for what is listed; None: the names are believed."""
        self._google = google
        self._bucket = Bucket(google, bucket)
        self._archive = archive

    async def list(self, of: Collection[Artifact] | None = None) -> list[Stored]:
        """Every file, or those in the places of `of`.

        A file's digest is part of its name, and was checked when it was put there. That it is so still is
        known where the archive has the same size and checksums under this digest. Everything else is read
        and hashed, to the last byte, as is what nobody of ours would name so.
        """
        if of is None:
            items = await self._bucket.list(_FILES)
        else:
            names = {_object(each.version, each.filename) for each in of}
            items = [item for part in await together(map(self._bucket.list, names)) for item in part]
        named = {item: _digest(item.name) for item in items}
        vouched = await self._vouched(set(filter(None, named.values())))
        known = {item: digest for item, digest in named.items() if digest and vouched(item, digest)}
        doubtful = [item for item in items if item not in known]
        read = await together(map(self._hashed, doubtful), at_once=_AT_ONCE)
        known |= zip(doubtful, read, strict=True)
        return in_order(_stored(item, named[item], sha256) for item, sha256 in known.items())

    async def _vouched(self, digests: Set[str]) -> Callable[[Object, str], bool]:
        """Tells whether an object is what its name says."""
        if self._archive is None:
            return lambda item, digest: True
        try:
            kept = await self._archive.sums(digests)
        except TransferError:  # also who may not read it: then all is read
            kept = {}
        return lambda item, digest: bool(item.sums and item.sums.md5) and item.sums == kept.get(digest)

    async def _hashed(self, item: Object) -> str:
        what, retry = f"{self._bucket.name}/{item.name}", self._google.retry
        for attempt in range(1, retry.attempts):
            with contextlib.suppress(TransferError):  # what breaks off within the bytes is begun again
                return await objects.sha256(self._bucket, item.name, item.generation, what, item.sums)
            await asyncio.sleep(retry.wait(attempt, None))
        return await objects.sha256(self._bucket, item.name, item.generation, what, item.sums)

    def open(self, artifact: Artifact) -> AbstractAsyncContextManager[Iterator[bytes]]:
        """Stream a file."""
        url = self._bucket.url(_object(artifact.version, artifact.filename)) + "?alt=media"
        return self._google.download(url, f"{self._bucket.name}/{artifact.filename}")

    async def put(self, artifact: Artifact, chunks: Iterator[bytes]) -> None:
        """Upload as a new object; its CRC32C in Cloud Storage's record must be that of what was sent.

        A listing may believe the name: what is there already counts only by every byte, else it is deleted.
        """
        await objects.place(self._bucket, _object(artifact.version, artifact.filename), chunks, artifact)

    async def staged(self, artifacts: Collection[Artifact]) -> set[Artifact]:
        """Nothing: an object is readable when it is complete."""
        return set()

    async def admit(self, artifacts: Collection[Artifact]) -> None:
        """Nothing to do: an object is readable when it is complete."""

    async def settle(self, artifacts: Collection[Artifact]) -> None:
        """Nothing to wait for: Cloud Storage is strongly consistent."""

    async def withdraw(self, stored: Iterable[Stored]) -> None:
        """Delete the objects."""
        await together(self._bucket.delete(_object(one.version, one.filename)) for one in stored)


def _digest(name: str) -> str:
    """The SHA-256 that an object's name gives it; empty if it does not."""
    digest, _, base = name.removeprefix(_FILES).partition("/")
    return digest if _SHA256.fullmatch(digest) and base and "/" not in base else ""


def _stored(item: Object, digest: str, sha256: str) -> Stored:
    # What nobody of ours would name so is listed under all of its name, so that it shows as drift.
    name = item.name.removeprefix(_object(digest, ""))
    return Stored(Kind.FILE, name, "", digest, name, sha256, item.size)


def _object(version: str, name: str) -> str:
    return f"{_FILES}{version}/{name}" if version else f"{_FILES}{name}"
