"""Keeping advisories: a folder with one archive for each ecosystem, brought up to date from the feed.

What changed since the last time is fetched record by record; where that is much, or nothing is there yet, the
whole archive. Nothing is put in place before all of it was checked.
"""

from __future__ import annotations

import fcntl
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from dmz.errors import InputError, RefusedError, TransferError
from dmz.promotion.advisories import snapshot
from dmz.promotion.advisories.records import decode, moment
from dmz.promotion.advisories.snapshot import ARCHIVE, Snapshot
from dmz.promotion.advisories.stamp import Stamp, utc
from dmz.registries.concurrency import together
from dmz.registries.feed import Feed, Listing, check_ecosystem, parse_listing
from dmz.registries.google import connect
from dmz.workflow.claims import Say

SINGLY: Final = 1000
"""Records that are fetched one by one; more come faster as a whole archive."""
_GROWN: Final = 1.5
"""Times its published size; an archive that has grown beyond, by what was replaced in it, is fetched anew."""
_SLACK: Final = 1 << 20
"""Bytes by which a small one may exceed that."""
_LOST: Final = 0.1
"""Part of the records that may vanish from the feed between two visits."""
_FEW: Final = 100
"""Records that may vanish in any case."""


@dataclass(frozen=True)
class Refreshed:
    """What came of one ecosystem."""

    ecosystem: str
    as_of: datetime
    """The moment whose knowledge is there now."""
    records: int
    changed: int
    """Records that are new or other than before."""
    removed: int
    whole: bool
    """The archive was fetched, not single records."""


@dataclass(frozen=True)
class _Place:
    where: str


async def refresh_all(folder: Path, ecosystems: Sequence[str], bucket: str, say: Say) -> list[Refreshed]:
    """Bring the archives of some ecosystems up to date, as the ambient identity or nobody; see `refresh`."""
    async with connect("") as google:  # a bucket has no location to name
        feed = await Feed.connected(google, bucket)
        return [await refresh(feed, folder, ecosystem, say) for ecosystem in dict.fromkeys(ecosystems)]


async def refresh(feed: Feed, folder: Path, ecosystem: str, say: Say) -> Refreshed:
    """Bring one ecosystem's archive in a folder up to date.

    Raises:
        InputError: the feed has no such ecosystem, or the folder can't be written, or is being written.
        RefusedError: the feed has gone back, or lost a good part of its records.
        TransferError: the feed failed, or what it serves does not fit together.
    """
    path = folder / check_ecosystem(ecosystem) / ARCHIVE
    say(f"{ecosystem}: asking what there is")
    listing = await feed.listing(ecosystem)
    with _alone(path.parent):
        held = snapshot.read(path)
        if held and held.stamp.feed == feed.name:
            return await _update(feed, path, held, listing, say)
        return await _whole(feed, path, listing, say)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    except BlockingIOError:
        raise InputError(f"{folder}: another update is at it; wait for its end") from None
    except PermissionError as error:
        raise InputError(f"{folder}: can't be written ({error.strerror}); make it writable") from None


async def _update(feed: Feed, path: Path, held: Snapshot, listing: Listing, say: Say) -> Refreshed:
    ecosystem = path.parent.name
    before = parse_listing(held.listing, str(path))
    _plausible(path.parent, held, before, listing)
    changed = [each for each, modified in listing.modified.items() if before.get(each) != modified]
    gone = before.keys() - listing.modified.keys()
    if not changed and not gone and held.stamp.moment == listing.as_of:
        return Refreshed(ecosystem, listing.as_of, len(before), 0, 0, whole=False)
    published = await feed.archive(ecosystem)
    if len(changed) > SINGLY or held.size > published.size * _GROWN + _SLACK:
        return await _whole(feed, path, listing, say)
    fetched = await _records(feed, ecosystem, changed, listing, say)
    missing = set(changed) - fetched.keys()
    _write(path, path, fetched, gone | missing, listing.without(missing), feed.name)
    count = len(listing.modified) - len(missing)
    return Refreshed(ecosystem, listing.as_of, count, len(fetched), len(gone), whole=False)


