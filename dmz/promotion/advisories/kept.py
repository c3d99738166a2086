"""Indexes that are kept: found for exactly what they were made from, and only whole.

One is named by what it was made from and by its own bytes: `<sources>-<index>.sqlite`, both SHA-256. The
first finds it only for exactly these files, whatever their names, sizes and times say; the second shows that
it is whole. One that is damaged, or made by another version of this program, is made anew. It is put in place
by a rename, so that two programs at once don't disturb each other.

Hashing takes about a second for each gigabyte. Sizes and times would cost nothing, but whoever can replace an
archive can set them.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Final

from dmz.errors import InputError
from dmz.promotion.advisories.archive import Source, unreadable
from dmz.promotion.advisories.build import Say, fill
from dmz.promotion.advisories.index import Index, opened

FORMAT: Final = b"2"
"""Changed with whatever changes what an index holds."""
_KEPT: Final = 4
"""Indexes that stay in the folder, those made last."""
_SMALL: Final = 1 << 20
"""Bytes of records that are read faster than an index is worth keeping."""
_ABANDONED: Final = 86400
"""Seconds after which an index that somebody began and never finished is swept away."""
_UNFINISHED: Final = ".unfinished-"


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
        if cache is None or sum(source.size for source in sources) < _SMALL:
            connection = sqlite3.connect("", check_same_thread=False)  # a file that goes when it is closed
            _fill(connection, sources, _made_from(sources), say)
            return Index(connection)
        with ThreadPoolExecutor() as pool:
            # It is mostly the one that was made last: hashed beside what it was made from.
            wholes = {path: pool.submit(_whole, path) for path in _by_age(cache)[:1]}
            made_from = _made_from(sources)
        return _kept(cache, made_from, wholes) or _make(cache, sources, made_from, say)


def _made_from(sources: Sequence[Source]) -> str:
    with ThreadPoolExecutor() as pool:  # hashing leaves the interpreter to the others
        digests = sorted(pool.map(Source.sha256, sources))
    return hashlib.sha256(b"\0".join([FORMAT, *(digest.encode() for digest in digests)])).hexdigest()


def _whole(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _by_age(cache: Path) -> list[Path]:
    """Indexes in a folder, the one that was made last first."""
    found: list[tuple[float, Path]] = []
    for path in cache.glob("*.sqlite"):
        with suppress(OSError):  # somebody sweeps
            found.append((path.stat().st_mtime, path))
    return [path for _, path in sorted(found, reverse=True)]


def _fill(connection: sqlite3.Connection, sources: Sequence[Source], made_from: str, say: Say) -> None:
    try:
        fill(connection, sources, say)
    except sqlite3.Error as error:
        raise InputError(f"advisories: no index can be written ({error}); make room on the disk") from None
    if _made_from(sources) != made_from:
        raise InputError(f"{sources[0].path}: it changed while it was read; run again")


def _kept(cache: Path, made_from: str, wholes: Mapping[Path, Future[str]]) -> Index | None:
    for path in cache.glob(f"{made_from}-*.sqlite"):
        with suppress(OSError, sqlite3.Error):
            whole = wholes[path].result() if path in wholes else _whole(path)
            if path.stem == f"{made_from}-{whole}":
                return opened(path)
            path.unlink()
    return None


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
            whole = _whole(unfinished)
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
        old = [path for path in _by_age(cache) if path != keep][_KEPT - 1 :]
        late = time.time() - _ABANDONED
        old += [path for path in cache.glob(f"{_UNFINISHED}*") if path.stat().st_mtime < late]
        for path in old:
            path.unlink(missing_ok=True)
