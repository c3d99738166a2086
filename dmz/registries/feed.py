"""The feed of advisories: the OSV databases, as they are published in a public bucket of Cloud Storage.

For each ecosystem (all releases of a distribution together) there are `<ecosystem>/all.zip` with all records,
`<ecosystem>/<id>.json` for each, and `<ecosystem>/modified_id.csv`, which says when each was last modified.
See https://google.github.io/osv.dev/data/#data-dumps. The three are written one after the other, so they may
differ by minutes; who asks has to expect that.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

import google_crc32c
import httpx

from dmz.errors import DmzError, InputError, TransferError
from dmz.registries.bucket import Bucket
from dmz.registries.failures import failure, unreachable
from dmz.registries.google import Google
from dmz.registries.sums import recorded

BUCKET: Final = "osv-vulnerabilities"
"""The bucket of osv.dev; a mirror of it has the same layout."""
ARCHIVE: Final = "all.zip"
LISTING: Final = "modified_id.csv"

_ECOSYSTEM: Final = re.compile(r"[A-Za-z][A-Za-z0-9 .-]{0,63}")
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,127}")
_LISTING_LIMIT: Final = 256 << 20
"""Bytes of a listing; all ecosystems together have about a hundred million."""
_ARCHIVE_LIMIT: Final = 16 << 30
"""Bytes of an archive."""
_FRUITLESS: Final = 3
"""Attempts in a row that bring nothing, after which a download is given up."""

Said = Callable[[int, int], None]
"""Told how many bytes are there, of how many."""


@dataclass(frozen=True)
class Listing:
    """What an ecosystem's feed has."""

    as_of: datetime
    """When the feed last changed, by its own clock; UTC."""
    modified: Mapping[str, str]
    """When each record was last modified, by id; RFC 3339."""
    raw: bytes
    """As it was served."""

    def without(self, missing: Collection[str]) -> Listing:
        """The same, less what turned out not to be there: it must count as new when it comes back."""
        if not missing:
            return self
        kept = {each: modified for each, modified in self.modified.items() if each not in missing}
        return Listing(
            self.as_of, kept, "".join(f"{modified},{each}\n" for each, modified in kept.items()).encode()
        )


@dataclass(frozen=True)
class Archive:
    """One state of an ecosystem's archive."""

    name: str
    size: int
    """Bytes."""
    crc32c: str
    """As Cloud Storage has it: base64 of the big-endian value."""
    generation: str
    """Names this state; the next one has another."""


def check_ecosystem(name: str) -> str:
    """An ecosystem's name, if it may be one.

    Raises:
        InputError: it is not, or it names a release, which the feed does not divide by.
    """
    if not _ECOSYSTEM.fullmatch(name):
        raise InputError(
            f"'{name[:80]}' is no ecosystem of the feed; give one without a release: PyPI, Debian, Ubuntu"
        )
    return name


