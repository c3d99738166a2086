"""Files of the index behind a remote repository, to read a part of one: for resolving alone.

Only what is asked for is parsed: a page has up to ten thousand links, and a resolution looks at hundreds of
pages. What screening judges by is `dmz.registries.upstream`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urljoin

import aiohttp

from dmz.registries.simple import IndexFile, parse_simple
from dmz.resolution.reads import AT_ONCE
from dmz.resolution.wheels import files_of

_ACCEPT: Final = "application/vnd.pypi.simple.v1+html, text/html;q=0.9"
"""The simple API's HTML form, which is half as long and needs no parsing to find one file (PEP 691)."""
_PAGE: Final = 64 << 20
"""Bytes of a page that are read; the largest known have some ten million."""
_METADATA: Final = 4 << 20
"""Bytes of core metadata that are read."""
_LOG: Final = logging.getLogger(__name__)


class UpstreamFiles:
    """An index that may or may not answer; where it does not, it has nothing."""

    def __init__(self, client: aiohttp.ClientSession, index: Callable[[], Awaitable[str]]) -> None:
        """Args:
        client: sends no credentials of its own.
        index: says which simple index it is, when it is needed for the first time; it ends in a slash.
        """
        self._client = client
        self._index = index
        self._lock = asyncio.Lock()
        self._reading_pages = asyncio.Semaphore(AT_ONCE)
        self._reading_files = asyncio.Semaphore(AT_ONCE)
        self._url: str | None = None
        self._pages: dict[str, tuple[str, str, str]] = {}

    async def file(self, name: str, same: IndexFile) -> IndexFile | None:
        """The very same file, by name and SHA-256, with a whole address; None if it is not offered."""
        url, content_type, text = await self._page(name)
        try:
            found = _named(content_type, text, same.filename)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        for file in found:
            if file.sha256 == same.sha256 and file.filename == same.filename:
                address = urljoin(url, file.address).partition("#")[0]
                return replace(file, address=address) if address.startswith("http") else None
        return None

    async def metadata(self, file: IndexFile) -> bytes | None:
        """What stands beside a file (PEP 658)."""
        async with self._reading_files:
            answer = await self._get(f"{file.address}.metadata", {}, _METADATA)
        return answer.body if answer and answer.status == 200 else None

    async def part(self, file: IndexFile, part: str, size: int) -> tuple[int, bytes] | None:
        """A part of a file, of at most `size` bytes, and where it begins; None if there are no parts.

        The whole is not fetched here.
        """
        headers = {"Range": part, "Accept-Encoding": "identity"}
        async with self._reading_files:
            answer = await self._get(file.address, headers, size, parts=True)
        place = start(answer.status, answer.headers) if answer else None
        return (place, answer.body) if answer and place is not None else None

    async def _page(self, name: str) -> tuple[str, str, str]:
        if name not in self._pages:
            async with self._lock:
                if self._url is None:
                    self._url = await self._index()
            async with self._reading_pages:
                answer = await self._get(f"{self._url}{name}/", {"Accept": _ACCEPT}, _PAGE)
            self._pages[name] = (
                (answer.url, answer.headers.get("content-type", ""), answer.body.decode(errors="replace"))
                if answer and answer.status == 200
                else ("", "", "")
            )
        return self._pages[name]

    async def _get(
        self, address: str, headers: Mapping[str, str], most: int, *, parts: bool = False
    ) -> _Answer | None:
        """An answer of at most `most` bytes; None if there is none, or no part where one was asked for."""
        for again in (True, False):
            try:
                async with self._client.get(address, headers=headers) as response:
                    if parts and response.status != 206:
                        return None
                    body = bytearray()
                    async for chunk in response.content.iter_any():
                        body += chunk
                        if len(body) > most:
                            return None
                    return _Answer(str(response.url), response.status, response.headers, bytes(body))
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                if not again:
                    # Not its text: an index's address may hold a password.
                    _LOG.info("the upstream index does not answer: %s", type(error).__name__)
        return None


@dataclass(frozen=True)
class _Answer:
    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes


def start(status: int, headers: Mapping[str, str]) -> int | None:
    """Where the part of a file begins that an answer holds (RFC 9110, 14.4); None if it holds the whole."""
    place = re.match(r"bytes (\d+)-", headers.get("content-range", ""))
    return int(place[1]) if status == 206 and place else None


def _named(content_type: str, text: str, filename: str) -> list[IndexFile]:
    if "json" not in content_type:
        return files_of(content_type, text, filename)
    files = [each for each in json.loads(text)["files"] if each.get("filename") == filename]
    return parse_simple(content_type, json.dumps({"files": files}))
