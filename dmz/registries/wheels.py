"""The core metadata of a wheel, out of the wheel as its repository serves it, without all of its bytes.

A wheel is a zip archive, with its directory at the end and, in what most tools write, the metadata close to
it. So a part of the end is nearly always enough (RFC 9110, section 14: ranges). What is read so is the word
of the repository that serves the approved bytes, and of nobody else. It is not compared with the approved
SHA-256, which is over all of them; that comparison is made when the file is copied. A repository that knows
no ranges gives all bytes, and those are compared.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import re
import struct
import tempfile
import zipfile
import zlib
from typing import IO, Final, cast

import httpx

from dmz.artifact import Artifact
from dmz.errors import RefusedError, TransferError
from dmz.registries.failures import failure, unreachable
from dmz.registries.google import Google

_TAIL: Final = 64 << 10
"""Bytes of the end that are asked for first."""
_ROUNDS: Final = 8
"""How many further parts are asked for before it is given up."""
_PART: Final = 16 << 20
"""Bytes of the largest part; directories of a hundred thousand files are smaller."""
_WHOLE: Final = 2 << 30
"""Bytes of the largest wheel that is fetched whole where there are no ranges."""
_METADATA: Final = 4 << 20
"""Bytes of the largest metadata that is unpacked."""
_NAME: Final = re.compile(r"[^/]+\.dist-info/METADATA")

_UNREADABLE: Final = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(NotImplementedError, OSError, EOFError, ValueError, RuntimeError),
)
"""What the standard library raises for archives that are none, or not of a kind that wheels are."""


class _HoleError(Exception):
    """Bytes were asked for that are not there yet."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__(start, stop)
        self.start, self.stop = start, stop


class _Sparse(io.RawIOBase):
    """A file of which some parts are known."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._parts: list[tuple[int, bytes]] = []
        self._place = 0

    def know(self, start: int, data: bytes) -> None:
        self._parts.append((start, data))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        if place < 0:
            raise OSError("before the file's begin")
        self._place = place
        return place

    def read(self, size: int | None = -1) -> bytes:
        stop = self._size if size is None or size < 0 else min(self._size, self._place + size)
        if stop <= self._place:
            return b""
        for start, data in self._parts:
            if start <= self._place and stop <= start + len(data):
                found = data[self._place - start : stop - start]
                self._place = stop
                return found
        raise _HoleError(self._place, stop)


async def metadata(google: Google, url: str, artifact: Artifact, *, basic: bool = True) -> bytes | None:
    """The `METADATA` of a wheel; None if it has none that can be read.

    Args:
        url: where its repository serves it.
        basic: whether that takes basic authentication, as repositories do, or a bearer token.

    Raises:
        TransferError: the repository did not answer.
        RefusedError: it sent other bytes than the approved ones.
    """
    what = f"{artifact.origin}/{artifact.filename}"
    if not artifact.size:
        return None
    file = _Sparse(artifact.size)
    start, stop = max(0, artifact.size - _TAIL), artifact.size
    for _ in range(_ROUNDS):
        if stop - start > _PART:
            return None
        part = await _range(google, url, what, start, stop, basic=basic)
        if part is None:
            return await _whole(google, url, what, artifact, basic=basic)
        file.know(start, part)
        file.seek(0)
        try:
            return _unpack(cast(IO[bytes], file))
        except _HoleError as hole:
            # A little more than asked for: the archive is read in small pieces, from here on.
            start, stop = hole.start, min(artifact.size, max(hole.stop, hole.start + _TAIL))
    return None


def _unpack(file: IO[bytes]) -> bytes | None:
    try:
        with zipfile.ZipFile(file) as archive:
            found = [each for each in archive.infolist() if _NAME.fullmatch(each.filename)]
            if len(found) != 1 or found[0].file_size > _METADATA:
                return None
            with archive.open(found[0]) as content:
                data = content.read(_METADATA + 1)
            return data if len(data) <= _METADATA else None
    except _UNREADABLE:
        return None


async def _range(google: Google, url: str, what: str, start: int, stop: int, *, basic: bool) -> bytes | None:
    """These bytes of a file; None where the service knows no ranges."""
    headers = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
    try:
        async with google.client.stream(
            "GET",
            url,
            auth=google.basic if basic else google.bearer,
            headers=headers,
            follow_redirects=True,
        ) as response:
            if response.status_code == 200:
                return None
            if response.status_code != 206:
                await response.aread()
                raise failure(what, response)
            data = bytearray()
            async for chunk in response.aiter_raw():
                data += chunk
                if len(data) > stop - start:
                    break
    except httpx.TransportError as error:
        raise unreachable(url, error) from error
    if len(data) != stop - start:
        raise TransferError(f"{what}: answers a range of bytes with another one; run again")
    return bytes(data)


async def _whole(google: Google, url: str, what: str, artifact: Artifact, *, basic: bool) -> bytes | None:
    if artifact.size > _WHOLE:
        return None
    digest = hashlib.sha256()
    with tempfile.TemporaryFile() as file:
        async with google.download(url, what, basic=basic) as chunks:
            async for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != artifact.sha256:
            raise RefusedError(
                f"{what}: serves sha256:{digest.hexdigest()} where its index says sha256:{artifact.sha256}; "
                "find out who changed it before you go on"
            )
        file.seek(0)
        return _unpack(file)
