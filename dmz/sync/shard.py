"""One shard of what the sync would copy, done beside others, before it.

It makes nothing readable that the sync would not, and takes nothing away: clearing, admitting, publishing and
withdrawing stay with the sync, which then finds little or nothing left to copy.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from dmz.artifact import Artifact
from dmz.promotion.copying import DEFAULT_LIMITS, Limits
from dmz.promotion.journal import Action, Event
from dmz.promotion.shards import Shard
from dmz.promotion.transfer import Counters, Observers, copy
from dmz.registries.claiming import shard as lease_of
from dmz.registries.google import connect
from dmz.registries.retry import Retry
from dmz.sync.approval import attested_by, verified
from dmz.sync.inner import Inner
from dmz.sync.inputs import Inputs
from dmz.sync.places import announced, places, planned
from dmz.sync.plainly import Ticker
from dmz.sync.running import Running, running
from dmz.sync.withdrawn import refuse_withdrawn


@dataclass(frozen=True)
class Promoted:
    """What one shard did."""

    shard: Shard
    copied: int
    """Files."""
    bytes: int
    """Of what was copied."""
    staged: int
    """Files that an earlier run left where the next sync admits them."""
    kept: int
    """Files that were in their place already."""
    contested: tuple[Artifact, ...]
    """Not copied: the sync has to clear their versions first of what nobody approved."""
    seconds: float


async def promote(
    inputs: Inputs,
    approved_before: Collection[str],
    shard: Shard,
    *,
    adopt: bool,
    tell: Callable[[str], object],
    limits: Limits = DEFAULT_LIMITS,
    retry: Retry | None = None,
) -> Promoted:
    """Copy one shard of what the releases want and the inner repositories lack.

    Args:
        approved_before: the SHA-256 of what earlier releases put here.
        shard: the part; its share of the quota is all that it uses.
        adopt: whether the sync would withdraw also what it did not put there.
        tell: told every two seconds what is being done.
        limits: concurrency and patience of the copying.
        retry: patience with a single request; None for the usual.

    Raises:
        RefusedError: a release is not attested or has what was withdrawn, the sync or another task with
            this shard is at work, or the sync would refuse the plan; nothing was copied.
        TransferError: an artifact could not be copied; others were, each an approved one. Run it again.
    """
    started = time.monotonic()
    approved, found = verified(inputs)
    account, share = inputs.sync_service_account, shard.share
    async with (
        Ticker(tell) as ticker,
        connect(inputs.location, impersonate=account, retry=retry, share=share) as google,
    ):
        ticker.says("looking at the attestations of the releases")
        await attested_by(google, inputs, found)
        inner = Inner.of(google, inputs, approved)
        async with _beside_others(inputs, shard, ticker, retry) as run:
            google.guard.check = run.check
            await refuse_withdrawn(inner.release, approved)
            ticker.says("looking at what the inner repositories hold")
            stored = await inner.list()
            whole = await planned(google, inputs, approved, stored, approved_before, adopt=adopt)
            part = shard.part(whole)
            await run.began(part, {each.sha256 for each in stored})
            await announced(google, inputs, found, ticker.says)
            ways = places(google, inputs, inner, part.copy)
            ticker.says("looking at what the archive keeps")
            archived = await ways.archived()
            ways.check(part.copy, archived)
            copied = 0

            async def record(event: Event) -> None:
                nonlocal copied
                copied += len(event.items) if event.action is Action.COPIED else 0
                await run.record(event)

            size = await copy(part, ways, archived, Observers(ticker.says, record), limits)
            seconds = time.monotonic() - started
            await run.ended(Counters(copied, len(part.keep), 0, size, seconds))
    return Promoted(
        shard=shard,
        copied=copied,
        bytes=size,
        staged=len(part.copy) - copied,
        kept=len(part.keep),
        contested=shard.contested(whole),
        seconds=seconds,
    )


def _beside_others(
    inputs: Inputs, shard: Shard, ticker: Ticker, retry: Retry | None
) -> AbstractAsyncContextManager[Running]:
    """A run that holds the lease of the shard: other shards may run, the sync and the same shard may not."""
    ticker.says("taking the lease of the shard")
    return running(
        inputs.location,
        inputs.sync_service_account,
        inputs.release_bucket,
        inputs.releases,
        ticker.says,
        lease=lease_of(shard.index, shard.count),
        doing=f"shard {shard}",
        retry=retry,
        warn=ticker.warns,
    )
