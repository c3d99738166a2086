"""Which requests are sent again, and when."""

from __future__ import annotations

import asyncio
import email.utils
import random
import time
from dataclasses import dataclass
from typing import Final

import httpx


@dataclass(frozen=True)
class Retry:
    """When a request that may safely be repeated is repeated."""

    attempts: int = 6
    first: float = 0.25
    """Seconds before the second attempt; doubles each time, less a random part of up to a half."""
    most: float = 20.0
    """Seconds, the longest wait, also for a server that asks for more."""

    def wait(self, attempt: int, asked: str | None) -> float:
        """Seconds to wait after failed attempt number `attempt` (from 1); `asked` is Retry-After's value."""
        backoff = self.first * float(2 ** (attempt - 1)) * random.uniform(0.5, 1)  # noqa: S311 - jitter is no secret
        return min(self.most, max(backoff, _retry_after(asked)))


def _retry_after(value: str | None) -> float:
    """Seconds that a Retry-After field asks for (RFC 9110, 10.2.3: a number or a date)."""
    if value is None:
        return 0.0
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return 0.0


TRANSIENT: Final = frozenset({408, 429, 500, 502, 503, 504})
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "DELETE", "PUT"})
REPEATABLE: Final = {"dmz.repeatable": True}
"""Request extensions of a POST that does the same when sent twice."""
WHOLE: Final = {"dmz.whole": True}
"""Request extensions for a small answer, which is read before it counts as one."""


class RetryingTransport(httpx.AsyncBaseTransport):
    """Repeats what may be repeated: idempotent requests whose body is at hand, never a streamed one."""

    def __init__(self, inner: httpx.AsyncBaseTransport, retry: Retry) -> None:
        self._inner = inner
        self._retry = retry

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request`, again after a transient failure."""
        repeatable = isinstance(request.stream, httpx.ByteStream) and (
            request.method in _IDEMPOTENT or request.extensions.get("dmz.repeatable", False)
        )
        attempts = self._retry.attempts if repeatable else 1
        for attempt in range(1, attempts):
            asked: str | None = None
            try:
                response = await self._inner.handle_async_request(request)
                if request.extensions.get("dmz.whole", False):
                    await response.aread()
            except (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError):
                pass
            else:
                if response.status_code not in TRANSIENT:
                    return response
                asked = response.headers.get("retry-after")
                await response.aclose()
            await asyncio.sleep(self._retry.wait(attempt, asked))
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()
