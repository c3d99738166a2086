"""Cloud Storage: objects, and a bucket of files behind the registries' interface.

See https://cloud.google.com/storage/docs/json_api/v1/objects
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from dmz.artifact import Artifact, Kind
from dmz.errors import TransferError
from dmz.registries import multipart
from dmz.registries.concurrency import together
from dmz.registries.failures import conflict, failure
from dmz.registries.google import Google, upload_base
from dmz.registries.interface import Stored

FILES: Final = "files/"
"""Prefix of the objects `files/<sha256>/<name>`."""
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_ABSENT: Final = "0"
"""`ifGenerationMatch` for an object that must not exist yet."""


@dataclass(frozen=True)
class Object:
    """One object's metadata."""

    name: str
    size: int
    """Bytes."""
    created: str
    """RFC 3339, by the service's clock: who writes has no say in it."""
    updated: str
    """RFC 3339."""
    generation: str


@dataclass(frozen=True)
class Bucket:
    """The objects of one bucket: inventories, releases, reports."""

    google: Google
    name: str

    def url(self, name: str) -> str:
        """The address of an object's metadata."""
        return f"{self.google.endpoints.storage}b/{self.name}/o/{quote(name, safe='')}"

    async def list(self, prefix: str = "") -> list[Object]:
        """The objects whose names begin with `prefix`, by name.

        Raises:
            TransferError: no such bucket, or the service kept failing.
        """
        found: list[Object] = []
        params = {"prefix": prefix, "fields": "items(name,size,timeCreated,updated,generation),nextPageToken"}
        while True:
            page = await self.google.call(
                "GET", f"{self.google.endpoints.storage}b/{self.name}/o", params=params
            )
            found += (
                Object(
                    item["name"], int(item["size"]), item["timeCreated"], item["updated"], item["generation"]
                )
                for item in page.get("items", [])
            )
            if not (token := page.get("nextPageToken")):
                return found
            params["pageToken"] = token

    async def read(self, name: str) -> bytes | None:
        """A small object whole; None if there is none."""
        response = await self.google.send("GET", self.url(name), params={"alt": "media"})
        if response.status_code == 404:
            return None
        if response.is_error:
            raise failure(f"{self.name}/{name}", response)
        return response.content

    async def write(self, name: str, data: bytes, *, if_generation_match: int | None = None) -> bool:
        """Write a small object whole.

        Args:
            if_generation_match: 0 to create only; None to write whatever is there.

        Returns:
            False when the condition does not hold; nothing was written then.
        """
        params = {"uploadType": "media", "name": name}
        if if_generation_match is not None:
            params["ifGenerationMatch"] = str(if_generation_match)
        response = await self.google.send(
            "POST",
            f"{upload_base(self.google.endpoints.storage)}b/{self.name}/o",
            params=params,
            content=data,
            headers={"Content-Type": "application/octet-stream"},
            repeatable=if_generation_match is None,
        )
        if response.status_code == 412:
            return False
        if response.is_error:
            raise failure(f"{self.name}/{name}", response)
        return True

    async def delete(self, name: str) -> None:
        """Delete an object; one that is not there is no error."""
        response = await self.google.send("DELETE", self.url(name))
        if response.is_error and response.status_code != 404:
            raise failure(f"{self.name}/{name}", response)


class BucketRegistry:
    """Files of workloads, kept by digest in one bucket."""

    def __init__(self, google: Google, bucket: str) -> None:
        self._google = google
        self._bucket = Bucket(google, bucket)

    async def list(self) -> list[Stored]:
        """Every file; its digest is part of its name, and was checked when it was put there."""
        found = []
        for item in await self._bucket.list(FILES):
            name = item.name.removeprefix(FILES)
            sha256, _, base = name.partition("/")
            if _SHA256.fullmatch(sha256) and base and "/" not in base:
                found.append(Stored(Kind.FILE, base, "", sha256, base, sha256, item.size))
            else:
                # Nobody of ours names an object so; it is listed by what it is, so that it shows as drift.
                data = await self._bucket.read(item.name) or b""
                digest = hashlib.sha256(data).hexdigest()
                found.append(Stored(Kind.FILE, name, "", "", name, digest, len(data)))
        return sorted(found)

    def open(self, artifact: Artifact) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Stream a file."""
        url = self._bucket.url(_object(artifact.version, artifact.filename)) + "?alt=media"
        return self._google.download(url, f"{self._bucket.name}/{artifact.filename}")

    async def put(self, artifact: Artifact, chunks: AsyncIterator[bytes]) -> None:
        """Upload as a new object; its MD5 in Cloud Storage's record must be that of what was sent."""
        sent = hashlib.md5(usedforsecurity=False)  # what the service records; the SHA-256 is the caller's

        async def summed() -> AsyncIterator[bytes]:
            async for chunk in chunks:
                sent.update(chunk)
                yield chunk

        name = _object(artifact.version, artifact.filename)
        what = f"{self._bucket.name}/{artifact.filename}"
        response = await self._google.upload(
            f"{upload_base(self._google.endpoints.storage)}b/{self._bucket.name}/o",
            multipart.related({"name": name}, "application/octet-stream"),
            summed(),
            artifact.size,
            what,
            params={"uploadType": "multipart", "ifGenerationMatch": _ABSENT},
        )
        if response.status_code == 412:
            return await self._must_hold(artifact)
        if response.is_error:
            raise failure(what, response)
        stored: dict[str, Any] = response.json()
        if stored.get("md5Hash") != base64.b64encode(sent.digest()).decode():
            await self._bucket.delete(name)
            raise TransferError(f"{what}: was stored with other bytes than were sent; removed, run again")

    async def _must_hold(self, artifact: Artifact) -> None:
        held = hashlib.sha256()
        async with self.open(artifact) as chunks:
            async for chunk in chunks:
                held.update(chunk)
        if held.hexdigest() != artifact.sha256:
            raise conflict(self._bucket.name, artifact, {held.hexdigest()})

    async def withdraw(self, stored: Iterable[Stored]) -> None:
        """Delete the objects."""
        await together(self._bucket.delete(_object(one.version, one.filename)) for one in stored)


def _object(version: str, name: str) -> str:
    return f"{FILES}{version}/{name}" if version else f"{FILES}{name}"
