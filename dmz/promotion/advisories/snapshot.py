"""One file for one ecosystem: the feed's archive, brought up to date and stamped with its age.

`PyPI/all.zip` holds what the feed publishes under that name, with the records that changed since put in their
place, the feed's listing at that moment, and a stamp as its comment. It is replaced as a whole, so whoever
reads meanwhile has either state. Other tools that read published archives (osv-scanner, offline) read it too.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from dmz.errors import InputError
from dmz.promotion.advisories.archive import RECORD_LIMIT, Source
from dmz.promotion.advisories.build import Say
from dmz.promotion.advisories.packed import Archive
from dmz.promotion.advisories.records import decode
from dmz.promotion.advisories.stamp import LISTING, Stamp, stamped

ARCHIVE = "all.zip"
_SAY_EVERY = 10_000


@dataclass(frozen=True)
class Snapshot:
    """What is there of an ecosystem."""

    path: Path
    stamp: Stamp
    listing: bytes
    """The feed's, when it was brought up to date."""
    size: int
    """Bytes."""


def read(path: Path) -> Snapshot | None:
    """The snapshot in a file; None if there is none, or it is damaged or was made by other means."""
    try:
        with path.open("rb") as file:
            archive = Archive(file)
            stamp = stamped(archive.comment)
            found = (each for each in archive.members() if each.name == LISTING.encode())
            member = next(found, None) if stamp else None
            if stamp is None or member is None or member.size > RECORD_LIMIT:
                return None
            listing = archive.read(member)
    except (OSError, zipfile.BadZipFile):
        return None
    return Snapshot(path, stamp, listing, path.stat().st_size)


def moments(path: Path, say: Say) -> dict[str, datetime | None]:
    """When each record of an archive was last modified; everything in it is checked on the way.

    Raises:
        InputError: it is damaged, or holds something else than records.
    """
    found: dict[str, datetime | None] = {}
    with path.open("rb") as file:
        for piece in Source(path.with_suffix(".zip"), file).pieces():
            record = decode(piece.data, piece)
            if piece.member != f"{record.id}.json":
                raise InputError(f"{piece.where}: it holds {record.id}; fetch the archive again")
            found[record.id] = record.moment
            if not len(found) % _SAY_EVERY:
                say(f"checking {len(found):,} records")
    return found


def write(
    path: Path,
    base: Path,
    changed: Mapping[str, bytes],
    removed: Collection[str],
    listing: bytes,
    stamp: Stamp,
) -> None:
    """Put a new state in place of what is there.

    Args:
        path: where it goes.
        base: the archive that it begins with: `path` itself, or one that was just fetched, which is used up.
        changed: records that are new or other than in `base`, by id.
        removed: ids of records in `base` that are no more.

    Raises:
        InputError: `base` is damaged, or the folder can't be written.
    """
    new = path.with_name(f".{path.name}.new")
    try:
        if base == path:
            shutil.copyfile(base, new)
        else:
            base.replace(new)
        with zipfile.ZipFile(new, "a", zipfile.ZIP_DEFLATED) as archive:
            stale = {f"{identity}.json" for identity in (*changed, *removed)} | {LISTING}
            # The table of contents is what counts: what it does not name is not there.
            archive.filelist[:] = [info for info in archive.filelist if info.filename not in stale]
            for name in stale & archive.NameToInfo.keys():
                del archive.NameToInfo[name]
            for identity, data in sorted(changed.items()):
                archive.writestr(f"{identity}.json", data)
            archive.writestr(LISTING, listing)
            archive.comment = msgspec.json.encode(stamp)
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(path)
    except zipfile.BadZipFile as error:
        raise InputError(f"{base}: no sound archive ({error}); remove it and fetch it again") from None
    except OSError as error:
        raise InputError(f"{path}: can't be written ({error.strerror}); make it writable") from None
    finally:
        new.unlink(missing_ok=True)