class Feed:
    """The databases of one bucket."""

    def __init__(self, google: Google, bucket: str = BUCKET) -> None:
        self._google = google
        self._bucket = Bucket(google, bucket)

    @classmethod
    async def connected(cls, google: Google, bucket: str = BUCKET) -> Feed:
        """The feed, asked as the ambient identity, or as nobody in particular where there is none."""
        try:
            await google.tokens.token()
        except DmzError:
            google = replace(google, bearer=httpx.Auth())
        return cls(google, bucket)

    @property
    def name(self) -> str:
        """The bucket's name."""
        return self._bucket.name

    async def listing(self, ecosystem: str) -> Listing:
        """What an ecosystem has, and as of when.

        Raises:
            InputError: the feed has no such ecosystem.
            TransferError: the service kept failing, or answers something else than a listing.
        """
        name = f"{check_ecosystem(ecosystem)}/{LISTING}"
        found = await self._metadata(name)
        try:
            as_of = datetime.fromisoformat(found["updated"]).astimezone(UTC)
            size, generation = int(found["size"]), str(found["generation"])
        except (KeyError, TypeError, ValueError):
            raise TransferError(f"{self.name}/{name}: no metadata of an object; check the endpoint") from None
        if size > _LISTING_LIMIT:
            raise TransferError(f"{self.name}/{name}: {size} bytes are no listing; find out what it is")
        raw = await self._media(name, generation)
        if raw is None:
            raise TransferError(f"{self.name}/{name}: it changed while it was asked for; run again")
        return Listing(as_of, parse_listing(raw, f"{self.name}/{name}"), raw)

    async def archive(self, ecosystem: str) -> Archive:
        """The archive that there is now.

        Raises:
            InputError: the feed has no such ecosystem.
            TransferError: the service kept failing, or answers something else.
        """
        name = f"{check_ecosystem(ecosystem)}/{ARCHIVE}"
        found = await self._metadata(name)
        try:
            archive = Archive(name, int(found["size"]), str(found["crc32c"]), str(int(found["generation"])))
        except (KeyError, TypeError, ValueError):
            raise TransferError(f"{self.name}/{name}: no metadata of an object; check the endpoint") from None
        if archive.size > _ARCHIVE_LIMIT:
            raise TransferError(f"{self.name}/{name}: {archive.size} bytes are too many; find out what it is")
        return archive

    async def download(self, archive: Archive, path: Path, said: Said) -> None:
        """Fetch an archive into a file, going on where an earlier attempt at the same one ended.

        Raises:
            TransferError: it broke off, changed meanwhile, or what came are other bytes.
        """
        fruitless = 0
        while (there := _size(path)) < archive.size:
            try:
                async for done in self._rest(archive, path, there):
                    said(done, archive.size)
            except httpx.TransportError as error:
                fruitless = 0 if _size(path) > there else fruitless + 1
                if fruitless == _FRUITLESS:
                    raise unreachable(self._bucket.url(archive.name), error) from error
                await asyncio.sleep(0.2 * fruitless)
        if await asyncio.to_thread(_crc32c, path) != archive.crc32c:
            await asyncio.to_thread(path.unlink)
            raise TransferError(f"{self.name}/{archive.name}: other bytes arrived than are there; run again")

    async def _rest(self, archive: Archive, path: Path, there: int) -> AsyncIterator[int]:
        async with self._google.client.stream(
            "GET",
            self._bucket.url(archive.name),
            params={"alt": "media", "generation": archive.generation},
            headers={"Accept-Encoding": "identity", **({"Range": f"bytes={there}-"} if there else {})},
            auth=self._google.bearer,
        ) as response:
            if response.status_code == 404:
                raise TransferError(f"{self.name}/{archive.name}: it changed meanwhile; run again")
            if response.is_error:
                await response.aread()
                raise failure(f"{self.name}/{archive.name}", response)
            going_on = response.status_code == 206
            with _appending(path, whole=not going_on) as file:
                # As it arrives: what waits for a full chunk is lost when the connection breaks.
                async for chunk in response.aiter_raw():
                    if file.tell() + len(chunk) > archive.size:
                        raise TransferError(f"{self.name}/{archive.name}: too much arrives; run again")
                    file.write(chunk)
                    yield file.tell()

    async def record(self, ecosystem: str, identity: str, *, fresh: bool = False) -> bytes | None:
        """One record; None if the feed has it no more.

        Args:
            fresh: past the caches that Cloud Storage puts before public objects, for an hour.

        Raises:
            TransferError: the service kept failing.
        """
        name = f"{check_ecosystem(ecosystem)}/{identity}.json"
        if not fresh:
            return await self._media(name)
        found = await self._google.call("GET", self._bucket.url(name), missing={})
        return await self._media(name, str(found["generation"])) if "generation" in found else None

    async def _metadata(self, name: str) -> dict[str, Any]:
        found = await self._google.call("GET", self._bucket.url(name), missing={})
        if not found:
            raise InputError(
                f"{self.name}/{name}: the feed has no such thing; choose an ecosystem that it has, or check "
                "the bucket's name and the endpoint"
            )
        return found

    async def _media(self, name: str, generation: str = "") -> bytes | None:
        params = {"alt": "media", **({"generation": generation} if generation else {})}
        response = await self._google.send("GET", self._bucket.url(name), params=params)
        if response.status_code == 404:
            return None
        if response.is_error:
            raise failure(f"{self.name}/{name}", response)
        return response.content


def parse_listing(raw: bytes, where: str) -> dict[str, str]:
    """The lines `<modified>,<id>` of a listing, by id.

    Raises:
        TransferError: they are something else.
    """
    found: dict[str, str] = {}
    try:
        for line in raw.decode("ascii").splitlines():
            modified, _, identity = line.partition(",")
            datetime.fromisoformat(modified)
            if not _ID.fullmatch(identity):
                raise ValueError(line)
            found.setdefault(identity, modified)  # newest first
    except ValueError:
        raise TransferError(f"{where}: no list of advisories; check the endpoint, then run again") from None
    if not found:
        raise TransferError(f"{where}: an empty list of advisories is not believed; try again later")
    return found


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _appending(path: Path, *, whole: bool) -> BinaryIO:
    return path.open("wb" if whole else "ab")


def _crc32c(path: Path) -> str:
    checksum = 0
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            checksum = google_crc32c.extend(checksum, chunk)
    return recorded(checksum)
