"""What was ever admitted, kept by its SHA-256 in one bucket.

Who syncs may create objects here and read them, and can neither replace nor delete any; who prunes may
delete.
See https://cloud.google.com/storage/docs/json_api/v1/objects
"""

from __future__ import annotations

import builtins
import re
from collections.abc import AsyncIterator, Iterator, Set
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from dmz.artifact import Artifact
from dmz.errors import TransferError
from dmz.registries import objects
from dmz.registries.bucket import Bucket, readable
from dmz.registries.concurrency import together
from dmz.registries.google import Google
from dmz.registries.sums import SUMS, Sums, sums

CONTENTS: Final = "sha256/"
"""Prefix of the objects `sha256/<hexadecimal digits>`."""
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_FEW: Final = 16
"""Files that are looked up at the same time."""


@dataclass(frozen=True, slots=True)
class Content:
    """One file of the archive."""

    sha256: str
    size: int
    """Bytes."""
    created: datetime
    """By the service's clock."""
    generation: str
    sums: Sums | None = None


class BucketArchive:
    """An archive in a bucket."""

    def __init__(self, google: Google, bucket: str) -> None:
        self._google = google
        self._bucket = Bucket(google, bucket)

    async def list(self) -> set[str]:
        """The SHA-256 of everything that it keeps, from one listing of names alone.

        Raises:
            TransferError: no such bucket, or the service kept failing.
        """
        found: set[str] = set()
        async for page in self._pages("name"):
            found |= page.keys()
        return found

    async def _pages(self, fields: str) -> AsyncIterator[dict[str, dict[str, Any]]]:
        """The records of what it keeps, by SHA-256, with these fields alone: there may be a million."""
        url = self._bucket.url("").rstrip("/")
        params = {"prefix": CONTENTS, "fields": f"items({fields}),nextPageToken"}
        async for page in self._google.pages(url, params):
            with readable(url):
                names = {item["name"].removeprefix(CONTENTS): item for item in page.get("items", [])}
            yield {name: item for name, item in names.items() if _SHA256.fullmatch(name)}

    async def contents(self) -> builtins.list[Content]:
        """Everything that it keeps, by SHA-256; what is called otherwise is not the archive's.

        Raises:
            TransferError: as `list`.
        """
        found = [
            (sha256, item)
            for item in await self._bucket.list(CONTENTS)
            if _SHA256.fullmatch(sha256 := item.name.removeprefix(CONTENTS))
        ]
        with readable(self._bucket.url("")):
            return [
                Content(
                    sha256,
                    item.size,
                    datetime.fromisoformat(item.created).astimezone(UTC),
                    item.generation,
                    item.sums,
                )
                for sha256, item in found
            ]

    async def sums(self, of: Set[str]) -> dict[str, Sums]:
        """What the service reckoned of the bytes of these, by SHA-256, as far as it keeps them.

        A few are looked up at the same time; more than that are taken from one listing.

        Raises:
            TransferError: as `list`.
        """
        if len(of) <= _FEW:
            looked = await together((self.look(sha256) for sha256 in sorted(of)), at_once=_FEW)
            return {content.sha256: content.sums for content in looked if content and content.sums}
        found: dict[str, Sums] = {}
        async for page in self._pages(f"name,{SUMS}"):
            with readable(self._bucket.url("")):
                found |= {sha256: sums(page[sha256]) for sha256 in page.keys() & of}
        return found

    async def look(self, sha256: str) -> Content | None:
        """One file, if it keeps that.

        Raises:
            TransferError: the service refused or kept failing.
        """
        item = await self._google.call(
            "GET",
            self._bucket.url(CONTENTS + sha256),
            missing={},
            params={"fields": f"timeCreated,generation,{SUMS}"},
        )
        if not item:
            return None
        with readable(self._bucket.url(CONTENTS + sha256)):
            created = datetime.fromisoformat(item["timeCreated"]).astimezone(UTC)
            return Content(sha256, int(item["size"]), created, str(item["generation"]), sums(item))

    def url(self, sha256: str) -> str:
        """Where the bytes are read, with a bearer token."""
        return f"{self._bucket.url(CONTENTS + sha256)}?alt=media"

    def open(self, artifact: Artifact) -> AbstractAsyncContextManager[Iterator[bytes]]:
        """Stream the bytes whose SHA-256 is the artifact's; the caller hashes them."""
        what = f"{artifact.filename} (gs://{self._bucket.name}/{CONTENTS}{artifact.sha256})"
        return self._google.download(self.url(artifact.sha256), what)

    async def put(self, artifact: Artifact, chunks: Iterator[bytes]) -> None:
        """Keep the bytes, unless the archive has them: then those are read and hashed.

        Raises:
            TransferError: the service refused or failed, or keeps something else under this SHA-256.
        """
        name = CONTENTS + artifact.sha256
        what = f"{artifact.filename} (gs://{self._bucket.name}/{name})"
        if await objects.create(self._bucket, name, chunks, artifact.size, what):
            return
        # Most likely an earlier try put it there, and the answer was lost.
        there = await self.look(artifact.sha256)
        if there is None:
            raise TransferError(f"{what} was deleted at this moment; run again when nobody prunes")
        held = await objects.sha256(self._bucket, name, there.generation, what, there.sums)
        if held != artifact.sha256:
            raise TransferError(
                f"{what} is kept with other bytes, {there.size} of SHA-256 {held}, and a sync can't replace "
                "it; `dmz archive prune --verify` deletes it, then run again"
            )

    async def intact(self, content: Content) -> bool:
        """Whether just what was listed has the bytes that it is called after; reads them all.

        Raises:
            TransferError: it is not there any more, or the service kept failing, or other bytes came than its
                record speaks of: a bad reading says nothing of what is kept.
        """
        name = CONTENTS + content.sha256
        what = f"gs://{self._bucket.name}/{name}"
        held = await objects.sha256(self._bucket, name, content.generation, what, content.sums)
        return held == content.sha256

    async def remove(self, content: Content) -> bool:
        """Delete just what was listed.

        Returns:
            Whether it is gone; False if something newer has its place, which stays.
        """
        return await self._bucket.remove(CONTENTS + content.sha256, content.generation)
