"""The copying: streamed, concurrent, hashed on the way, compared afterwards; then what goes is withdrawn."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from dmz.artifact import Artifact, Kind
from dmz.errors import DmzError, InputError, TransferError
from dmz.promotion.place import slot
from dmz.promotion.plan import Plan
from dmz.registries.interface import Registry, Stored


class UnapprovedError(TransferError):
    """The bytes are not the approved ones. Trying again does not make them so."""


@dataclass(frozen=True)
class Limits:
    """How hard the services are driven."""

    concurrency: int = 16
    """Transfers at the same time."""
    attempts: int = 4
    """Tries for each artifact; wrong bytes have only one."""
    first_delay: float = 0.5
    """Seconds before the second try; doubles with each further one."""


DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True)
class Counters:
    """What was done."""

    copied: int = 0
    kept: int = 0
    withdrawn: int = 0
    bytes: int = 0
    """Of the copied artifacts."""
    seconds: float = 0.0


@dataclass(frozen=True)
class Progress:
    """One more artifact is in its place."""

    artifact: Artifact
    done: int
    total: int
    bytes: int
    """Copied so far."""
    total_bytes: int


async def approved(artifact: Artifact, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Pass the bytes on as they come, but the last ones only when all of them are the approved ones.

    An upload that is fed from this stream cannot complete with anything else.

    Raises:
        UnapprovedError: size or SHA-256 differ; names the artifact and both digests.
    """
    digest = hashlib.sha256()
    size = 0
    held = b""
    async for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
        if size > artifact.size:
            raise UnapprovedError(
                f"{artifact.key} {artifact.filename}: {artifact.origin} sends more than the approved "
                f"{artifact.size} bytes (SHA-256 {artifact.sha256}, {digest.hexdigest()} so far); it changed "
                "since the release: find out why, then run `dmz screen` again"
            )
        if chunk:
            if held:
                yield held
            held = chunk
    if digest.hexdigest() != artifact.sha256 or size != artifact.size:
        raise UnapprovedError(
            f"{artifact.key} {artifact.filename}: {artifact.origin} served SHA-256 {digest.hexdigest()} "
            f"({size} bytes), approved is {artifact.sha256} ({artifact.size} bytes); it changed since the "
            "release: find out why, then run `dmz screen` again"
        )
    if held:
        yield held


async def carry_out(
    plan: Plan,
    sources: Mapping[str, Registry],
    destinations: Mapping[Kind, Registry],
    progress: Callable[[Progress], None] | None = None,
    limits: Limits = DEFAULT_LIMITS,
    arrived: Callable[[], Awaitable[None]] | None = None,
) -> Counters:
    """Copy, compare with the destination's own record, tell who reads, and only then withdraw.

    It may be run again at any point: what is in place stays, what was left out follows.

    Args:
        plan: one that `Plan.check` passed.
        sources: outer repositories by id.
        destinations: inner repositories by kind.
        progress: called after each copied artifact.
        limits: concurrency and retries.
        arrived: called when all that is approved is in place and before anything goes, to point those who
            read at the new; when it fails, nothing is withdrawn.

    Raises:
        InputError: the plan names a repository that is not among those given; nothing was changed.
        TransferError: a copy failed, or the destination's record is not as approved; nothing was withdrawn,
            and every file that was copied before is an approved one.
    """
    started = time.monotonic()
    _check(plan, sources, destinations)
    await _copy(plan, sources, destinations, progress, limits)
    await _compare(plan, destinations)
    if arrived:
        await arrived()
    for kind, leaving in _by_kind(plan.withdraw).items():
        await destinations[kind].withdraw(leaving)
    return Counters(
        copied=len(plan.copy),
        kept=len(plan.keep),
        withdrawn=len(plan.withdraw),
        bytes=sum(artifact.size for artifact in plan.copy),
        seconds=time.monotonic() - started,
    )


def _check(plan: Plan, sources: Mapping[str, Registry], destinations: Mapping[Kind, Registry]) -> None:
    for artifact in plan.copy:
        if artifact.origin not in sources:
            raise InputError(
                f"{artifact.key}: outer has no repository '{artifact.origin}'; run `pulumi up` on the outer "
                "stack, or `dmz screen` again"
            )
    for kind in sorted(_by_kind(plan.copy).keys() | _by_kind(plan.withdraw).keys()):
        if kind not in destinations:
            raise InputError(f"inner has no repository for {kind}; run `pulumi up` on the inner stack")


async def _copy(
    plan: Plan,
    sources: Mapping[str, Registry],
    destinations: Mapping[Kind, Registry],
    progress: Callable[[Progress], None] | None,
    limits: Limits,
) -> None:
    places = asyncio.Semaphore(limits.concurrency)
    total, total_bytes = len(plan.copy), sum(artifact.size for artifact in plan.copy)
    done = done_bytes = 0

    async def transfer(artifact: Artifact) -> None:
        nonlocal done, done_bytes
        async with places:
            await _transfer(artifact, sources[artifact.origin], destinations[artifact.kind], limits)
        done, done_bytes = done + 1, done_bytes + artifact.size
        if progress:
            progress(Progress(artifact, done, total, done_bytes, total_bytes))

    try:
        async with asyncio.TaskGroup() as tasks:
            # The largest first: what takes longest must not be what starts last.
            for artifact in sorted(plan.copy, key=lambda each: (-each.size, each)):
                tasks.create_task(transfer(artifact))
    except BaseExceptionGroup as group:
        known, other = group.split(DmzError)
        if other or known is None:
            raise
        raise min(_leaves(known), key=str) from None


def _leaves(group: BaseExceptionGroup[DmzError]) -> list[DmzError]:
    found: list[DmzError] = []
    for each in group.exceptions:
        found += _leaves(each) if isinstance(each, BaseExceptionGroup) else [each]
    return found


async def _transfer(artifact: Artifact, source: Registry, destination: Registry, limits: Limits) -> None:
    for attempt in range(1, limits.attempts + 1):
        try:
            async with source.open(artifact) as chunks:
                await destination.put(artifact, approved(artifact, chunks))
                return
        except UnapprovedError:
            raise
        except TransferError:
            if attempt == limits.attempts:
                raise
        await asyncio.sleep(limits.first_delay * 2 ** (attempt - 1))


async def _compare(plan: Plan, destinations: Mapping[Kind, Registry]) -> None:
    for kind, copied in _by_kind(plan.copy).items():
        record: dict[object, Stored] = {slot(each): each for each in await destinations[kind].list()}
        for artifact in copied:
            stored = record.get(slot(artifact))
            if stored is None or stored.sha256 != artifact.sha256:
                raise TransferError(
                    f"{artifact.key} {artifact.filename}: approved is SHA-256 {artifact.sha256}, the inner "
                    f"repository's record after the copy has {stored.sha256 if stored else 'no such file'}; "
                    "nothing was withdrawn; run again, and if it stays, look at who else writes there"
                )


Item = TypeVar("Item", Artifact, Stored)


def _by_kind(items: Iterable[Item]) -> dict[Kind, list[Item]]:
    found: dict[Kind, list[Item]] = {}
    for item in items:
        found.setdefault(item.kind, []).append(item)
    return found
