"""Many small reads of the outer repository in one thread: pages of its index, and parts of its wheels.

A resolution makes hundreds, and they decide how long it takes: by `Google`, whose requests go through threads
and through layers that wait, retry and explain, each takes three times the processor's time. So this takes
the answer that is nearly always there. Where there is another one, whoever asked asks again the usual way;
and once the repository does not answer, or wants to be left alone, nothing more is asked here.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
import httpx
from yarl import URL

from dmz.registries.google import Google
from dmz.registries.pace import Quota
from dmz.registries.retry import TRANSIENT
from dmz.registries.simple import ACCEPT

AT_ONCE: Final = 12
"""Pages, and parts of files, that are read at the same time. Resolvers ask for hundreds at once; more
connections than these choke name services, and fewer than are asked for are torn down to open others."""
_CONNECT: Final = 10
"""Seconds that a connection may take."""


class Reads:
    """Reads as whom `Google` speaks, and no faster than a quota of its own lets it."""

    def __init__(self, google: Google, client: aiohttp.ClientSession) -> None:
        """`client`: sends no credentials of its own."""
        self._google = google
        self._client = client
        self._quota = Quota()
        self._goes_on = True

    @classmethod
    @asynccontextmanager
    async def of(cls, google: Google) -> AsyncIterator[Reads]:
        """Reads until the end of the context."""
        secure = google.endpoints.python.startswith("https:")
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=httpx.create_ssl_context() if secure else True),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": google.client.headers["User-Agent"]},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=google.retry.answer),
        ) as client:
            yield cls(google, client)

    async def page(self, address: str) -> tuple[str, str] | None:
        """Content type and text of a page, both empty if there is none; None: ask the usual way."""
        found = await self._get(
            address, {"Accept": ACCEPT}, lambda answer: answer.status in {200, 404}, redirects=False
        )
        if found is None:
            return None
        answer, body = found
        if answer.status == 404:
            return "", ""
        text = body.decode(answer.get_encoding(), errors="replace")
        return answer.headers.get("content-type", ""), text

    async def part(self, address: str, start: int, stop: int) -> bytes | None:
        """These bytes of a file (RFC 9110, section 14); None: ask the usual way."""
        found = await self._get(
            address,
            {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"},
            lambda answer: (
                answer.status in ({206} if start else {200, 206})
                and answer.content_length == stop - start
                and "content-encoding" not in answer.headers
            ),
            redirects=True,
        )
        return found[1] if found else None

    async def _get(
        self,
        address: str,
        headers: Mapping[str, str],
        fits: Callable[[aiohttp.ClientResponse], bool],
        *,
        redirects: bool,
    ) -> tuple[aiohttp.ClientResponse, bytes] | None:
        """An answer and its body; None if there is none that fits."""
        if not self._goes_on:
            return None
        user = f"oauth2accesstoken:{await self._google.tokens.token()}"
        authorization = f"Basic {base64.b64encode(user.encode()).decode()}"
        if (pause := self._quota.next("GET", address) - time.monotonic()) > 0:
            await asyncio.sleep(pause)
        try:
            async with self._client.get(
                URL(address, encoded=True),
                headers={**headers, "Authorization": authorization},
                allow_redirects=redirects,
            ) as answer:
                if fits(answer):
                    return answer, await answer.read()
                self._goes_on = answer.status not in TRANSIENT
        except (aiohttp.ClientError, TimeoutError):
            self._goes_on = False
        return None
