"""A condition for every change: it is asked before each request, however long ago the work was begun."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """What has to hold whenever something is changed; nothing, until somebody says so."""

    def __init__(self) -> None:
        self.check: Callable[[], Awaitable[None]] | None = None
        """Raises if nothing may be changed any more, such as when a lease was lost."""


class GuardedTransport(httpx.AsyncBaseTransport):
    """Sends what only reads, and everything else while its guard lets it.

    A process that was held up (stopped, swapped out, its machine asleep) goes on in the middle of what it
    did, also with a request that had to wait for its turn or for its next try. So this stands behind all
    waiting.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, guard: Guard) -> None:
        self._inner = inner
        self._guard = guard

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request`, or raise what the guard raises."""
        if self._guard.check is not None and request.method not in _READING:
            await self._guard.check()
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()
