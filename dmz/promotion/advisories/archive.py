"""Where records lie: JSON files, the archives in which the OSV databases are published, folders of both."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Final

from dmz.errors import InputError
from dmz.promotion.advisories.packed import EMPTY, SIGNATURE, Archive
from dmz.promotion.advisories.records import split
from dmz.promotion.wording import printable

RECORD_LIMIT: Final = 64 << 20
"""Bytes that one record may have; the largest published ones, of the Linux kernel, have a few million."""
_FILE_LIMIT: Final = 512 << 20
"""Bytes of one JSON file, which is read whole."""
_TOTAL_LIMIT: Final = 64 << 30
"""Bytes of all records of an archive together."""
_BLOCK: Final = 500
"""Members that one of several readers takes at a time."""


@dataclass(frozen=True)
class Share:
    """The part of an archive that one of several readers takes: every so manieth block."""

    number: int = 0
    of: int = 1

    def has(self, place: int) -> bool:
        """Whether the member at a place, counted from 0, belongs to it."""
        return place // _BLOCK % self.of == self.number


WHOLE: Final = Share()


@dataclass(frozen=True, slots=True)
class Piece:
    """One JSON document, as it lies there."""

    path: Path
    member: str
    """Its name in the archive; empty for a file of its own."""
    data: bytes

    @property
    def where(self) -> str:
        """Names it in errors."""
        return f"{self.path}: {printable(self.member, 120)}" if self.member else str(self.path)


def files(path: Path) -> list[Path]:
    """The JSON files and archives at a place, in a stable order.

    Raises:
        InputError: there are none.
    """
    if not path.exists():
        raise InputError(
            f"{path}: no such advisories; fetch them with `dmz advisories update`, or give a folder or an "
            "archive of OSV records"
        )
    if not path.is_dir():
        return [path]
    found = sorted(
        each
        for suffix in ("json", "zip")
        for each in path.rglob(f"*.{suffix}")
        if each.is_file() and not each.name.startswith(".")
    )
    if not found:
        raise InputError(f"{path}: no advisory in there; fetch them with `dmz advisories update`")
    return found


class Source:
    """One file that is open for reading."""

    def __init__(self, path: Path, file: BufferedReader) -> None:
        self.path = path
        self.file = file
        self.comment = b""
        """Of an archive, once its records were asked for."""

    @property
    def size(self) -> int:
        """Bytes."""
        return os.fstat(self.file.fileno()).st_size

    def sha256(self) -> str:
        """The digest of the file."""
        self.file.seek(0)
        return hashlib.file_digest(self.file, "sha256").hexdigest()

    def pieces(self, share: Share = WHOLE) -> Iterator[Piece]:
        """The records; a file that is no archive is all the first reader's.

        Raises:
            InputError: it is neither JSON nor a sound archive.
        """
        try:
            self.file.seek(0)
            archive = self.path.suffix == ".zip" or self.file.read(4) in (SIGNATURE, EMPTY)
            self.file.seek(0)
            data = b"" if archive or share.number else self.file.read(_FILE_LIMIT + 1)
        except OSError as error:
            raise unreadable(self.path, error) from None
        if archive:
            yield from self._members(share)
            return
        if len(data) > _FILE_LIMIT:
            raise InputError(
                f"{self.path}: larger than {_FILE_LIMIT >> 20} MiB; give it as an archive, one file a record"
            )
        for record in split(data, str(self.path)) if not share.number else ():
            yield Piece(self.path, "", bytes(record))

    def _members(self, share: Share) -> Iterator[Piece]:
        name, total = b"", 0
        try:
            archive = Archive(self.file)
            self.comment = archive.comment
            for place, member in enumerate(archive.members()):
                name = member.name
                total += member.size
                if member.size > RECORD_LIMIT or total > _TOTAL_LIMIT:
                    raise zipfile.BadZipFile("it unpacks to more than advisories have")
                if share.has(place) and name.endswith(b".json"):
                    yield Piece(self.path, name.decode(errors="replace"), archive.read(member))
        except (zipfile.BadZipFile, OSError) as error:
            which = f" {printable(name.decode(errors='replace'), 120)}:" if name else ""
            raise InputError(
                f"{self.path}:{which} no sound archive ({printable(str(error), 120)}); fetch it again"
            ) from None


def unreadable(path: Path, error: OSError) -> InputError:
    """The error for a file that can't be read."""
    return InputError(f"{path}: unreadable ({error.strerror}); make it readable")
