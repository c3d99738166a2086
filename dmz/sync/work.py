"""The sync's work: from releases to what the inner repositories hold."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from typing import Any

from dmz.attestations import inside, line
from dmz.promotion import drift, lines
from dmz.promotion.copying import DEFAULT_LIMITS, Limits, Places
from dmz.promotion.plan import Plan, plan
from dmz.promotion.transfer import Counters, Observers, carry_out
from dmz.registries.google import Google, connect
from dmz.registries.repository import Repository
from dmz.registries.retry import Retry
from dmz.sync.approval import attested_by, verified
from dmz.sync.inner import Inner
from dmz.sync.inputs import Inputs
from dmz.sync.places import announced, places, planned
from dmz.sync.plainly import Ticker
from dmz.sync.publication import publish, published
from dmz.sync.running import Running, running
from dmz.sync.withdrawn import refuse_withdrawn


async def sync(
    inputs: Inputs,
    approved_before: Collection[str],
    *,
    adopt: bool,
    limits: Limits = DEFAULT_LIMITS,
    retry: Retry | None = None,
) -> dict[str, Any]:
    """Make the inner repositories hold exactly the releases; the outputs that tell what that took.

    Args:
        approved_before: the SHA-256 of what earlier releases put here.
        adopt: whether to withdraw also what this sync did not put there.
        limits: concurrency and patience of the copying.
        retry: patience with a single request; None for the usual.

    Raises:
        RefusedError: a release is not attested or has what was withdrawn, or something stands in the way, a
            sync that is at work among it; nothing was copied.
    """
    approved, found = verified(inputs)
    async with Ticker() as ticker, identity(inputs, retry) as google:
        ticker.says("looking at the attestations of the releases")
        attested = await attested_by(google, inputs, found)
        inner = Inner.of(google, inputs, approved)
        async with alone(inputs, ticker, retry) as run:
            google.guard.check = run.check
            await refuse_withdrawn(inner.release, approved)
            ticker.says("looking at what the inner repositories hold")
            stored = await inner.list()
            todo = await planned(google, inputs, approved, stored, approved_before, adopt=adopt)
            await run.began(todo, {each.sha256 for each in stored})
            await announced(google, inputs, found, ticker.says)

            async def arrived() -> None:
                ticker.says("publishing the releases to the machines")
                await run.check()
                await publish(inner.release, found, attested)

            ways = places(google, inputs, inner, todo.copy)
            observers = Observers(ticker.says, run.record, arrived=arrived)
            counters = await carry_out(todo, ways, observers, limits)
            await run.ended(counters)
    return {
        **_outputs(counters, todo),
        "attestations": {workload: line(envelope) for workload, envelope in attested.items()},
    }


def _outputs(counters: Counters, done: Plan) -> dict[str, Any]:
    return {
        "copied": counters.copied,
        "kept": counters.kept,
        "withdrawn": counters.withdrawn,
        "bytes": counters.bytes,
        "seconds": round(counters.seconds, 1),
        "lingering": [f"{stored.filename} sha256:{stored.sha256}" for stored in done.lingering],
    }


async def held(inputs: Inputs) -> dict[str, Any] | None:
    """`packages`, `releases` and `attestations` as they are now; None if a repository does not exist."""
    async with Ticker() as ticker, identity(inputs) as google:
        ticker.says("looking at what the inner repositories hold")
        for repository in (inputs.python_repository, inputs.apt_repository):
            if not await Repository(google, inputs.project, inputs.location, repository).describe():
                return None
        inner = Inner.of(google, inputs)
        digests = await published(inner.release)
        attested = {
            workload: await inner.release.read(inside(digest)) for workload, digest in digests.items()
        }
        return {
            "packages": drift.present(await inner.list(), inputs.packages),
            "releases": digests,
            "attestations": {
                workload: line(envelope) for workload, envelope in attested.items() if envelope is not None
            },
        }


async def withdraw_all(inputs: Inputs) -> None:
    """Withdraw what the state knows of, and tell the machines that there is no release."""
    async with Ticker() as ticker, identity(inputs) as google:
        inner = Inner.of(google, inputs)
        async with alone(inputs, ticker) as run:
            google.guard.check = run.check
            ticker.says("withdrawing the packages from the inner repositories")
            known = {artifact.sha256 for artifact in lines.parse(inputs.packages)}
            stored = await inner.list()
            leaving = plan((), [each for each in stored if each.sha256 in known])
            await run.began(leaving, {each.sha256 for each in stored})
            await publish(inner.release, {}, {})
            observers = Observers(ticker.says, run.record)
            await run.ended(await carry_out(leaving, Places({}, inner.registries), observers))


def alone(
    inputs: Inputs, ticker: Ticker, retry: Retry | None = None
) -> contextlib.AbstractAsyncContextManager[Running]:
    """The run that holds the lease of the sync."""
    ticker.says("taking the lease of the inner side")
    account, bucket = inputs.sync_service_account, inputs.release_bucket
    return running(
        inputs.location, account, bucket, inputs.releases, ticker.says, retry=retry, warn=ticker.warns
    )


def identity(inputs: Inputs, retry: Retry | None = None) -> contextlib.AbstractAsyncContextManager[Google]:
    """A connection as the sync."""
    return connect(inputs.location, impersonate=inputs.sync_service_account, retry=retry)