def _plausible(folder: Path, held: Snapshot, before: Mapping[str, str], listing: Listing) -> None:
    anew = f"to take it all the same, remove {folder}"
    as_of = held.stamp.moment
    if as_of and listing.as_of < as_of:
        raise RefusedError(
            f"{folder.name}: the feed is as of {utc(listing.as_of)}, older than what is here, as of "
            f"{utc(as_of)}; find out why it went back; {anew}"
        )
    gone = len(before.keys() - listing.modified.keys())
    if gone > max(_FEW, _LOST * len(before)):
        raise RefusedError(
            f"{folder.name}: the feed has lost {gone:,} of {len(before):,} records since the last time; find "
            f"out why; {anew}"
        )


async def _records(
    feed: Feed, ecosystem: str, wanted: Sequence[str], listing: Listing, say: Say
) -> dict[str, bytes]:
    """Single records by id; those that are gone by now are absent."""
    done = 0

    async def one(identity: str) -> tuple[str, bytes | None]:
        nonlocal done
        listed = moment(listing.modified[identity])
        data = await feed.record(ecosystem, identity)
        if data is not None and _older(data, ecosystem, identity, listed):
            data = await feed.record(ecosystem, identity, fresh=True)
            if data is not None and _older(data, ecosystem, identity, listed):
                raise TransferError(
                    f"{ecosystem}/{identity}: the feed serves an older one than it lists; run again later"
                )
        done += 1
        if not done % 50:
            say(f"{ecosystem}: {done} of {len(wanted)} records")
        return identity, data

    found = await together(one(identity) for identity in wanted)
    return {identity: data for identity, data in found if data is not None}


def _older(data: bytes, ecosystem: str, identity: str, listed: datetime | None) -> bool:
    try:
        record = decode(data, _Place(f"{ecosystem}/{identity}.json"))
    except InputError as error:
        raise TransferError(f"the feed serves what is no record: {error}") from None
    if record.id != identity:
        raise TransferError(f"{ecosystem}/{identity}.json: the feed serves {record.id} there; run again")
    modified = record.moment
    return listed is not None and (modified is None or modified < listed)


async def _whole(feed: Feed, path: Path, listing: Listing, say: Say) -> Refreshed:
    ecosystem = path.parent.name
    published = await feed.archive(ecosystem)
    part = path.with_name(f".{ARCHIVE}.{published.generation}.part")
    for other in set(path.parent.glob(f".{ARCHIVE}.*.part")) - {part}:
        other.unlink()  # of a state that the feed has no more
    await feed.download(
        published, part, lambda done, size: say(f"{ecosystem}: {done >> 20} of {size >> 20} MiB")
    )
    try:
        there = snapshot.moments(part, lambda line: say(f"{ecosystem}: {line}"))
    except InputError as error:
        part.unlink()
        raise TransferError(f"the feed serves a bad archive: {error}") from None
    behind = [
        identity
        for identity, modified in listing.modified.items()
        if identity not in there or _before(there[identity], moment(modified))
    ]
    if len(behind) > SINGLY:
        part.unlink()
        raise TransferError(
            f"{ecosystem}: the feed's archive lacks {len(behind):,} of the {len(listing.modified):,} records "
            "that it lists; run again later"
        )
    fetched = await _records(feed, ecosystem, behind, listing, say)
    missing = set(behind) - fetched.keys()
    _write(path, part, fetched, missing, listing.without(missing), feed.name)
    count = len((there.keys() | fetched.keys()) - missing)
    return Refreshed(ecosystem, listing.as_of, count, count, 0, whole=True)


def _before(one: datetime | None, other: datetime | None) -> bool:
    return other is not None and (one is None or one < other)


def _write(
    path: Path,
    base: Path,
    changed: Mapping[str, bytes],
    removed: Collection[str],
    listing: Listing,
    feed: str,
) -> None:
    stamp = Stamp(feed, utc(listing.as_of), utc(datetime.now(UTC)))
    snapshot.write(path, base, changed, removed, listing.raw, stamp)
