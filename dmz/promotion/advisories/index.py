"""The index: records by package in one SQLite file, so that a screening reads what it needs.

It is named by what it was made from and by its own bytes: `<sources>-<index>.sqlite`, both SHA-256. The first
finds it only for exactly these files, whatever their names, sizes and times say; the second shows that it is
whole. One that is damaged, or made by another version of this program, is made anew. It is put in place by a
rename, so that two programs at once don't disturb each other.

Hashing takes about a second for each gigabyte. Sizes and times would cost nothing, but whoever can replace an
archive can set them.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Final

from dmz.errors import InputError
from dmz.promotion.advisories.archive import Source, unreadable
from dmz.promotion.advisories.build import Say, fill
from dmz.promotion.advisories.rows import Known, Said, known, said

FORMAT: Final = b"1"
"""Changed with whatever changes what an index holds."""
_KEPT: Final = 4
"""Indexes that stay in the folder, those made last."""
_SMALL: Final = 1 << 20
"""Bytes of records that are read faster than an index is worth keeping."""
_ABANDONED: Final = 86400
"""Seconds after which an index that somebody began and never finished is swept away."""
_MAPPED: Final = 256 << 20
_UNFINISHED: Final = ".unfinished-"


class Index:
    """An index that is open for reading."""

    def __init__(self, connection: sqlite3.Connection, path: Path | None = None) -> None:
        """Args:
        path: where it is kept; None: nowhere.
        """
        self._connection = connection
        self.path = path
        self.facts: dict[str, str] = dict(connection.execute("SELECT name, value FROM fact"))
        self.ecosystems: dict[str, int] = dict(connection.execute("SELECT name, records FROM ecosystem"))
        """Records of each ecosystem."""

    def said(self, ecosystem: str, name: str) -> list[tuple[int, Said]]:
        """What the records say of a package, each with its record's number."""
        rows = self._connection.execute(
            "SELECT record, body FROM concern WHERE ecosystem = ? AND name = ?", (ecosystem, name)
        )
        return [(number, said(body)) for number, body in rows]

    def known(self, numbers: Iterable[int]) -> dict[int, tuple[Known, str]]:
        """Records by number, each with the name of the group that its aliases put it into."""
        rows = self._connection.execute(
            "SELECT number, body, name FROM json_each(?) JOIN record ON number = value "
            "LEFT JOIN grouped ON grouped.record = number",
            (json.dumps(list(numbers)),),
        )
        found = ((number, known(body), group) for number, body, group in rows)
        return {number: (each, group or each.id) for number, each, group in found}


def open_index(paths: Sequence[Path], cache: Path | None, say: Say) -> Index:
    """The index of some files: the one that is kept, or a new one.

    Args:
        cache: the folder where indexes are kept; None: it is made for this time only.

    Raises:
        InputError: one of the files has something else than records, a record stands there twice with
            different content, or the folder can't be written.
    """
    with ExitStack() as stack:
        sources = []
        for path in paths:
            try:
                sources.append(Source(path, stack.enter_context(path.open("rb"))))
            except OSError as error:
                raise unreadable(path, error) from None
        made_from = _made_from(sources)
        if cache is None or sum(source.size for source in sources) < _SMALL:
            connection = sqlite3.connect(
                "", check_same_thread=False
            )  # a file of its own, gone when it closes
            _fill(connection, sources, made_from, say)
            return Index(connection)
        return _kept(cache, made_from) or _make(cache, sources, made_from, say)


def _made_from(sources: Sequence[Source]) -> str:
    with ThreadPoolExecutor() as pool:  # hashing leaves the interpreter to the others
        digests = sorted(pool.map(Source.sha256, sources))
    return hashlib.sha256(b"\0".join([FORMAT, *(digest.encode() for digest in digests)])).hexdigest()


def _fill(connection: sqlite3.Connection, sources: Sequence[Source], made_from: str, say: Say) -> None:
    try:
        fill(connection, sources, say)
    except sqlite3.Error as error:
        raise InputError(f"advisories: no index can be written ({error}); make room on the disk") from None
    if _made_from(sources) != made_from:
        raise InputError(f"{sources[0].path}: it changed while it was read; run again")


def _kept(cache: Path, made_from: str) -> Index | None:
    for path in cache.glob(f"{made_from}-*.sqlite"):
        with suppress(OSError, sqlite3.Error):
            with path.open("rb") as file:
                whole = hashlib.file_digest(file, "sha256").hexdigest()
            if path.stem == f"{made_from}-{whole}":
                return opened(path)
            path.unlink()
    return None


def opened(path: Path, mapped: int = _MAPPED) -> Index:
    """An index that is known to be sound.

    Args:
        mapped: bytes of it that are read where they lie, without a copy.
    """
    address = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
    connection = sqlite3.connect(address, uri=True, check_same_thread=False)
    connection.execute(f"PRAGMA mmap_size = {mapped}")
    return Index(connection, path)


def _make(cache: Path, sources: Sequence[Source], made_from: str, say: Say) -> Index:
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=_UNFINISHED, dir=cache)
        os.close(handle)
        unfinished = Path(name)
        try:
            with closing(sqlite3.connect(unfinished)) as connection:
                _fill(connection, sources, made_from, say)
            with unfinished.open("rb") as file:
                os.fsync(file.fileno())
                whole = hashlib.file_digest(file, "sha256").hexdigest()
            finished = cache / f"{made_from}-{whole}.sqlite"
            index = opened(unfinished)
            unfinished.replace(finished)
            index.path = finished
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{cache}: no index can be kept there ({error.strerror}); make it writable, or name another "
            "folder in DMZ_CACHE"
        ) from None
    _sweep(cache, finished)
    return index


def _sweep(cache: Path, keep: Path) -> None:
    with suppress(OSError):
        made = sorted(cache.glob("*.sqlite"), key=lambda path: path.stat().st_mtime, reverse=True)
        old = [path for path in made if path != keep][_KEPT - 1 :]
        late = time.time() - _ABANDONED
        old += [path for path in cache.glob(f"{_UNFINISHED}*") if path.stat().st_mtime < late]
        for path in old:
            path.unlink(missing_ok=True)
