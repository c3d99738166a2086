"""What a wheel says it needs: its core metadata, without fetching the wheel where that can be helped.

In this order: what was read before (by the wheel's SHA-256, which never means another wheel); what the
upstream index has beside the same file (PEP 658), or the end of that file; the end of the wheel in the
repository itself. Upstream comes first: a remote repository fetches a whole wheel before it gives a part.
"""

from __future__ import annotations

import email.parser
import email.policy
import hashlib
import io
import logging
import os
import re
import zipfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote

import httpx
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from dmz.artifact import Artifact
from dmz.cache import cache_folder
from dmz.errors import RefusedError, TransferError
from dmz.registries import wheels
from dmz.registries.failures import failure, unreachable
from dmz.registries.google import Google
from dmz.registries.index import IndexFile, PythonIndex
from dmz.resolution.upstream import UpstreamFiles, start

_LOG: Final = logging.getLogger(__name__)
_TAIL: Final = 64 << 10
"""Bytes that are read of a wheel's end at first: its directory, and its metadata (PEP 427 puts them last)."""
_STEPS: Final = 4
"""Reads of a wheel: for its directory, for where the metadata begin, and one each for what is in between."""
_LIMIT: Final = 8 << 20
"""Bytes of the largest metadata that are taken."""
_DIRECTORY: Final = re.compile(r"[^/]+\.dist-info/METADATA")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def _folder(cache: Path | None) -> Path:
    """Where core metadata are kept between calls."""
    return cache or cache_folder() / "metadata"


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
        self._cache = _folder(cache)

    async def of(self, name: str, file: IndexFile) -> bytes:
        """The metadata of a wheel.

        Raises:
            TransferError: nobody has it, or what they have is of another distribution.
        """
        kept = self._cache / file.sha256[:2] / file.sha256 if _SHA256.fullmatch(file.sha256) else None
        if kept and kept.exists():
            return kept.read_bytes()
        data = await self._upstreams(name, file)
        if data is None or not is_of(data, file.filename):
            data = await _inside(lambda part: self._outer_part(name, file, part), file)
            if data is None or not is_of(data, file.filename):
                raise TransferError(f"{file.filename}: it is no wheel that can be read; leave it out")
        if kept:
            _keep(kept, data)
        return data

    async def _upstreams(self, name: str, file: IndexFile) -> bytes | None:
        """What the upstream has, if it offers the very same file."""
        upstream = self._upstream
        theirs = await upstream.file(name, file) if upstream else None
        if upstream is None or theirs is None:
            return None
        if theirs.metadata:
            data = await upstream.metadata(theirs)
            if data is not None and hashlib.sha256(data).hexdigest() == theirs.metadata:
                return data
        return await _inside(lambda part: upstream.part(theirs, part), theirs)

    async def _outer_part(self, name: str, file: IndexFile, part: str) -> tuple[int, bytes] | None:
        url = f"{self._index.url.removesuffix('simple/')}{quote(name)}/{quote(file.filename)}"
        headers = {"Range": part, "Accept-Encoding": "identity"}
        try:
            response = await self._google.client.get(
                url, headers=headers, auth=self._google.basic, follow_redirects=True
            )
        except httpx.TransportError as error:
            raise unreachable(url, error) from error
        if response.is_error:
            raise failure(file.filename, response)
        # A service that does not give parts gives the whole.
        return start(response.status_code, response.headers) or 0, response.content


async def _inside(
    read: Callable[[str], Awaitable[tuple[int, bytes] | None]], file: IndexFile
) -> bytes | None:
    """What stands in a wheel, by its last bytes; None if it cannot be read."""
    # Not every service knows a part that is counted from the end.
    tail = f"bytes={max(0, file.size - _TAIL)}-" if file.size else f"bytes=-{_TAIL}"
    found = await read(tail)
    for _ in range(_STEPS):
        if found is None:
            return None
        place, body = found
        try:
            return _metadata(place, body)
        except _EarlierError as earlier:
            more = await read(f"bytes={earlier.start}-{place - 1}")
            found = (more[0], more[1] + body) if more and more[0] == earlier.start else more
        except (zipfile.BadZipFile, KeyError, ValueError, NotImplementedError, OSError):
            return None
    return None


class _EarlierError(Exception):
    """What is looked for begins before what was read."""

    def __init__(self, start: int) -> None:
        super().__init__(start)
        self.start = start


class _Tail(io.BytesIO):
    """The end of a file, at the places that it has in the whole file."""

    def __init__(self, start: int, body: bytes) -> None:
        super().__init__(body)
        self._start = start

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_SET:
            if place < self._start:
                raise _EarlierError(place)
            place -= self._start
        return super().seek(place, whence) + self._start

    def tell(self) -> int:
        return super().tell() + self._start


def _metadata(start: int, body: bytes) -> bytes:
    with zipfile.ZipFile(_Tail(start, body)) as archive:
        [entry] = [each for each in archive.infolist() if _DIRECTORY.fullmatch(each.filename)]
        if entry.file_size > _LIMIT:
            raise ValueError(entry.file_size)
        return archive.read(entry)


async def approved_metadata(google: Google, url: str, wheel: Artifact, cache: Path | None = None) -> bytes:
    """The metadata of an approved wheel, out of the wheel as its repository serves it.

    Args:
        url: where that is.
        cache: folder for what was read; None for the user's.

    Raises:
        RefusedError: it has none, or they are of something else.
        TransferError: the repository did not answer.
    """
    kept = _folder(cache) / wheel.sha256[:2] / wheel.sha256
    if kept.exists():
        return kept.read_bytes()
    data = await wheels.metadata(google, url, wheel)
    if data is None or not is_of(data, wheel.filename):
        raise RefusedError(f"{wheel.filename}: it has no core metadata of its own; leave it out")
    _keep(kept, data)
    return data


def inside(wheel: bytes, filename: str) -> bytes:
    """The metadata in a whole wheel.

    Raises:
        TransferError: it is no wheel.
    """
    try:
        return _metadata(0, wheel)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        raise TransferError(f"{filename}: it is no wheel that can be read; leave it out") from None


def is_of(data: bytes, filename: str) -> bool:
    """Whether core metadata are those of this wheel, as far as they say whose they are."""
    wanted, version, _, _ = parse_wheel_filename(filename)
    fields = email.parser.BytesHeaderParser(policy=email.policy.compat32).parsebytes(data)
    try:
        same = Version(str(fields.get("Version", ""))) == version
    except ValueError:  # too many digits raise one of their own
        return False
    return same and canonicalize_name(str(fields.get("Name", ""))) == wanted


def requires(data: bytes) -> list[str]:
    """What core metadata say is needed (`Requires-Dist`), as it stands there."""
    fields = email.parser.BytesHeaderParser(policy=email.policy.compat32).parsebytes(data)
    return [" ".join(str(line).split()) for line in fields.get_all("Requires-Dist", [])]


def _keep(path: Path, data: bytes) -> None:
    """Keep it for next time; a folder that cannot be written is no reason to stop."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_bytes(data)
        fresh.replace(path)
    except OSError as error:
        _LOG.info("metadata are not kept: %s", error.strerror)
