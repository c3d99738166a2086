"""A zip archive with hundreds of thousands of small members, read without unpacking it to disk.

The standard library keeps half a kilobyte for each member and takes most of the time of a reading for its
bookkeeping; here the table of contents is walked once and forgotten. After PKWARE's APPNOTE.TXT, 4.3, with
the 64-bit forms; several disks, encryption and other methods than deflate are refused. Every length is
checked before it is used, and every member against its CRC.
"""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from io import BufferedReader
from typing import Final, NamedTuple

SIGNATURE: Final = b"PK\x03\x04"
"""What an archive with anything in it begins with."""
EMPTY: Final = b"PK\x05\x06"

_LOCAL: Final = struct.Struct("<4s5HIIIHH")
_CENTRAL: Final = struct.Struct("<4s6H3I5HII")
_END: Final = struct.Struct("<4s4HIIH")
_LOCATOR: Final = struct.Struct("<4sIQI")
_END64: Final = struct.Struct("<4sQHHIIQQQQ")
_COMMENT_LIMIT: Final = 0xFFFF
_WIDE: Final = 0xFFFFFFFF
"""Stands in for a number that needs 64 bits."""
_ENCRYPTED: Final = 0x1
_EXTRA: Final = 64
"""Bytes read along with a member's head, in which its extra field mostly fits."""


class Member(NamedTuple):
    """One entry of the table of contents."""

    name: bytes
    method: int
    crc: int
    packed: int
    size: int
    """Bytes, unpacked."""
    offset: int


class Archive:
    """An archive that is open for reading."""

    def __init__(self, file: BufferedReader) -> None:
        """Args:
            file: nobody else may move its position.

        Raises:
            zipfile.BadZipFile: it is no archive.
        """
        self._file: Final = file
        self.size: Final = os.fstat(file.fileno()).st_size
        self.comment, self._count, self._start, self._end = self._table()

    def _table(self) -> tuple[bytes, int, int, int]:
        """The comment, the number of members, and where the table of contents begins and ends."""
        first = max(0, self.size - _END.size - _COMMENT_LIMIT)
        tail = os.pread(self._file.fileno(), self.size - first, first)
        at = tail.rfind(EMPTY)
        while at >= 0:
            if len(tail) >= at + _END.size:
                _, disk, other, _, count, length, start, comment = _END.unpack_from(tail, at)
                if at + _END.size + comment == len(tail):
                    break
            at = tail.rfind(EMPTY, 0, at)
        else:
            raise zipfile.BadZipFile("it has no table of contents")
        end = first + at
        if disk or other:
            raise zipfile.BadZipFile("it is one of several disks")
        if _WIDE in (length, start) or count == 0xFFFF:
            count, length, start, end = self._wide(end) or (count, length, start, end)
        if start + length != end:
            raise zipfile.BadZipFile("its table of contents is not where it says")
        return tail[at + _END.size :], count, start, end

    def _wide(self, end: int) -> tuple[int, int, int, int] | None:
        if end < _LOCATOR.size:
            return None
        found = os.pread(self._file.fileno(), _LOCATOR.size, end - _LOCATOR.size)
        signature, _, offset, _ = _LOCATOR.unpack(found)
        if signature != b"PK\x06\x07":
            return None
        if offset > self.size - _END64.size:
            raise zipfile.BadZipFile("its table of contents is not where it says")
        head = _END64.unpack(os.pread(self._file.fileno(), _END64.size, offset))
        if head[0] != b"PK\x06\x06":
            raise zipfile.BadZipFile("its table of contents is not where it says")
        return head[7], head[8], head[9], offset

    def members(self) -> Iterator[Member]:
        """The table of contents, in its order.

        Raises:
            zipfile.BadZipFile: it is damaged.
        """
        file = self._file
        file.seek(self._start)
        for _ in range(self._count):
            head = file.read(_CENTRAL.size)
            if len(head) < _CENTRAL.size or head[:4] != b"PK\x01\x02":
                raise zipfile.BadZipFile("its table of contents is damaged")
            fields = _CENTRAL.unpack(head)
            flags, method, crc, packed, size = fields[3], fields[4], fields[7], fields[8], fields[9]
            named, more, comment, offset = fields[10], fields[11], fields[12], fields[16]
            rest = file.read(named + more + comment)
            if len(rest) < named + more + comment:
                raise zipfile.BadZipFile("its table of contents is damaged")
            if _WIDE in (packed, size, offset):
                size, packed, offset = _widened(rest[named : named + more], size, packed, offset)
            if flags & _ENCRYPTED:
                raise zipfile.BadZipFile("it is encrypted")
            yield Member(rest[:named], method, crc, packed, size, offset)
        if file.tell() > self._end:
            raise zipfile.BadZipFile("its table of contents is damaged")

    def read(self, member: Member) -> bytes:
        """One member's bytes, checked.

        Raises:
            zipfile.BadZipFile: it is damaged, or packed in a way that the databases don't use.
        """
        name, method, crc, packed, size, offset = member
        start = _LOCAL.size + len(name)
        if packed > self.size or offset > self.size:
            raise zipfile.BadZipFile("it is longer than the archive")
        head = os.pread(self._file.fileno(), start + _EXTRA + packed, offset)
        if len(head) < start or head[:4] != SIGNATURE or head[_LOCAL.size : start] != name:
            raise zipfile.BadZipFile("it is not where the table says")
        extra = _LOCAL.unpack_from(head)[10]
        start += extra
        body = head[start : start + packed]
        if extra > _EXTRA:
            body = os.pread(self._file.fileno(), packed, offset + start)
        if method == zipfile.ZIP_DEFLATED:
            unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
            try:
                # Never more than was announced, whatever is in there.
                body = unpacking.decompress(body, size + 1)
            except zlib.error as error:
                raise zipfile.BadZipFile(str(error)) from None
        elif method != zipfile.ZIP_STORED:
            raise zipfile.BadZipFile(f"it is packed by method {method}")
        if len(body) != size or zlib.crc32(body) != crc:
            raise zipfile.BadZipFile("its bytes are not the ones that were packed")
        return body


def _widened(extra: bytes, *narrow: int) -> list[int]:
    """The numbers that did not fit, from the extra field that holds them (4.5.3)."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == 1:
            wide = iter(struct.unpack_from(f"<{min(length, len(extra) - 4) // 8}Q", extra, 4))
            found = [next(wide, -1) if each == _WIDE else each for each in narrow]
            if -1 not in found:
                return found
        extra = extra[4 + length :]
    raise zipfile.BadZipFile("its table of contents is damaged")
