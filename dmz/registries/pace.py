"""How fast requests may follow each other: the quotas of Artifact Registry, and services that ask to wait.

See https://cloud.google.com/artifact-registry/quotas
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from typing import Final

import httpx

from dmz.registries.retry import retry_after

REQUESTS: Final = 60_000
"""Requests of any kind for each region and minute."""
WRITES: Final = 18_000
"""Of these, those that write; an import counts once for each of its files."""
DELETES: Final = 18_000
"""Of these, those that delete; a deletion of many versions is counted once for each of them."""
_BURST: Final = 0.05
"""Part of a minute's quota that may be used at once; the rest comes evenly, so that no minute, wherever it
begins, has more than the quota."""
_SPREAD: Final = 0.1
"""Part of a wait by which requests that waited together come apart."""


def weighing(items: int) -> dict[str, int]:
    """Request extensions of a call that the quota counts as `items` calls."""
    return {"dmz.weight": items}


class Pace:
    """When requests under one quota may go, by the generic cell rate algorithm (ITU-T I.371)."""

    def __init__(self, per_minute: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`per_minute`: what no 60 seconds ever exceed, as long as no request weighs more than the burst."""
        self._interval = 60 / (per_minute * (1 - _BURST))
        self._tolerance = per_minute * _BURST * self._interval
        self._clock = clock
        self._due = float("-inf")

    def next(self, weight: int = 1) -> float:
        """Reserve the next moment for a request, and return it, by the clock: now, or later."""
        now = self._clock()
        self._due = max(self._due, now) + weight * self._interval
        return max(now, self._due - max(self._tolerance, self._interval))


class Quota:
    """A task's share of what a region grants in a minute."""

    def __init__(self, share: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        """`share`: of all tasks' together, `1/N` for one of N."""
        if not 0 < share <= 1:
            raise ValueError(f"a share of {share} is not more than 0 and at most 1")
        self._requests = Pace(REQUESTS * share, clock)
        self._writes = Pace(WRITES * share, clock)
        self._deletes = Pace(DELETES * share, clock)

    def next(self, method: str, path: str, weight: int = 1) -> float:
        """The moment at which a request may go."""
        moment = self._requests.next(weight)
        if method == "DELETE" or path.endswith(":batchDelete"):
            return max(moment, self._deletes.next(weight))
        if method in {"GET", "HEAD", "OPTIONS"}:
            return moment
        return max(moment, self._writes.next(weight))


class PacedTransport(httpx.AsyncBaseTransport):
    """Lets each request wait for its turn.

    What is counted is what goes to `counted`, for all projects together: quotas are each project's own, so
    reading from one and writing to another is counted with some to spare.
    """

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        counted: Iterable[str],
        share: float = 1.0,
        most: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Where the quota applies, the task's share of it, and how patient to be.

        Args:
            counted: base addresses.
            share: as `Quota` has it.
            most: seconds, the longest that a service's wish to be left alone is honoured.
            clock: seconds, as `time.monotonic`.
        """
        self._inner = inner
        self._counted = tuple(counted)
        self._quota = Quota(share, clock)
        self._most = most
        self._clock = clock
        self._closed: dict[str, float] = {}
        """Until when a service asked to be left alone, by its host and port."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request` when it is its turn."""
        service = request.url.netloc.decode()
        if str(request.url).startswith(self._counted):
            weight = request.extensions.get("dmz.weight", 1)
            await self._until(self._quota.next(request.method, request.url.path, weight))
        while (opens := self._closed.get(service, 0.0)) > self._clock():
            spread = 1 + _SPREAD * random.random()  # noqa: S311 - jitter is no secret
            await asyncio.sleep((opens - self._clock()) * spread)
        response = await self._inner.handle_async_request(request)
        if response.status_code in {429, 503}:
            wait = min(self._most, retry_after(response.headers.get("retry-after")))
            self._closed[service] = max(self._closed.get(service, 0.0), self._clock() + wait)
        return response

    async def _until(self, moment: float) -> None:
        if (pause := moment - self._clock()) > 0:
            await asyncio.sleep(pause)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()
