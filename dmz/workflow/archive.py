"""The archive as people see it: what it keeps for which releases, and letting go of the rest."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from dmz.archive import announced, records
from dmz.errors import InputError
from dmz.promotion import release as releases
from dmz.promotion.change import megabytes
from dmz.promotion.retention import Gone, Record, Stack, expendable, retain
from dmz.registries.archive import BucketArchive, Content
from dmz.registries.bucket import Bucket
from dmz.registries.caller import caller
from dmz.registries.claiming import PRUNE, Holder
from dmz.registries.concurrency import together
from dmz.registries.google import connect
from dmz.registries.lease import hold
from dmz.workflow.claims import Say
from dmz.workflow.estate import Estate

_OUTPUTS: Final = ("archiveBucket", "archivistServiceAccount")
_TELL: Final = 100
"""After how many deletions a line says how far it is."""
_READ_AT_ONCE: Final = 8


@dataclass(frozen=True)
class Archived:
    """What the archive keeps at one moment."""

    bucket: str
    newest: int
    """How many releases of each inner stack's workloads are kept (`dmz:keptReleases`)."""
    stacks: dict[Stack, list[Record]]
    """The releases that are kept, the newest first."""
    objects: int
    bytes: int
    """Of all objects."""
    free: tuple[Content, ...]
    """What no kept release names."""
    young: tuple[Content, ...]
    """What no kept release names either, and may not go yet: a sync may be at work with it."""
    missing: tuple[str, ...]
    """SHA-256 of what a kept release names and the archive does not have: its sync did not end, or somebody
    deleted it."""
    damaged: tuple[str, ...]
    """SHA-256 of what has another size than a kept release says."""
    old: tuple[Record, ...]
    """Records that keep nothing."""
    forgotten: tuple[Record, ...] = ()
    """Those of them that somebody wants forgotten; by name."""
    wrong: tuple[Content, ...] | None = None
    """What was read and has other bytes than its name says; None: nothing was read."""

    @property
    def nothing_to_do(self) -> bool:
        """Whether pruning would change nothing."""
        return not (self.free or self.old or self.wrong)


@dataclass(frozen=True)
class Pruned:
    """What was deleted."""

    objects: int = 0
    bytes: int = 0
    records: int = 0


async def show(estate: Estate, say: Say, *, verify: bool = False, forget: Collection[Gone] = ()) -> Archived:
    """What the archive keeps, and what pruning would free.

    Args:
        verify: read and hash all that it keeps.
        forget: inner stacks whose records keep nothing any more.

    Raises:
        InputError: outer is not up or of an earlier version, a record can't be read, or a stack that is to be
            forgotten is not there or still in use.
        TransferError: the archive can't be read, or nobody may act as the archivist here.
    """
    async with _archivist(estate) as archive:
        gone = await _forgotten(estate, archive.bucket, forget) if forget else ()
        found = await _look(archive, estate.outer_settings.kept_releases, gone, say)
        return replace(found, wrong=await _wrong(archive, say)) if verify else found


async def prune(estate: Estate, agreed: Archived, say: Say) -> Pruned:
    """Delete what no kept release names and what is known to be damaged, and after that the records that
    keep nothing.

    It is looked at again under a lease, for which syncs wait; what somebody needs by now stays, and nothing
    goes that was not agreed to. After an interruption the rest goes the next time.

    Args:
        agreed: what `show` found, and a person agreed to.

    Raises:
        RefusedError: somebody else prunes.
        InputError, TransferError: as with `show`; what was deleted until then was not needed.
    """
    async with _archivist(estate) as archive, _archivist(estate) as own:
        who = await caller(estate.outer_outputs()["location"])
        holder = Holder(who.who, secrets.token_hex(8), who.host)
        async with hold(own.bucket, PRUNE, holder, patience=0, say=lambda line: say(str(line))) as lease:
            archive.bucket.google.guard.check = lease.check
            now = await _look(archive, estate.outer_settings.kept_releases, agreed.forgotten, say)
            going = {*(set(now.free) & set(agreed.free)), *(agreed.wrong or ())}
            free = sorted(going, key=lambda each: each.sha256)
            old = sorted(set(now.old) & set(agreed.old), key=lambda each: each.name)
            gone: list[Content] = []
            for first in range(0, len(free), _TELL):
                say(f"deleting {len(free)} files: {len(gone)} are gone")
                portion = free[first : first + _TELL]
                done = await together(map(archive.contents.remove, portion))
                gone += [each for each, removed in zip(portion, done, strict=True) if removed]
            if old:
                say(f"deleting {len(old)} records")
                await together(archive.bucket.delete(each.name) for each in old)
            return Pruned(len(gone), sum(each.size for each in gone), len(old))


