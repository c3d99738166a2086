"""A simple index on 127.0.0.1 for as long as a resolution takes: what a resolver may choose from, no more.

It announces the core metadata of every wheel (PEP 658), which Artifact Registry does not: without them, uv
fetches whole wheels to read a few lines of each (https://github.com/astral-sh/uv/issues/18998). Wheels
themselves are not to be had here; resolving needs none.
"""

from __future__ import annotations

import html
import json
import re
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final, Protocol
from urllib.parse import quote

from aiohttp import web
from packaging.utils import canonicalize_name

from dmz.errors import DmzError, TransferError
from dmz.registries.simple import IndexFile

_HOST: Final = "127.0.0.1"
_SECONDS: Final = 3600
"""How long the resolver may keep what it read: its cache does not outlive the session."""
_FOLDER: Final = re.compile(r'href="(?:[^"#?]*/)?')
_JSON: Final = "application/vnd.pypi.simple.v1+json"


class Shelf(Protocol):
    """What stands in the index."""

    async def page(self, name: str) -> tuple[str, str]:
        """Content type and text of a project's page; both empty if it is not offered."""
        ...

    async def metadata(self, name: str, filename: str) -> bytes | None:
        """The core metadata of a wheel that is on the project's page; None if it cannot be had."""
        ...


def page_of(files: Iterable[IndexFile]) -> tuple[str, str]:
    """A project's page (PEP 503) with these files: content type and text."""
    links = [
        f'<a href="{quote(file.filename)}#sha256={file.sha256}">{html.escape(file.filename)}</a>\n'
        for file in files
    ]
    return "text/html", "".join(links)


class Serving:
    """A shelf that is being served."""

    def __init__(self, shelf: Shelf, *, once: bool = False) -> None:
        """`once`: nobody asks for the same again, so the resolver need not write it to its cache."""
        self._shelf = shelf
        self._caching = "no-store" if once else f"max-age={_SECONDS}"
        # Whoever else is on this machine shall not read the outer repository through it.
        self._secret = secrets.token_urlsafe(16)
        self.url = ""
        self.failure: DmzError | None = None
        """What went wrong behind the index: the resolver only sees that there was no answer."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Serving]:
        """Serve until the end of the context."""
        # Without the routing of an application, which takes a third of what an answer costs.
        runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, _HOST, 0).start()
            self.url = f"http://{_HOST}:{runner.addresses[0][1]}/{self._secret}/simple/"
            yield self
        finally:
            await runner.cleanup()

    def plain(self, text: str) -> str:
        """A resolver's words without the address of this index."""
        return text.replace(self.url.removesuffix("simple/"), "").replace(self._secret, "")

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        try:
            match request.path.split("/"):
                case ["", self._secret, "simple", name, ""]:
                    content_type, body = await self._page(canonicalize_name(name))
                case ["", self._secret, "files", name, *_, filename]:
                    content_type, body = await self._file(canonicalize_name(name), filename)
                case _:
                    body = b""
        except DmzError as error:
            self.failure = self.failure or error
            return web.Response(status=400, text=str(error))
        if not body:
            return web.Response(status=404)
        return web.Response(body=body, content_type=content_type, headers={"Cache-Control": self._caching})

    async def _page(self, name: str) -> tuple[str, bytes]:
        """Content type and bytes, none if there is no such page."""
        address = f"../../files/{quote(name)}/"
        content_type, text = await self._shelf.page(name)
        if "json" in content_type:
            return _JSON, _json_leading(text, address).encode()
        return "text/html", _html_leading(text, address).encode()

    async def _file(self, name: str, filename: str) -> tuple[str, bytes]:
        """Content type and bytes, none if there is nothing."""
        wheel = filename.removesuffix(".metadata")
        # No wheel is needed to resolve.
        data = await self._shelf.metadata(name, wheel) if wheel != filename else None
        return "application/octet-stream", data or b""


def _html_leading(text: str, address: str) -> str:
    """A page whose links lead to the files of this index, and announce their metadata."""
    here = f'data-core-metadata="true" href="{address}'
    folder = _FOLDER.search(text)
    # They nearly always stand in one folder, and then plain words take a fifth of the time.
    if folder and folder[0].endswith("/") and text.count(folder[0]) == text.count('href="'):
        return text.replace(folder[0], here)
    return _FOLDER.sub(here, text)


def _json_leading(text: str, address: str) -> str:
    """The same of a page in its JSON form."""
    try:
        page = json.loads(text)
        for file in page["files"]:
            file["url"] = address + quote(file["filename"])
            file["core-metadata"] = True
    except (ValueError, KeyError, TypeError, RecursionError):
        raise TransferError("the index's page is no page of the simple API; check what it is") from None
    return json.dumps(page)
