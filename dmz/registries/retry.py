"""Which requests are sent again, and when."""

from __future__ import annotations

import asyncio
import email.utils
import random
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import httpx


@dataclass(frozen=True)
class Retry:
    """When a request that may safely be repeated is repeated."""

    attempts: int = 6
    first: float = 0.25
    """Seconds before the second attempt; doubles each time, less a random part of up to a half."""
    most: float = 60.0
    """Seconds, the longest wait, also for a server that asks for more."""
    answer: float = 300.0
    """Seconds without a byte of the answer after which a request has failed: a remote repository answers only
    once its upstream has."""
    patience: float = 900.0
    """Seconds for which what a service does by itself is waited for: an import, an index."""

    def wait(self, attempt: int, asked: str | None) -> float:
        """Seconds to wait after failed attempt number `attempt` (from 1); `asked` is Retry-After's value."""
        backoff = self.first * float(2 ** (attempt - 1)) * random.uniform(0.5, 1)  # noqa: S311 - jitter is no secret
        return min(self.most, max(backoff, retry_after(asked)))

    async def looks(self) -> AsyncIterator[None]:
        """One round for each look at something that a service does by itself, less and less often.

        The first round comes at once; the rounds end when `patience` is over.
        """
        until = time.monotonic() + self.patience
        pause = self.first / 4
        while True:
            yield
            left = until - time.monotonic()
            if left <= 0:
                return
            await asyncio.sleep(min(pause, left))
            pause = min(_LONGEST_LOOK, self.most, pause * 1.6)


def retry_after(value: str | None) -> float:
    """Seconds that a Retry-After field asks for (RFC 9110, 10.2.3: a number or a date)."""
    if value is None:
        return 0.0
    if _SECONDS.fullmatch(value.strip()):
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0


_SECONDS: Final = re.compile(r"[0-9]{1,9}")
_LONGEST_LOOK: Final = 10.0
"""Seconds between two looks at something that takes its time."""
TRANSIENT: Final = frozenset({408, 429, 500, 502, 503, 504})
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "DELETE", "PUT"})
REPEATABLE: Final = {"dmz.repeatable": True}
"""Request extensions of a POST that does the same when sent twice."""
WHOLE: Final = {"dmz.whole": True}
"""Request extensions for a small answer, which is read before it counts as one."""


class RetryingTransport(httpx.AsyncBaseTransport):
    """Repeats what may be repeated: idempotent requests whose body is at hand, never a streamed one.

    What was turned away by a quota (429) did nothing, so that is repeated whatever it is.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, retry: Retry) -> None:
        self._inner = inner
        self._retry = retry

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request`, again after a transient failure."""
        at_hand = isinstance(request.stream, httpx.ByteStream)
        repeatable = request.method in _IDEMPOTENT or request.extensions.get("dmz.repeatable", False)
        for attempt in range(1, self._retry.attempts if at_hand else 1):
            asked: str | None = None
            try:
                response = await self._once(request)
            except (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError):
                if not repeatable:
                    raise
            else:
                if response.status_code not in (TRANSIENT if repeatable else {429}):
                    return response
                asked = response.headers.get("retry-after")
                await response.aclose()
            await asyncio.sleep(self._retry.wait(attempt, asked))
        return await self._once(request)

    async def _once(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        if request.extensions.get("dmz.whole", False):
            try:
                await response.aread()
            except BaseException:
                await response.aclose()
                raise
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()
