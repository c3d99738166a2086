"""One run that changes what inner holds: alone while it does, and written down."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from importlib.metadata import version
from typing import Final

from dmz.errors import DmzError, InputError
from dmz.promotion import journal as journals
from dmz.promotion import runs
from dmz.promotion.journal import FINAL, Action, Entry, Event, parse, parse_name, run_name
from dmz.promotion.plan import Plan
from dmz.promotion.runs import Takeover
from dmz.promotion.transfer import Counters
from dmz.registries.bucket import Bucket
from dmz.registries.caller import Caller, caller
from dmz.registries.claiming import SYNC, Holder
from dmz.registries.google import connect
from dmz.registries.lease import Lease, Say, hold
from dmz.registries.retry import Retry
from dmz.sync.journal import Journal

PATIENCE: Final = 600.0
"""Seconds to wait for another run to end: most do within that, and a job that waits longer costs more than
one that is started again."""
_LAST_WORDS: Final = 15.0
"""Seconds that a run which failed has to write that down."""
_LOOKED_BACK: Final = 20
"""Runs without an end that are looked for, at most."""
_BEFORE: Final = frozenset({Action.CLEARING, Action.ADMITTING, Action.WITHDRAWING})
"""Said before something that must not be done without the lease."""
_ALONE: Final = frozenset({Action.PUBLISHED, Action.BARRED, Action.UNBARRED})
"""Done by nobody but who holds the lease of the sync."""
Warn = Callable[[str], object]
_RETRY: Final = Retry(attempts=5, most=5.0, answer=15.0)


class Running:
    """A run that holds its lease."""

    def __init__(
        self,
        bucket: Bucket,
        lease: Lease,
        journal: Journal,
        who: Caller,
        doing: str,
        warn: Warn = lambda line: None,
    ) -> None:
        self.who = who
        self.name = journal.run
        self.doing = doing
        self._bucket = bucket
        self._lease = lease
        self._journal = journal
        self._warn = warn
        self._began = False

    def now(self) -> str:
        """The time of the service."""
        return f"{self._lease.now():%Y-%m-%dT%H:%M:%SZ}"

    async def began(self, plan: Plan, held: Collection[str], note: str = "") -> None:
        """Write down who does what from which releases, and what earlier runs left undone.

        Args:
            held: SHA-256 of everything that the inner repositories hold.
            note: why, where a person said so.

        Raises:
            TransferError: it can't be written; nothing was changed.
        """
        unfinished = await self._unfinished()
        self._began = True
        details = {
            "doing": self.doing,
            "who": self.who.who,
            "knownBy": self.who.known_by,
            "said": dict(self.who.said),
            "releases": dict(self._lease.holder.releases),
            "program": f"package-dmz {version('package-dmz')}",
            "clear": len(plan.clear),
            "copy": len(plan.copy),
            "keep": len(plan.keep),
            "withdraw": len(plan.withdraw),
        }
        await self._journal.record(Event(Action.BEGAN, runs.intended(plan), note, details))
        for name, meant in unfinished.items():
            taken = Takeover(name, held)
            # One object after the other: together they may be more than fits.
            for part, each in enumerate(meant or [""], 1):
                await self._journal.record(taken.told(await self._told(each), part, len(meant)))

    async def record(self, event: Event) -> None:
        """Take an event down, as `Record` promises, if what it announces may still be done.

        Raises:
            TransferError: the lease was lost, or the journal can't be written.
        """
        if event.action in _BEFORE:
            await self._lease.check()
        if event.action is Action.DAMAGED:
            self._warn(event.note)
        await self._journal.record(event)

    async def check(self) -> None:
        """Whether the lease is still held.

        Raises:
            TransferError: it is not.
        """
        await self._lease.check()

    async def ended(self, counters: Counters) -> None:
        """Write down what came of it.

        Raises:
            TransferError: it can't be written.
        """
        await self._journal.record(Event(Action.ENDED, details=asdict(counters)))

    async def failed(self, error: BaseException) -> None:
        """Write down why it came to nothing, if there is something to be written about and a way to do so."""
        if not self._began:
            return
        lost = self._lease.lost
        why = str(lost or error) if isinstance(lost or error, DmzError) else type(error).__name__
        with suppress(DmzError, TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                await self._journal.record(
                    Event(Action.FAILED, note=why, details={"copied": self._journal.copied})
                )

    async def _unfinished(self) -> dict[str, list[str]]:
        """The objects that say what runs that came to no end meant to do, by the run's name.

        Whoever holds the lease of the sync knows that nobody else is at work; a shard knows that only of
        those whose lease it found run out.
        """
        known = {
            name
            for each in await self._bucket.folders(journals.FOLDER)
            if journals.is_run(name := each.removeprefix(journals.FOLDER).rstrip("/"))
        }
        killed = {claim.holder.run for claim in self._lease.killed}
        found = {name: await self._names(name) for name in known if name.rpartition("-")[2] in killed}
        if self._lease.name == SYNC:
            for name in sorted(known - found.keys(), reverse=True)[:_LOOKED_BACK]:
                names = await self._names(name)
                actions = {action for _, action in names}
                if Action.ENDED in actions and actions & _ALONE:
                    break  # it told of those before it; one that failed may not have come so far
                if not actions & FINAL:
                    found[name] = names
        return {
            name: [each for each, action in found[name] if action is Action.BEGAN] for name in sorted(found)
        }

    async def _names(self, run: str) -> list[tuple[str, Action]]:
        listed = [
            (item.name, parse_name(item.name)) for item in await self._bucket.list(f"{journals.FOLDER}{run}/")
        ]
        return [(name, parsed[2]) for name, parsed in listed if parsed]

    async def _told(self, name: str) -> list[Entry]:
        with suppress(InputError):  # what can't be read tells nothing
            return [parse((await self._bucket.read(name) or b"") if name else b"", name)]
        return []


@asynccontextmanager
async def running(
    location: str,
    account: str,
    bucket: str,
    releases: Mapping[str, str],
    say: Say,
    *,
    lease: str = SYNC,
    doing: str = SYNC,
    patience: float | None = None,
    retry: Retry | None = None,
    warn: Warn = lambda line: None,
) -> AsyncIterator[Running]:
    """Hold the lease while inner is changed, with a journal of that.

    Everything in between may be cut off at any point: the lease ends by itself, and the journal says how far
    it came. The lease and the journal have connections of their own, which no upload keeps busy.

    Args:
        account: the identity of the sync, to act as.
        bucket: inner's release bucket.
        releases: digest by workload.
        say: told whom it waits for.
        lease: `SYNC`, or a shard's.
        doing: what the journal calls it.
        patience: seconds to wait for another run to end; None for `PATIENCE`.
        retry: patience with a single request; None for the usual.
        warn: told what somebody has to mend although the run goes on.

    Raises:
        RefusedError: another run is at work; nothing was changed.
        TransferError: the bucket does not answer, or the lease was lost, which cancels the work.
    """
    patience = PATIENCE if patience is None else patience
    who = await caller(location)
    holder = Holder(who.who, secrets.token_hex(8), who.host, dict(releases))
    async with connect(location, impersonate=account, retry=retry or _RETRY) as google:
        objects = Bucket(google, bucket)
        async with hold(objects, lease, holder, patience=patience, say=say) as held:
            journal = Journal(objects, run_name(held.now(), holder.run), held.now)
            async with journal:
                found = Running(objects, held, journal, who, doing, warn)
                try:
                    yield found
                except BaseException as error:
                    await found.failed(error)
                    raise
