"""The journal of one run, written as it goes: what is said to be recorded survives a kill."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Final, Protocol, Self

from dmz.errors import DmzError, TransferError
from dmz.promotion.journal import Action, Event, entries, parts

GATHERED: Final = 1_000
"""Copied artifacts that are written together at most."""
_PAUSE: Final = 2.0
"""Seconds for which a copied artifact waits at most until it is written."""


class Creates(Protocol):
    """What the journal needs of a bucket; `Bucket` has it."""

    async def create(self, name: str, data: bytes) -> str | None:
        """Write what is not there yet; None if something else is."""
        ...


class Journal:
    """Writes the events of one run, in their order; entered, it writes gathered ones as time goes by."""

    def __init__(self, bucket: Creates, run: str, now: Callable[[], datetime]) -> None:
        """`run`: as `dmz.promotion.journal.run_name` makes it; `now`: the time of the service."""
        self.run = run
        self._bucket = bucket
        self._now = now
        self._number = 1
        self._gathered: list[str] = []
        self._copied = 0
        self._waiting: deque[Iterator[tuple[str, bytes]]] = deque()
        """What is still to be written of each event, in their order: made when its turn comes, as the
        intentions of a large run take many objects."""
        self._first: tuple[str, bytes] | None = None
        """Made and not yet known to be written: what failed is tried again as it is, so that nothing is lost
        and nothing is there twice."""
        self._writing = asyncio.Lock()
        self._ticking: asyncio.Task[None] | None = None

    @property
    def copied(self) -> int:
        """Artifacts that were copied so far."""
        return self._copied

    async def record(self, event: Event) -> None:
        """Take an event down; as `Record` promises.

        Raises:
            TransferError: it could not be written; the run must not go on.
        """
        if event.action is Action.COPIED:
            self._gathered += event.items
            self._copied += len(event.items)
            if len(self._gathered) >= GATHERED:
                await self.flush()
            return
        self._gather()
        self._queue(event)
        await self._write()

    async def flush(self) -> None:
        """Write what is gathered.

        Raises:
            TransferError: it could not be written; it is kept, and tried again with the next event.
        """
        self._gather()
        await self._write()

    def _gather(self) -> None:
        if self._gathered:
            self._queue(Event(Action.COPIED, tuple(self._gathered), details={"copied": self._copied}))
            self._gathered = []

    def _queue(self, event: Event) -> None:
        self._waiting.append(entries(self.run, self._number, self._now(), event))
        self._number += parts(event)

    async def _write(self) -> None:
        async with self._writing:
            while made := self._next():
                name, data = made
                if await self._bucket.create(name, data) is None:
                    raise TransferError(
                        f"{name} is there already, and not from this run; look at who else writes there"
                    )
                self._first = None

    def _next(self) -> tuple[str, bytes] | None:
        """The object that comes first, as long as it is not known to be written."""
        while self._first is None and self._waiting:
            self._first = next(self._waiting[0], None)
            if self._first is None:
                self._waiting.popleft()
        return self._first

    async def __aenter__(self) -> Self:
        self._ticking = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._ticking:
            self._ticking.cancel()
            await asyncio.wait([self._ticking])

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_PAUSE)
            # A failure shows itself with the next event, which is written after what failed.
            with suppress(DmzError):
                await self.flush()
