"""Workload files: a bucket of Cloud Storage behind the registries' interface."""

from __future__ import annotations

import builtins
import hashlib
import re
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Final

from dmz.artifact import Artifact, Kind
from dmz.errors import TransferError
from dmz.registries import objects
from dmz.registries.bucket import Bucket
from dmz.registries.concurrency import together
from dmz.registries.google import Google
from dmz.registries.interface import Stored
from dmz.registries.repository import in_order

_FILES: Final = "files/"
"""Prefix of the objects `files/<sha256>/<name>`."""
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class BucketRegistry:
    """Files of workloads, kept by digest in one bucket."""

    def __init__(self, google: Google, bucket: str) -> None:
        self._google = google
        self._bucket = Bucket(google, bucket)

    async def list(self) -> list[Stored]:
        """Every file; its digest is part of its name, and was checked when it was put there."""
        found: builtins.list[Stored] = []
        for item in await self._bucket.list(_FILES):
            name = item.name.removeprefix(_FILES)
            sha256, _, base = name.partition("/")
            if _SHA256.fullmatch(sha256) and base and "/" not in base:
                found.append(Stored(Kind.FILE, base, "", sha256, base, sha256, item.size))
            else:
                # Nobody of ours names an object so; it is listed by what it is, so that it shows as drift.
                data = await self._bucket.read(item.name) or b""
                digest = hashlib.sha256(data).hexdigest()
                found.append(Stored(Kind.FILE, name, "", "", name, digest, len(data)))
        return in_order(found)

    def open(self, artifact: Artifact) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Stream a file."""
        url = self._bucket.url(_object(artifact.version, artifact.filename)) + "?alt=media"
        return self._google.download(url, f"{self._bucket.name}/{artifact.filename}")

    async def put(self, artifact: Artifact, chunks: AsyncIterator[bytes]) -> None:
        """Upload as a new object; its CRC32C in Cloud Storage's record must be that of what was sent.

        The listing believes the name, so what is there already counts only by every byte; else it is deleted.
        """
        name, what = _object(artifact.version, artifact.filename), f"{self._bucket.name}/{artifact.filename}"
        if await objects.create(self._bucket, name, chunks, artifact.size, what):
            return
        there = [item for item in await self._bucket.list(name) if item.name == name]
        if there and not await objects.is_artifact(self._bucket, there[0], artifact, what):
            raise TransferError(f"{what}: there was something else in its place; removed, run again")

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


def _object(version: str, name: str) -> str:
    return f"{_FILES}{version}/{name}" if version else f"{_FILES}{name}"
