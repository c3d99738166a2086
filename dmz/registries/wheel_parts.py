"""The core metadata out of a wheel of which only parts are read.

A wheel is a zip archive, with its directory at the end and, in what most tools write, the metadata close to
it. So a part of the end is nearly always enough (RFC 9110, section 14: ranges), and where it is not, the
directory says which other part is needed.
"""

from __future__ import annotations

import io
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Awaitable, Callable
from typing import IO, Final, cast

TAIL: Final = 64 << 10
"""Bytes of the end that are asked for first."""
_ROUNDS: Final = 8
"""How many further parts are asked for before it is given up."""
_PART: Final = 16 << 20
"""Bytes of the largest part; directories of a hundred thousand files are smaller."""
_BEFORE: Final = 1 << 20
"""Bytes before a long directory that are read with it, at most."""
_METADATA: Final = 4 << 20
"""Bytes of the largest metadata that is unpacked."""
_NAME: Final = re.compile(r"[^/]+\.dist-info/METADATA")
_NAME_HAS: Final = b".dist-info/METADATA"
_END: Final = struct.Struct("<4s4H2LH")
_ENTRY: Final = struct.Struct("<L24x3H12x")
"""The end of a zip archive's directory, and an entry of it up to the name (APPNOTE.TXT, 4.3.16, 4.3.12)."""

_SIGNATURE: Final = int.from_bytes(b"PK\1\2", "little")

_UNREADABLE: Final = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(NotImplementedError, OSError, EOFError, ValueError, RuntimeError),
)
"""What the standard library raises for archives that are none, or not of a kind that wheels are."""

Read = Callable[[int, int], Awaitable[bytes]]
"""Reads the bytes of a wheel from one place up to another."""


class NoPartsError(Exception):
    """What serves a wheel gives no parts of it."""


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
        """These bytes stand there; with what adjoins they become one part."""
        for part in list(self._parts):
            if part[0] == start + len(data):
                data += part[1]
            elif part[0] + len(part[1]) == start:
                start, data = part[0], part[1] + data
            else:
                continue
            self._parts.remove(part)
        self._parts.append((start, data))

    def ending(self, start: int, data: bytes) -> _Sparse:
        """The same file up to `start`, and then this."""
        other = _Sparse(start + len(data))
        other._parts = [(place, known[: start - place]) for place, known in self._parts if place < start]
        other.know(start, data)
        return other

    def around(self, hole: _HoleError) -> tuple[int, int]:
        """Where a part begins and ends that fills a hole, with what is likely to be asked for next."""
        after = min((start for start, _ in self._parts if start >= hole.stop), default=self._size)
        if after == hole.stop:
            # The directory's beginning. Before it stands RECORD, which is about as long, and then METADATA.
            return max(0, hole.start - min(self._size - hole.start, _BEFORE)), after
        return hole.start, min(after, max(hole.stop, hole.start + TAIL))

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
        missing = stop
        for start, data in self._parts:
            if start <= self._place and stop <= start + len(data):
                found = data[self._place - start : stop - start]
                self._place = stop
                return found
            if self._place < start <= stop <= start + len(data):
                missing = start
        raise _HoleError(self._place, missing)


async def metadata(read: Read, size: int, end: bytes = b"") -> bytes | None:
    """The `METADATA` of a wheel of this many bytes; None if it has none that can be read.

    Args:
        end: its last bytes, where they are known already.

    Raises:
        NoPartsError: as `read` does; whatever else that raises comes out as well.
    """
    file = _Sparse(size)
    start, stop = max(0, size - (len(end) or TAIL)), size
    for _ in range(_ROUNDS):
        if stop - start > _PART:
            return None
        file.know(start, end or await read(start, stop))
        end = b""
        try:
            return unpack(cast(IO[bytes], _short(file)))
        except _HoleError as hole:
            start, stop = file.around(hole)
        except _UNREADABLE:
            return None
    return None


def unpack(file: IO[bytes]) -> bytes | None:
    """The `METADATA` of a wheel; None if it has none that can be read."""
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


def _short(file: _Sparse) -> _Sparse:
    """The archive with a directory of the metadata alone, or as it is where that is no plain one.

    The standard library makes an object of each of up to ten thousands of entries, which takes ten times as
    long as to fetch them.
    """
    file.seek(-_END.size, io.SEEK_END)
    end = _END.unpack(file.read(_END.size))
    begin = file.tell() - _END.size - end[5]
    if end[0] != b"PK\5\6" or end[7] or begin < 0 or 0xFFFF in end[1:5] or 0xFFFFFFFF in end[5:7]:
        return file
    file.seek(begin)
    directory = file.read(end[5])
    kept, place, wanted = [], 0, directory.find(_NAME_HAS)
    while place < len(directory):
        signature, name, extra, comment = _ENTRY.unpack_from(directory, place)
        following = place + _ENTRY.size + name + extra + comment
        if signature != _SIGNATURE:
            return file
        if place < wanted < following:
            if _NAME_HAS in directory[place + _ENTRY.size : place + _ENTRY.size + name]:
                kept.append(directory[place:following])
            wanted = directory.find(_NAME_HAS, following)
        place = following
    short = b"".join(kept)
    return file.ending(begin, short + _END.pack(end[0], 0, 0, len(kept), len(kept), len(short), end[6], 0))
