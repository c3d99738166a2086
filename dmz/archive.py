"""The archive's records: which releases went, or were about to go, into which inner stack.

A sync announces its releases before it copies anything, so that pruning knows of every file that may be in
use; and pruning holds a lease meanwhile, for which the sync waits after it has announced. So either the
pruning sees the record, or the sync sees what the pruning left.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

from dmz.errors import InputError, TransferError
from dmz.promotion.release import Release
from dmz.promotion.retention import RECORDS, Record, Stack, folder_of, name_of, newest_of, render
from dmz.registries.bucket import Bucket, readable
from dmz.registries.claiming import running
from dmz.registries.concurrency import together

PATIENCE: Final = 900.0
"""Seconds for which a sync waits until the archive is pruned."""
_AGAIN: Final = 2.0
"""Seconds between two looks at that."""

Say = Callable[[str], object]


async def announce(
    archive: Bucket,
    project: str,
    location: str,
    releases: Iterable[Release],
    say: Say = lambda line: None,
    patience: float = PATIENCE,
) -> int:
    """Write down which releases are about to go into an inner stack, before any file of them is copied.

    Only for releases whose attestations hold: a record makes the archive keep what it names.

    Args:
        archive: outer's bucket, as the sync.
        project: the inner stack's.
        location: the inner stack's.
        releases: all of them; one that is its workload's newest record already is not written again.
        say: told what is waited for.
        patience: seconds to wait for a pruning that is at work.

    Returns:
        How many records were written.

    Raises:
        TransferError: the archive can't be read or written, or is pruned for too long. Run again.
    """
    written = await together(
        _announced(archive, Stack(project, location, release.workload), release) for release in releases
    )
    until = time.monotonic() + patience
    while pruning := await running(archive):
        if time.monotonic() >= until:
            raise TransferError(f"the archive {archive.name} is still at {pruning[0]}; run again after that")
        say(f"waiting for {pruning[0]}")
        await asyncio.sleep(min(_AGAIN, patience))
    return sum(written)


async def _announced(archive: Bucket, stack: Stack, release: Release) -> bool:
    last = newest_of(await records(archive, folder_of(stack), strict=False))
    if last and last[0].digest == release.digest:
        return False
    name = name_of(stack, release.digest, datetime.now(UTC))
    if await archive.create(name, render(release)) is None:
        raise TransferError(f"gs://{archive.name}/{name} is there already; run again")
    return True


async def records(archive: Bucket, prefix: str = RECORDS, *, strict: bool = True) -> list[Record]:
    """The records below a prefix, by name.

    Args:
        strict: whether another object there is an error, or passed over.

    Raises:
        InputError: an object there is no record.
        TransferError: the archive can't be read.
    """
    found: list[Record] = []
    for item in await archive.list(prefix):
        with readable(archive.url(item.name)):
            created = datetime.fromisoformat(item.created).astimezone(UTC)
        try:
            found.append(Record.of(item.name, created))
        except InputError as error:
            if strict:
                raise InputError(f"gs://{archive.name}: {error}") from None
    return found


async def announced(archive: Bucket, record: Record) -> Release:
    """The release that a record is about.

    Raises:
        InputError: it can't be told.
        TransferError: the archive can't be read.
    """
    body = await archive.read(record.name)
    if body is None:
        raise InputError(f"gs://{archive.name}/{record.name} is gone; somebody prunes: run again")
    try:
        return record.parse(body)
    except InputError as error:
        raise InputError(f"gs://{archive.name}: {error}") from None


async def approved(archive: Bucket, project: str, location: str) -> set[str]:
    """The SHA-256 of all files that were ever announced for an inner stack, as far as there are records.

    Raises:
        TransferError: the archive can't be read.
    """
    found: set[str] = set()
    for record in await records(archive, f"{RECORDS}{project}/{location}/", strict=False):
        with contextlib.suppress(InputError):  # what can't be read names nothing
            found.update(each.sha256 for each in (await announced(archive, record)).artifacts)
    return found
