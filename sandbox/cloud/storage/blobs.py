"""Bytes on disk by their content: written once, complete or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import tempfile
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

import google_crc32c

CHUNK: Final = 1 << 20
"""Bytes that are hashed and written in one go, off the event loop."""

_FOLDER: Final = re.compile("[0-9a-f]{2}")


@dataclass(frozen=True)
class Digests:
    """What is known of a finished sequence of bytes."""

    size: int
    """Bytes."""
    sha256: str
    """64 hexadecimal digits."""
    md5: str
    """32 hexadecimal digits; Google's interfaces give it, nothing here trusts it."""
    crc32c: int


class BlobWriter:
    """Takes bytes into a temporary file and hashes them on the way; a context manager.

    While one chunk is hashed and written, the next is being taken. Nothing is left of what was not published,
    and after a failure to write (a full disk) nothing can be: every later call fails as the first did.
    """

    def __init__(self, incoming: Path, publish: Callable[[Path, Digests], None]) -> None:
        handle, name = tempfile.mkstemp(dir=incoming)
        self._handle = handle
        self._path = Path(name)
        self._publish = publish
        self._pending = bytearray()
        self._working: asyncio.Future[None] | None = None
        self._lock = threading.Lock()
        """Held while the file is written, so that its handle isn't closed and given away meanwhile."""
        self._closed = False
        self._failed: OSError | None = None
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._crc32c = 0
        self.size = 0
        """Bytes taken so far."""

    async def write(self, data: bytes) -> None:
        """Take the next bytes."""
        self.size += len(data)
        self._pending += data
        if len(self._pending) >= CHUNK:
            await self._settle()
            self._begin()

    async def digests(self) -> Digests:
        """What was taken so far."""
        await self._flush()
        return Digests(self.size, self._sha256.hexdigest(), self._md5.hexdigest(), self._crc32c)

    async def place(self) -> Path:
        """The temporary file, with everything that was taken so far."""
        await self._flush()
        return self._path

    async def publish(self) -> Digests:
        """Make the bytes readable under their SHA-256, safely on disk before this returns."""
        digests = await self.digests()
        await asyncio.to_thread(self._finish, digests)
        return digests

    def close(self) -> None:
        """Drop what was not published."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._handle)
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> BlobWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _flush(self) -> None:
        await self._settle()
        if self._pending:
            self._begin()
            await self._settle()

    def _begin(self) -> None:
        """Have what is pending hashed and written, off the event loop."""
        data, self._pending = self._pending, bytearray()
        self._working = asyncio.ensure_future(asyncio.to_thread(self._take, data))

    async def _settle(self) -> None:
        """Wait until nothing is being written."""
        if self._working is not None:
            working = self._working
            await asyncio.wait([working])
            self._working = None
            if (error := working.exception()) is not None:
                self._failed = self._failed or (error if isinstance(error, OSError) else OSError(str(error)))
        if self._failed is not None:
            raise OSError(self._failed.errno, self._failed.strerror) from self._failed

    def _take(self, data: bytearray) -> None:
        with self._lock:
            if self._closed:
                return
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._handle, rest) :]
        self._sha256.update(data)
        self._md5.update(data)
        self._crc32c = google_crc32c.extend(self._crc32c, bytes(data))

    def _finish(self, digests: Digests) -> None:
        with self._lock:
            os.fsync(self._handle)
        self._publish(self._path, digests)


class Blobs:
    """A folder of files named by their SHA-256."""

    def __init__(self, folder: Path, *, exclusive: bool) -> None:
        """Use `folder`; `exclusive` when no other process writes there, so that leftovers can be removed."""
        self._folder = folder
        self._incoming = folder / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)
        if exclusive:
            for leftover in self._incoming.iterdir():
                leftover.unlink()

    def path(self, sha256: str) -> Path:
        """Where the bytes with this SHA-256 lie, if they are here."""
        return self._folder / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        """Whether the bytes are here."""
        return self.path(sha256).exists()

    async def verified(self, sha256: str) -> Digests | None:
        """What is known of bytes that are here, read anew; None if there are none, or damaged ones."""
        digests = await asyncio.to_thread(_read, self.path(sha256))
        if digests is not None and digests.sha256 != sha256:
            self.remove(sha256)
            return None
        return digests

    def writer(self) -> BlobWriter:
        """Begin to take bytes."""
        return BlobWriter(self._incoming, self._place)

    def adopt(self, source: Path, sha256: str) -> None:
        """Take over a file of another folder of blobs: a second link to it, or a copy across filesystems."""
        target = self.path(sha256)
        if target.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            try:
                os.link(source, target)
            except OSError:
                self._copy(source, target)

    def keep_only(self, known: Collection[str]) -> None:
        """Remove bytes that nothing names: a process was killed after they were published and before that."""
        for folder in self._folder.iterdir():
            if _FOLDER.fullmatch(folder.name):
                for path in folder.iterdir():
                    if path.name not in known:
                        path.unlink()

    def remove(self, sha256: str) -> None:
        """Forget bytes; a download under way ends well all the same."""
        self.path(sha256).unlink(missing_ok=True)

    def _place(self, path: Path, digests: Digests) -> None:
        target = self.path(digests.sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.chmod(0o644)
        path.replace(target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _copy(self, source: Path, target: Path) -> None:
        handle, name = tempfile.mkstemp(dir=self._incoming)
        try:
            with source.open("rb") as reader, os.fdopen(handle, "wb") as writer:
                while data := reader.read(CHUNK):
                    writer.write(data)
                writer.flush()
                os.fsync(writer.fileno())
            Path(name).replace(target)
        finally:
            Path(name).unlink(missing_ok=True)


def _read(path: Path) -> Digests | None:
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    crc32c = size = 0
    try:
        with path.open("rb") as file:
            while data := file.read(CHUNK):
                sha256.update(data)
                md5.update(data)
                crc32c = google_crc32c.extend(crc32c, data)
                size += len(data)
    except FileNotFoundError:
        return None
    return Digests(size, sha256.hexdigest(), md5.hexdigest(), crc32c)
