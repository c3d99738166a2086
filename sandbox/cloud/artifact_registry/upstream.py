"""Fetching from upstream: checked against a known SHA-256, kept by content, once for all who ask."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar, cast

import aiohttp
from yarl import URL

from sandbox.cloud.errors import ApiError
from sandbox.cloud.storage.blobs import CHUNK, Blobs, Digests

ATTEMPTS: Final = 5
"""How often what may pass is tried: a connection that broke, an upstream that is busy or down."""
FIRST_PAUSE: Final = 0.2
"""Seconds before the second try; doubles with each further one."""

_MAY_PASS: Final = frozenset({408, 429, 500, 502, 503, 504})
"""What upstreams answer for a while and then no more."""

_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)
_CONNECTIONS: Final = 16

T = TypeVar("T")


class UpstreamError(ApiError):
    """502: upstream didn't answer, or not with what its own index says; nothing of it is kept."""

    def __init__(self, message: str, status: int | None = None) -> None:
        """`status` is what upstream answered, if it did."""
        super().__init__(502, "BAD_GATEWAY", message)
        self.upstream_status = status


class Page:
    """A small answer: an index page or a suite's signed index."""

    def __init__(self, url: URL, headers: Mapping[str, str], body: bytes | None) -> None:
        self.url = url
        """Where it came from in the end, for relative links."""
        self.headers = headers
        self.body = body
        """None when what the caller has is still good (304)."""


class Upstream:
    """One HTTP client for all upstreams of a cloud, and the files that it fetched."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._sessions: dict[str | None, aiohttp.ClientSession] = {}
        self._flights: dict[object, asyncio.Task[object]] = {}

    async def page(
        self, url: str, headers: Mapping[str, str], limit: int, certificates: str | None = None
    ) -> Page:
        """Fetch at most `limit` bytes.

        Raises:
            UpstreamError: with upstream's status where it answered with anything but 200 or 304.
        """

        async def get() -> Page:
            async with self._session(certificates).get(url, headers=headers) as answer:
                if answer.status == 304:
                    return Page(answer.url, answer.headers, None)
                _check_status(answer)
                body = bytearray()
                async for data in answer.content.iter_chunked(CHUNK):
                    body += data
                    if len(body) > limit:
                        raise UpstreamError(f"{_shown(url)}: an index of more than {limit} bytes is refused")
                return Page(answer.url, answer.headers, bytes(body))

        return await _persist(get, url)

    async def file(
        self, url: str, sha256: str, size: int | None = None, certificates: str | None = None
    ) -> Digests:
        """Fetch a file into the blobs unless its bytes are there; callers at the same time share one fetch.

        Raises:
            UpstreamError: the bytes are not those that the index promises, or upstream failed.
        """

        async def get() -> Digests:
            headers = {"Accept-Encoding": "identity"}
            async with self._session(certificates).get(url, headers=headers) as answer:
                _check_status(answer)
                with self._blobs.writer() as writer:
                    async for data in answer.content.iter_chunked(CHUNK):
                        await writer.write(data)
                        if size is not None and writer.size > size:
                            break
                    found = await writer.digests()
                    if found.sha256 != sha256 or (size is not None and found.size != size):
                        raise UpstreamError(
                            f"{_shown(url)}: upstream sent {found.size} bytes with SHA-256 {found.sha256}, "
                            f"its index promises {sha256}; refused, nothing was kept"
                        )
                    return await writer.publish()

        async def fetch() -> Digests:
            kept = await self._blobs.verified(sha256)
            return kept if kept is not None else await _persist(get, url)

        return await self.once(sha256, fetch)

    async def once(self, key: object, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work`, or wait for the same (by `key`) that is under way; it outlives a caller who leaves."""
        flight = self._flights.get(key)
        if flight is None:

            async def run() -> object:
                return await work()

            flight = asyncio.create_task(run())
            self._flights[key] = flight
            flight.add_done_callback(lambda done: self._landed(key, done))
        return cast(T, await asyncio.shield(flight))

    async def close(self) -> None:
        """End what is under way and close all connections."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    def _landed(self, key: object, flight: asyncio.Task[object]) -> None:
        self._flights.pop(key, None)
        if not flight.cancelled():
            flight.exception()  # seen: a caller who left doesn't make it 'never retrieved'

    def _session(self, certificates: str | None) -> aiohttp.ClientSession:
        if certificates not in self._sessions:
            connector = aiohttp.TCPConnector(limit=_CONNECTIONS, ssl=_trust(certificates))
            self._sessions[certificates] = aiohttp.ClientSession(
                connector=connector, timeout=_TIMEOUT, trust_env=True
            )
        return self._sessions[certificates]


def _trust(certificates: str | None) -> ssl.SSLContext:
    """TLS roots: pip's own setting, the variables that `requests` reads, or OpenSSL's (`SSL_CERT_FILE`)."""
    for candidate in (certificates, os.environ.get("REQUESTS_CA_BUNDLE"), os.environ.get("CURL_CA_BUNDLE")):
        if candidate:
            folder = Path(candidate).is_dir()
            return ssl.create_default_context(
                capath=candidate if folder else None, cafile=None if folder else candidate
            )
    return ssl.create_default_context()


async def _persist(get: Callable[[], Awaitable[T]], url: str) -> T:
    """Try again when the connection breaks or upstream is busy; the last failure is the answer."""
    for attempt in range(1, ATTEMPTS):
        try:
            return await get()
        except UpstreamError as error:
            if error.upstream_status not in _MAY_PASS:
                raise
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass
        await asyncio.sleep(FIRST_PAUSE * 2 ** (attempt - 1))
    try:
        return await get()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise UpstreamError(f"{_shown(url)}: upstream can't be reached: {error}") from error


def _check_status(answer: aiohttp.ClientResponse) -> None:
    if answer.status != 200:
        message = f"{_shown(str(answer.url))}: upstream answered {answer.status}"
        raise UpstreamError(message, answer.status)


def _shown(url: str) -> str:
    """The path alone: an upstream's address may carry credentials."""
    return URL(url).path