@dataclass(frozen=True)
class _Archive:
    bucket: Bucket
    contents: BucketArchive = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "contents", BucketArchive(self.bucket.google, self.bucket.name))


@asynccontextmanager
async def _archivist(estate: Estate) -> AsyncIterator[_Archive]:
    outputs = estate.outer_outputs()
    if missing := [name for name in _OUTPUTS if name not in outputs]:
        raise InputError(
            f"the stack {estate.outer_name} is of an earlier version, without '{missing[0]}'; run: "
            f"pulumi up -s {estate.outer_name}"
        )
    bucket, account = (outputs[name] for name in _OUTPUTS)
    async with connect(outputs["location"], impersonate=account) as google:
        yield _Archive(Bucket(google, bucket))


async def _forgotten(estate: Estate, bucket: Bucket, forget: Iterable[Gone]) -> list[Record]:
    """The records of stacks that are to be forgotten.

    Raises:
        InputError: there is none, or the checkout's own inner stack is up with a release of it.
    """
    there, in_use = await records(bucket), _in_use(estate)
    found: list[Record] = []
    for gone in forget:
        meant = [each for each in there if gone.fits(each.stack)]
        if not meant:
            known = ", ".join(sorted({f"{each.stack.project}/{each.stack.location}" for each in there}))
            raise InputError(
                f"{gone.text}: no release went there; the archive knows {known or 'of no inner stack yet'}"
            )
        for each in meant:
            if each.stack in in_use:
                raise InputError(
                    f"{each.stack} is in use: the stack {estate.inner_name} is up and has a release of it; "
                    "forget it after it is destroyed, or after its release is deleted"
                )
        found += meant
    return found


def _in_use(estate: Estate) -> set[Stack]:
    try:
        outputs = estate.inner_outputs()
    except InputError:
        return set()  # it is not up
    project, location = outputs["project"], outputs["location"]
    return {Stack(project, location, workload) for workload in releases.released(estate.releases)}


async def _wrong(archive: _Archive, say: Say) -> tuple[Content, ...]:
    """What has other bytes than its name says; reads everything."""
    contents = await archive.contents.contents()
    size, read = sum(each.size for each in contents), 0

    async def intact(content: Content) -> bool:
        nonlocal read
        say(f"reading {megabytes(size)} in {len(contents)} files: {megabytes(read)} are read")
        found = await archive.contents.intact(content)
        read += content.size
        return found

    whole = await together(map(intact, contents), at_once=_READ_AT_ONCE)
    return tuple(each for each, right in zip(contents, whole, strict=True) if not right)


async def _look(archive: _Archive, newest: int, gone: Collection[Record], say: Say) -> Archived:
    # The files first: what comes later is not among them, and so can't go.
    say("listing what the archive keeps")
    contents = {each.sha256: each for each in await archive.contents.contents()}
    retention = retain(await records(archive.bucket), newest, set(gone))
    say(f"reading which files {len(retention.kept)} kept releases name")
    needed = await _needed(archive.bucket, retention.kept)
    now: datetime = await archive.bucket.now()
    created = {each.sha256: each.created for each in contents.values()}
    free = expendable(created, needed, now)
    young = contents.keys() - needed.keys() - set(free)
    return Archived(
        archive.bucket.name,
        newest,
        retention.stacks,
        len(contents),
        sum(each.size for each in contents.values()),
        tuple(contents[each] for each in free),
        tuple(contents[each] for each in sorted(young)),
        tuple(sorted(needed.keys() - contents.keys())),
        tuple(
            sorted(
                sha256
                for sha256, size in needed.items()
                if sha256 in contents and contents[sha256].size != size
            )
        ),
        retention.old,
        tuple(sorted(set(gone) & set(retention.old), key=lambda each: each.name)),
    )


async def _needed(bucket: Bucket, kept: Iterable[Record]) -> dict[str, int]:
    """SHA-256 and size in bytes of everything that these records name."""
    found: dict[str, int] = {}

    async def one(record: Record) -> None:
        # Most of a release is in the one before it, so that the union is small where the list is long.
        release = await announced(bucket, record)
        found.update((each.sha256, each.size) for each in release.artifacts)

    await together(map(one, kept))
    return found
