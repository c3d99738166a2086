"""The lease: who may change what inner holds, as an object that ends by itself when its holder is killed.

All times are the service's: a lease is over when its object was not written for as long as it says, by the
clock that stamps objects and answers. A machine's own clock only measures how long ago it wrote.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from dmz.errors import DmzError, RefusedError, TransferError
from dmz.registries.claiming import (
    GRACE,
    SECONDS,
    Claim,
    Holder,
    Objects,
    claim,
    clock,
    place,
    rendered,
    short,
)

RENEWAL: Final = SECONDS / 3
"""Seconds after which a lease is renewed."""
MARGIN: Final = 15.0
"""Seconds before its end at which the holder of a lease that can't be renewed stops: what it has sent by
then arrives before somebody else begins."""
_ANSWER: Final = 10.0
"""Seconds after which one try to renew or give back is given up."""
_AGAIN: Final = 2.0
"""Seconds between two tries, and two looks at a lease that is waited for."""

_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

Say = Callable[[object], None]


def _clock() -> float:
    """Seconds, also those for which the machine slept: the service's clock did not stop meanwhile."""
    return time.clock_gettime(_CLOCK)


class Lease:
    """A lease that is held; see `hold`."""

    def __init__(self, bucket: Objects, name: str, holder: Holder) -> None:
        self.name = name
        self.holder = holder
        self.killed: tuple[Claim, ...] = ()
        """Runs whose leases had run out when this one was taken."""
        self.lost: DmzError | None = None
        self.cancelled: int | None = None
        """How often the work had been cancelled before it was because the lease was lost; None: it was not.
        More than none does not say that somebody wanted it: before Python 3.13 each task group in the work
        that failed has left one behind."""
        self._bucket = bucket
        self._object = place(name)
        self._place = f"gs://{bucket.name}/{self._object}"
        self._generation: str | None = None
        self._written = 0.0
        """When the request was sent that last wrote it, by this machine's `_clock`."""
        self._now: tuple[datetime, float] = (datetime.fromtimestamp(0, UTC), 0.0)
        self._since = self._now[0]
        self._renewing = asyncio.Lock()

    def now(self) -> datetime:
        """What the service's clock says, by the time that passed since it was asked."""
        then, measured = self._now
        return then + timedelta(seconds=_clock() - measured)

    async def check(self) -> None:
        """Whether the lease is still held, before something that only its holder may do.

        Raises:
            TransferError: it was lost, or that can't be found out.
        """
        if self.lost is None and _clock() >= self._stop:
            await self._renew()
        if self.lost is not None:
            raise self.lost
        if _clock() >= self._stop:
            raise self._unknown()

    @property
    def _stop(self) -> float:
        return self._written + SECONDS - MARGIN

    def _data(self) -> bytes:
        return rendered(self.holder, self._since, self.now())

    async def acquire(self, patience: float, say: Say) -> None:
        """Wait until the lease is held; what `hold` begins with.

        Raises:
            RefusedError: somebody else still holds it after `patience` seconds.
            TransferError: the service failed.
        """
        started = _clock()
        self._now = (await self._bucket.now(), _clock())
        self._since = self.now()
        while True:
            if self._generation is not None:
                await self._keep_meanwhile()
            sent, own = _clock(), self._generation
            standing = await claim(self._bucket, self.name, self.holder.run, self._data(), own)
            self.killed += standing.killed
            if self._generation is None and standing.generation is not None:
                self._written = sent
            self._generation = standing.generation
            if standing.blocker is None:
                await self.check()  # it may have taken so long that somebody else saw it run out
                return
            if _clock() - started >= patience:
                raise self._refusal(standing.blocker)
            say(f"waiting for {standing.blocker}")
            await asyncio.sleep(_AGAIN * random.uniform(0.5, 1))  # noqa: S311 - jitter is no secret

    async def _keep_meanwhile(self) -> None:
        if _clock() - self._written >= RENEWAL:
            await self._renew()
        await self.check()

    async def keep(self, holder: asyncio.Task[object]) -> None:
        """Renew the lease for ever; cancel `holder` when that is not possible."""
        while True:
            await asyncio.sleep(max(0.0, self._written + RENEWAL - _clock()))
            renewed = await self._renew()
            # Tried at least once, however late it is: nobody may have wanted it meanwhile.
            if self.lost is None and not renewed and _clock() >= self._stop:
                self.lost = self._unknown()
            if self.lost is not None:
                before = holder.cancelling()
                self.cancelled = before if holder.cancel() else None
                return
            if not renewed:
                await asyncio.sleep(_AGAIN)

    async def _renew(self) -> bool:
        """Whether it was renewed; sets `lost` when it is somebody else's, or gone."""
        async with self._renewing:
            if self._generation is None or self.lost is not None:
                return False
            with suppress(DmzError, TimeoutError):
                async with asyncio.timeout(_ANSWER):
                    while self.lost is None:
                        sent = _clock()
                        written = await self._bucket.replace(self._object, self._data(), self._generation)
                        if written is not None:
                            self._generation, self._written = written, sent
                            return True
                        await self._changed()
            return False

    async def _changed(self) -> None:
        """It is not as it was last seen: an earlier try has arrived after all, or it is somebody else's."""
        found = await self._bucket.look(self._object)
        there = Claim.of(self._object, found) if found else None
        if there is not None and there.holder.run == self.holder.run:
            self._generation = there.generation
            return
        by = f"was taken over by {short(there.holder.who)} (run {there.holder.run})" if there else "is gone"
        self.lost = TransferError(
            f"the lease {self._place} {by}: this run was held up for too long, and stopped; what it copied "
            "is approved and stays, run again to do the rest"
        )

    async def release(self) -> None:
        """Give it back, if it is still there; when that fails it ends by itself."""
        with suppress(DmzError, TimeoutError):
            async with asyncio.timeout(_ANSWER):
                if self._generation and await self._bucket.remove(self._object, self._generation):
                    return
                # A write may have arrived of which no answer came back.
                found = await self._bucket.look(self._object)
                if found and Claim.of(self._object, found).holder.run == self.holder.run:
                    await self._bucket.remove(self._object, found.generation)

    def _unknown(self) -> TransferError:
        silent = _clock() - self._written
        return TransferError(
            f"the lease {self._place} could not be renewed for {silent:.0f} seconds, so this run stopped "
            "before another may begin; what it copied is approved and stays, run again when it answers"
        )

    def _refusal(self, there: Claim) -> RefusedError:
        holder = there.holder
        return RefusedError(
            f"the {there.what} of {short(holder.who)} is at work (run {short(holder.run)}, on "
            f"{short(holder.host)}) and holds gs://{self._bucket.name}/{there.name} until "
            f"{clock(there.until)}, renewed while it runs; nothing was changed. Run again when it has ended; "
            f"if it was killed, {SECONDS + GRACE:.0f} seconds after that"
        )


@asynccontextmanager
async def hold(
    bucket: Objects, name: str, holder: Holder, *, patience: float, say: Say
) -> AsyncIterator[Lease]:
    """Hold a lease while the work is done; it is renewed meanwhile and given back after, however that ends.

    Args:
        bucket: with connections of its own: a renewal must not queue behind uploads.
        name: `SYNC`, or `shard(...)`.
        holder: whose `run` nobody else has.
        patience: seconds to wait for somebody else's.
        say: told whom it waits for.

    Raises:
        RefusedError: somebody else holds it; nothing was done.
        TransferError: the service failed, or the lease was lost, which cancels the work.
    """
    lease, task = Lease(bucket, name, holder), asyncio.current_task()
    assert task is not None  # there is one wherever something is awaited
    try:
        await lease.acquire(patience, say)
        keeping = asyncio.create_task(lease.keep(task))
        try:
            yield lease
        except (Exception, asyncio.CancelledError) as error:
            # As asyncio.timeout does it: a cancellation that others asked for after that goes on.
            if lease.lost is None or (lease.cancelled is not None and task.uncancel() > lease.cancelled):
                raise
            raise lease.lost from error
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])
    finally:
        await lease.release()
