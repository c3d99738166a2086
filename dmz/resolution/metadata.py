"""What a wheel says it needs: its core metadata, without fetching the wheel where that can be helped.

In this order: what was read before (by the wheel's SHA-256, which never means another wheel); the end of the
wheel in the repository, if that has the wheel; what the upstream index has beside the same file (PEP 658), or
the end of that file; and the wheel in the repository whatever it takes: a remote one that does not have it
fetches the whole before it gives a part.
"""

from __future__ import annotations

import asyncio
import email.message
import email.parser
import email.policy
import hashlib
import io
import logging
import re
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import IO, Final

import httpx
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from dmz.artifact import Artifact
from dmz.errors import RefusedError, TransferError
from dmz.registries import wheel_parts, wheels
from dmz.registries.failures import failure, unreachable
from dmz.registries.google import Google
from dmz.registries.index import IndexFile, PythonIndex
from dmz.registries.wheel_parts import TAIL, NoPartsError
from dmz.resolution.kept import Kept
from dmz.resolution.reads import AT_ONCE, Reads
from dmz.resolution.upstream import UpstreamFiles, start
from dmz.threads import in_thread

_LOG: Final = logging.getLogger(__name__)
_UPSTREAM: Final = "upstream"
"""Whose word metadata are. A proof about approved wheels takes the repository's alone."""
_BLANK: Final = re.compile(rb"\n\r?\n")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_FIRST: Final = 1 << 10
"""Bytes of core metadata in which nearly always stands whose they are."""
_WHOLE: Final = 2 << 30
"""Bytes of the largest wheel that is fetched whole where there are no parts."""


class CoreMetadata:
    """Core metadata of the wheels of one repository."""

    def __init__(
        self,
        google: Google,
        index: PythonIndex,
        reads: Reads,
        upstream: UpstreamFiles | None = None,
        cache: Path | None = None,
    ) -> None:
        """Args:
        reads: a short way to the same repository.
        upstream: the index behind a remote repository; None for a standard one.
        cache: folder for what was read; None for the user's.
        """
        self._google = google
        self._index = index
        self._reads = reads
        self._upstream = upstream
        self._theirs = Kept(_word(index.file_url("", "")), cache)
        self._upstreams = Kept(_UPSTREAM, cache)
        self._parts = True
        """Whether the repository gives parts of files, as far as is known."""
        self._reading = asyncio.Semaphore(AT_ONCE)

    async def of(self, name: str, file: IndexFile) -> bytes:
        """The metadata of a wheel.

        Raises:
            TransferError: nobody has it, or what they have is of another distribution.
        """
        known = _SHA256.fullmatch(file.sha256)
        for kept in (self._theirs, self._upstreams) if known else ():
            data = kept.get(file.sha256)
            if data is not None and is_of(data, file.filename):
                return data
        data, kept = await self._read(name, file)
        if known:
            kept.put(file.sha256, data)
        return data

    def keep(self) -> None:
        """Keep for next time what was read."""
        self._theirs.write()
        self._upstreams.write()

    async def _read(self, name: str, file: IndexFile) -> tuple[bytes, Kept]:
        """The metadata, and where they are kept by whose word they are."""
        for kept, read in (
            (self._theirs, self._from_repository),
            (self._upstreams, self._from_upstream),
            (self._theirs, self._from_whole),
        ):
            data = await read(name, file)
            if data is not None and is_of(data, file.filename):
                return data, kept
        raise TransferError(f"{file.filename}: it is no wheel that can be read; leave it out")

    async def _from_repository(self, name: str, file: IndexFile) -> bytes | None:
        """Out of the wheel in the repository, if that has it: it would fetch the whole to give a part."""
        size = (await self._index.kept()).get(file.sha256) if self._parts else None
        if not size:
            return None
        url = self._index.file_url(name, file.filename)
        try:
            async with self._reading:
                data = await self._quickly(url, size, file.sha256)
                return data or await wheels.parts_of(self._google, url, file.filename, size, file.sha256)
        except NoPartsError:
            self._parts = False
        except TransferError as error:  # it may have let go of the wheel since
            _LOG.info("the repository gives no part of a wheel: %s", error)
        return None

    async def _quickly(self, url: str, size: int, sha256: str) -> bytes | None:
        """The same by the short way; None where it leads nowhere, whyever."""

        async def read(start: int, stop: int) -> bytes:
            data = await self._reads.part(url, start, stop)
            if data is None or (len(data) == size and hashlib.sha256(data).hexdigest() != sha256):
                raise NoPartsError
            return data

        try:
            return await wheel_parts.metadata(read, size)
        except NoPartsError:
            return None

    async def _from_upstream(self, name: str, file: IndexFile) -> bytes | None:
        """What the upstream has, if it offers the very same file."""
        upstream = self._upstream
        theirs = await upstream.file(name, file) if upstream else None
        if upstream is None or theirs is None:
            return None
        if theirs.metadata:
            data = await upstream.metadata(theirs)
            if data is not None and hashlib.sha256(data).hexdigest() == theirs.metadata:
                return data
        return await _by_parts(lambda part, size: upstream.part(theirs, part, size), theirs)

    async def _from_whole(self, name: str, file: IndexFile) -> bytes | None:
        """Out of the wheel in the repository, which fetches it for that."""
        url = self._index.file_url(name, file.filename)
        try:
            return await _by_parts(lambda part, size: self._part(url, file.filename, part, size), file)
        except NoPartsError:
            return await self._unpacked(url, file)

    async def _part(self, url: str, filename: str, part: str, size: int) -> tuple[int, bytes]:
        headers = {"Range": part, "Accept-Encoding": "identity"}
        try:
            async with self._google.client.stream(
                "GET", url, headers=headers, auth=self._google.basic, follow_redirects=True
            ) as response:
                if response.is_error:
                    await response.aread()
                    raise failure(filename, response)
                place = start(response.status_code, response.headers)
                if place is None:
                    raise NoPartsError
                data = bytearray()
                async for chunk in response.aiter_raw():
                    data += chunk
                    if len(data) > size:
                        raise TransferError(
                            f"{filename}: answers a range of bytes with a longer one; run again"
                        )
        except httpx.RequestError as error:
            raise unreachable(url, error) from error
        return place, bytes(data)

    async def _unpacked(self, url: str, file: IndexFile) -> bytes | None:
        """Out of all the bytes of a wheel, which pass through a file; None if they are too many."""
        with tempfile.TemporaryFile() as whole:
            async with self._google.download(url, file.filename, basic=True) as chunks:
                if not await in_thread(lambda: _written(chunks, whole)):
                    return None
            whole.seek(0)
            return wheel_parts.unpack(whole)


