"""The index behind a remote Python repository: the facts that private indexes drop.

The repository says which upstream it has. For the public index that is whatever this machine's pip is
configured with, or pip's own default: no address is written here. It gets no token of Google's.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpx
from packaging.utils import canonicalize_name

from dmz.errors import InputError, RefusedError, TransferError
from dmz.registries.google import Google
from dmz.registries.repository import Repository
from dmz.registries.simple import ACCEPT, IndexFile, Page, parse_page

_LOG = logging.getLogger(__name__)
_PAGE: Final = 64 << 20
"""Bytes of a page that are read; the largest known have some ten million."""
_DOCUMENT: Final = 4 << 20
"""Bytes of core metadata or of a provenance that are read."""
_TIMEOUT: Final = 30
"""Seconds without a byte after which it counts as silent."""


async def upstream_of(google: Google, project: str, location: str, repository: str) -> str:
    """The simple index that a remote repository fetches from; it ends in a slash.

    Raises:
        InputError: the repository does not exist or is not a remote one for Python.
    """
    described = await Repository(google, project, location, repository).describe()
    declared = described.get("remoteRepositoryConfig", {}).get("pythonRepository", {})
    if uri := declared.get("customRepository", {}).get("uri"):
        return str(uri).rstrip("/") + "/simple/"
    if declared.get("publicRepository"):
        return pip_index()
    raise InputError(
        f"{repository}: no remote Python repository of project {project}; run `pulumi up -s outer`"
    )


def pip_index() -> str:
    """The index that pip on this machine uses, from its files, variables and default; it ends in a slash."""
    from pip._internal.commands import create_command  # slow to import, and only this needs it

    options, _ = create_command("install").parse_args([])
    return str(options.index_url).rstrip("/") + "/"


class Upstream:
    """What an index says of projects and files, asked once for each.

    What it does not tell is unknown, and not harmless. An index that does not answer tells nothing, and a
    warning says so; one that cannot be reached is not asked again.
    """

    def __init__(self, client: httpx.AsyncClient, index: str) -> None:
        """Args:
        client: sends no credentials of its own.
        index: the simple index; ends in a slash.
        """
        self._client = client
        self._index = index
        self._pages: dict[str, Page] = {}
        self._silent = False

    async def page(self, name: str) -> Page | None:
        """A project's page with whole addresses; empty if it does not know the project; None: no answer."""
        normalised = canonicalize_name(name)
        if normalised not in self._pages:
            page = await self._page(normalised)
            if page is None:
                return None
            self._pages[normalised] = page
        return self._pages[normalised]

    async def metadata(self, file: IndexFile) -> bytes | None:
        """The core metadata of a wheel (PEP 658); None where the index announces none or does not answer.

        Only what is announced with a SHA-256 is asked for, by the page that vouches for the wheel itself: so
        it is no weaker than that.

        Raises:
            RefusedError: the index sends something else than it announces.
        """
        if not file.metadata:
            return None
        data = await self._read(file.address and f"{file.address}.metadata", _DOCUMENT)
        if data is None:
            return None
        found = hashlib.sha256(data).hexdigest()
        if found != file.metadata:
            raise RefusedError(
                f"{file.filename}: the upstream index sends metadata of sha256:{found} and announces "
                f"sha256:{file.metadata}; ask who runs it"
            )
        return data

    async def provenance(self, file: IndexFile) -> bytes | None:
        """The provenance of a file (PEP 740); None where the index announces none or does not answer."""
        return await self._read(file.provenance, _DOCUMENT) if file.provenance else None

    async def _page(self, normalised: str) -> Page | None:
        answer = await self._send(f"{self._index}{normalised}/", _PAGE)
        if answer is None:
            return None
        response, data = answer
        if response.status_code == 404:
            return Page()
        try:
            page = parse_page(response.headers.get("content-type", ""), data.decode(errors="replace"))
        except TransferError as error:
            raise TransferError(f"upstream's page of {normalised}: {error}") from None
        base = str(response.url)
        return replace(
            page,
            files=tuple(
                replace(
                    file,
                    address=absolute(base, file.address),
                    provenance=absolute(base, file.provenance) if file.provenance else "",
                )
                for file in page.files
            ),
        )

    async def _read(self, address: str, limit: int) -> bytes | None:
        answer = await self._send(address, limit)
        return answer[1] if answer and answer[0].status_code == 200 else None

    async def _send(self, address: str, limit: int) -> tuple[httpx.Response, bytes] | None:
        if self._silent or not address:
            return None
        why = "it sent more than is read"
        try:
            async with self._client.stream(
                "GET", address, headers={"Accept": ACCEPT}, timeout=_TIMEOUT, follow_redirects=True
            ) as response:
                data = bytearray()
                async for chunk in response.aiter_bytes():
                    data += chunk
                    if len(data) > limit:
                        break
                else:
                    if response.status_code in {200, 404}:
                        return response, bytes(data)
                    why = f"it answered {response.status_code}"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            why = type(error).__name__
            self._silent = isinstance(error, httpx.ConnectError)
        # Not the address, nor the error's text: they may hold a password.
        _LOG.warning("what the upstream index knows stays unknown: %s", why)
        return None


def absolute(base: str, address: str) -> str:
    """The address as a whole one; empty where it is none that this may follow.

    From https there is no way to http: what stands there nobody could vouch for.
    """
    try:
        found = urljoin(base, address)
        allowed = {"https"} if urlsplit(base).scheme == "https" else {"http", "https"}
        return found if urlsplit(found).scheme in allowed else ""
    except ValueError:
        return ""
