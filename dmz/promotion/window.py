"""How many transfers run at the same time: as many as the services take."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

_FIRST: Final = 4
_QUIET: Final = 1.0
"""Seconds within which several complaints count as one: they come from transfers of the same moment."""


class Window:
    """A number of places that grows with each success and halves when a service complains.

    Additive increase and multiplicative decrease, as TCP does it (RFC 5681): it doubles with each round until
    the first complaint, and grows by one each round after.
    """

    def __init__(self, most: int = 32, clock: Callable[[], float] = time.monotonic) -> None:
        """`most`: places that there are ever; each takes some memory and a connection or two."""
        self._most = most
        self._size = float(min(_FIRST, most))
        self._threshold = float(most)
        self._taken = 0
        self._clock = clock
        self._complained = float("-inf")
        self._resume = float("-inf")
        self._changed = asyncio.Condition()

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
                self._changed.notify_all()

    def succeeded(self) -> None:
        """A transfer went well."""
        step = 1.0 if self._size < self._threshold else 1.0 / self._size
        self._size = min(self._size + step, self._most)

    def complained(self, wait: float = 0.0) -> None:
        """A service asked to be driven less hard, and to be left alone for `wait` seconds."""
        now = self._clock()
        self._resume = max(self._resume, now + wait)
        if now - self._complained >= _QUIET:
            self._complained = now
            self._threshold = self._size = max(1.0, self._size / 2)