def _written(chunks: Iterator[bytes], file: IO[bytes]) -> bool:
    """Write a wheel to a file; whether it was not too large for that."""
    for chunk in chunks:
        file.write(chunk)
        if file.tell() > _WHOLE:
            return False
    return True


async def _by_parts(
    ask: Callable[[str, int], Awaitable[tuple[int, bytes] | None]], file: IndexFile
) -> bytes | None:
    """What stands in a wheel whose size nobody said, by its last bytes; None if it cannot be read.

    Args:
        ask: for a part, as `Range` names it, of at most so many bytes; gives them and where they begin.

    Raises:
        Whatever `ask` raises, when it is asked for the last bytes.
    """
    # Not every service knows a part that is counted from the end.
    found = await ask(f"bytes={max(0, file.size - TAIL)}-" if file.size else f"bytes=-{TAIL}", TAIL)
    if found is None:
        return None

    async def read(start: int, stop: int) -> bytes:
        more = await ask(f"bytes={start}-{stop - 1}", stop - start)
        if more is None or more[0] != start:
            raise NoPartsError
        return more[1]

    place, end = found
    try:
        return await wheel_parts.metadata(read, place + len(end), end)
    except NoPartsError:
        return None


async def approved_metadata(google: Google, url: str, wheel: Artifact, cache: Path | None = None) -> bytes:
    """The metadata of an approved wheel, out of the wheel as its repository serves it.

    Args:
        url: where that is.
        cache: folder for what was read; None for the user's.

    Raises:
        RefusedError: it has none, or they are of something else.
        TransferError: the repository did not answer.
    """
    kept = Kept(_word(url), cache)
    data = kept.get(wheel.sha256)
    if data is not None and is_of(data, wheel.filename):
        return data
    data = await wheels.metadata(google, url, wheel)
    if data is None or not is_of(data, wheel.filename):
        raise RefusedError(f"{wheel.filename}: it has no core metadata of its own; leave it out")
    kept.put(wheel.sha256, data)
    kept.write()
    return data


def inside(wheel: bytes, filename: str) -> bytes:
    """The metadata in a whole wheel.

    Raises:
        TransferError: it is no wheel.
    """
    data = wheel_parts.unpack(io.BytesIO(wheel))
    if data is None:
        raise TransferError(f"{filename}: it is no wheel that can be read; leave it out")
    return data


def is_of(data: bytes, filename: str) -> bool:
    """Whether core metadata are those of this wheel, as far as they say whose they are."""
    wanted, version, _, _ = parse_wheel_filename(filename)
    # To parse all fields of a few hundred takes longer than to fetch them.
    fields = _fields(data[: data.rfind(b"\n", 0, _FIRST) + 1])
    if "Name" not in fields or "Version" not in fields:
        fields = _fields(data)
    try:
        same = Version(str(fields.get("Version", ""))) == version
    except ValueError:  # too many digits raise one of their own
        return False
    return same and canonicalize_name(str(fields.get("Name", ""))) == wanted


def requires(data: bytes) -> list[str]:
    """What core metadata say is needed (`Requires-Dist`), as it stands there."""
    fields = _fields(data)
    return [" ".join(str(line).split()) for line in fields.get_all("Requires-Dist", [])]


def _fields(data: bytes) -> email.message.Message:
    """The fields of core metadata without the description that may follow, which is most of the bytes."""
    end = _BLANK.search(data)
    head = data[: end.start() + 1] if end else data
    return email.parser.BytesHeaderParser(policy=email.policy.compat32).parsebytes(head)


def _word(url: str) -> str:
    """The folder for what a repository says of its wheels, by the address of one: no other's word counts."""
    return f"repository-{hashlib.sha256(url.rsplit('/', 2)[0].encode()).hexdigest()[:32]}"
