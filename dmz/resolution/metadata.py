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
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import httpx
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from dmz.artifact import Artifact
from dmz.cache import cache_folder
from dmz.errors import RefusedError, TransferError
from dmz.registries import wheel_parts, wheels
from dmz.registries.failures import failure, unreachable
from dmz.registries.google import Google
from dmz.registries.index import IndexFile, PythonIndex
from dmz.registries.wheel_parts import TAIL, NoPartsError
from dmz.resolution.upstream import AT_ONCE, UpstreamFiles, start

_LOG: Final = logging.getLogger(__name__)
_REPOSITORY: Final = "repository"
_UPSTREAM: Final = "upstream"
"""Whose word metadata are. A proof about approved wheels takes the repository's alone."""
_BLANK: Final = re.compile(rb"\n\r?\n")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def _place(cache: Path | None, whose: str, sha256: str) -> Path:
    """Where core metadata are kept between calls, apart by whose word they are."""
    return (cache or cache_folder() / "metadata") / whose / sha256[:2] / sha256


class CoreMetadata:
    """Core metadata of the wheels of one repository."""

    def __init__(
        self,
        google: Google,
        index: PythonIndex,
        upstream: UpstreamFiles | None = None,
        cache: Path | None = None,
    ) -> None:
        """Args:
        upstream: the index behind a remote repository; None for a standard one.
        cache: folder for what was read; None for the user's.
        """
        self._google = google
        self._index = index
        self._upstream = upstream
        self._cache = cache
        self._parts = True
        """Whether the repository gives parts of files, as far as is known."""
        self._reading = asyncio.Semaphore(AT_ONCE)

    async def of(self, name: str, file: IndexFile) -> bytes:
        """The metadata of a wheel.

        Raises:
            TransferError: nobody has it, or what they have is of another distribution.
        """
        known = _SHA256.fullmatch(file.sha256)
        for whose in (_REPOSITORY, _UPSTREAM) if known else ():
            place = _place(self._cache, self._whose(whose, name, file), file.sha256)
            if (data := _kept(place, file.filename)) is not None:
                return data
        data, whose = await self._read(name, file)
        if known:  # in a thread: nobody has to wait for it
            place = _place(self._cache, self._whose(whose, name, file), file.sha256)
            asyncio.get_running_loop().run_in_executor(None, _keep, place, data)
        return data

    def _whose(self, whose: str, name: str, file: IndexFile) -> str:
        return whose if whose == _UPSTREAM else _word(self._index.file_url(name, file.filename))

    async def _read(self, name: str, file: IndexFile) -> tuple[bytes, str]:
        """The metadata, and whose word they are."""
        for whose, read in (
            (_REPOSITORY, self._from_repository),
            (_UPSTREAM, self._from_upstream),
            (_REPOSITORY, self._from_whole),
        ):
            data = await read(name, file)
            if data is not None and is_of(data, file.filename):
                return data, whose
        raise TransferError(f"{file.filename}: it is no wheel that can be read; leave it out")

    async def _from_repository(self, name: str, file: IndexFile) -> bytes | None:
        """Out of the wheel in the repository, if that has it: it would fetch the whole to give a part."""
        size = (await self._index.kept()).get(file.sha256) if self._parts else None
        if not size:
            return None
        try:
            async with self._reading:
                url = self._index.file_url(name, file.filename)
                return await wheels.parts_of(self._google, url, file.filename, size, file.sha256)
        except NoPartsError:
            self._parts = False
        except TransferError as error:  # it may have let go of the wheel since
            _LOG.info("the repository gives no part of a wheel: %s", error)
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
        return await _by_parts(lambda part: upstream.part(theirs, part), theirs)

    async def _from_whole(self, name: str, file: IndexFile) -> bytes | None:
        """Out of the wheel in the repository, which fetches it for that."""
        return await _by_parts(lambda part: self._part(name, file, part), file)

    async def _part(self, name: str, file: IndexFile, part: str) -> tuple[int, bytes] | None:
        url = self._index.file_url(name, file.filename)
        headers = {"Range": part, "Accept-Encoding": "identity"}
        try:
            response = await self._google.client.get(
                url, headers=headers, auth=self._google.basic, follow_redirects=True
            )
        except httpx.RequestError as error:
            raise unreachable(url, error) from error
        if response.is_error:
            raise failure(file.filename, response)
        # A service that does not give parts gives the whole.
        return start(response.status_code, response.headers) or 0, response.content


async def _by_parts(
    ask: Callable[[str], Awaitable[tuple[int, bytes] | None]], file: IndexFile
) -> bytes | None:
    """What stands in a wheel whose size nobody said, by its last bytes; None if it cannot be read.

    Args:
        ask: for a part, as `Range` names it; gives the bytes and where they begin.
    """
    # Not every service knows a part that is counted from the end.
    found = await ask(f"bytes={max(0, file.size - TAIL)}-" if file.size else f"bytes=-{TAIL}")
    if found is None:
        return None

    async def read(start: int, stop: int) -> bytes:
        more = await ask(f"bytes={start}-{stop - 1}")
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
    place = _place(cache, _word(url), wheel.sha256)
    if (kept := _kept(place, wheel.filename)) is not None:
        return kept
    data = await wheels.metadata(google, url, wheel)
    if data is None or not is_of(data, wheel.filename):
        raise RefusedError(f"{wheel.filename}: it has no core metadata of its own; leave it out")
    _keep(place, data)
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
    return f"{_REPOSITORY}-{hashlib.sha256(url.rsplit('/', 2)[0].encode()).hexdigest()[:32]}"


def _kept(path: Path, filename: str) -> bytes | None:
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return data if is_of(data, filename) else None


def _keep(path: Path, data: bytes) -> None:
    """Keep it for next time; a folder that cannot be written is no reason to stop."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as fresh:
            fresh.write(data)
        Path(fresh.name).replace(path)
    except OSError as error:
        _LOG.info("metadata are not kept: %s", error.strerror)
