"""How many transfers run at the same time: as many as the services take and this machine keeps up with."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

_FIRST: Final = 4
_QUIET: Final = 1.0
"""Seconds within which several complaints count as one: they come from transfers of the same moment."""


_LOOK: Final = 0.05
"""Seconds between two looks at how much this process works."""
_WORKS: Final = 0.4
"""Part of the processors that it takes when it works more than it waits."""


class Window:
    """A number of places that grows with each success and halves when a service complains.

    Additive increase and multiplicative decrease, as TCP does it (RFC 5681): it doubles with each round until
    the first complaint, and grows by one each round after. It does not grow while this process works rather
    than waits: more transfers at a time would only be in each other's way.
    """

    def __init__(
        self,
        most: int = 32,
        clock: Callable[[], float] = time.monotonic,
        worked: Callable[[], float] = time.process_time,
        processors: int = 0,
    ) -> None:
        """How many, at most, and the clocks.

        Args:
            most: places that there are ever; each takes some memory and a connection or two.
            clock: seconds.
            worked: seconds of processor time that this process took.
            processors: that it may use; 0: those that it may use here.
        """
        self._most = most
        self._size = float(min(_FIRST, most))
        self._threshold = float(most)
        self._taken = 0
        self._clock = clock
        self._complained = float("-inf")
        self._resume = float("-inf")
        self._changed = asyncio.Condition()
        self._worked = worked
        self._processors = processors or len(os.sched_getaffinity(0))
        self._looked = clock(), worked()
        self._works = True  # until a look says otherwise

    @property
    def size(self) -> int:
        """Places that there are just now."""
        return int(self._size)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place, and for the end of a pause that a service asked for."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._taken < self.size)
            self._taken += 1
        try:
            if (pause := self._resume - self._clock()) > 0:
                await asyncio.sleep(pause)
            yield
        finally:
            async with self._changed:
                self._taken -= 1
                # No more than may go in: to wake thousands for nothing takes longer than a small file.
                self._changed.notify(max(0, self.size - self._taken))

    def succeeded(self) -> None:
        """A transfer went well."""
        if self._working():
            return
        step = 1.0 if self._size < self._threshold else 1.0 / self._size
        self._size = min(self._size + step, self._most)

    def _working(self) -> bool:
        now, worked = self._clock(), self._worked()
        since, before = self._looked
        if now - since >= _LOOK:
            self._works = worked - before > _WORKS * self._processors * (now - since)
            self._looked = now, worked
        return self._works

    def complained(self, wait: float = 0.0) -> None:
        """A service asked to be driven less hard, and to be left alone for `wait` seconds."""
        now = self._clock()
        self._resume = max(self._resume, now + wait)
        if now - self._complained >= _QUIET:
            self._complained = now
            self._threshold = self._size = max(1.0, self._size / 2)
