"""What the outer repositories say of packages: facts to screen by, in place of a machine's claim."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote

from packaging.utils import canonicalize_name
from packaging.version import Version

from dmz.errors import TransferError
from dmz.registries.concurrency import together
from dmz.registries.debian import AptIndex, Packages, Stanza
from dmz.registries.failures import failure
from dmz.registries.google import Google
from dmz.registries.python import parse_filename
from dmz.registries.repository import Repository
from dmz.registries.simple import ACCEPT
from dmz.registries.simple import IndexFile as IndexFile
from dmz.registries.simple import parse_simple as parse_simple

Quick = Callable[[str], Awaitable[tuple[str, str] | None]]
"""A short way to the page at an address; None where it leads nowhere."""

_LOG: Final = logging.getLogger(__name__)
_KEPT: Final = 20_000
"""Files that are read of what a repository keeps, at least: in pages of a thousand, which come one by one."""


class PythonIndex:
    """A Python repository of the outer project, as an installer sees it."""

    def __init__(self, google: Google, project: str, location: str, repository: str) -> None:
        self._google = google
        self._repository = Repository(google, project, location, repository)
        self._base = f"{google.endpoints.python}{project}/{repository}/"
        self._texts: dict[str, tuple[str, str]] = {}
        self._pages: dict[str, list[IndexFile]] = {}
        self._kept: dict[str, int] | None = None
        self._listing = asyncio.Lock()

    @property
    def url(self) -> str:
        """The simple index, for installers; it takes the user `oauth2accesstoken` and a token."""
        return self._base + "simple/"

    def file_url(self, name: str, filename: str) -> str:
        """Where a file is; it takes the same user."""
        return f"{self._base}{quote(name)}/{quote(filename)}"

    async def kept(self) -> Mapping[str, int]:
        """The sizes in bytes of files that the repository has, by SHA-256, asked once.

        A remote repository has what was fetched through it. Of one with very many files, not all are here,
        and nothing if it does not say.
        """
        async with self._listing:
            if self._kept is None:
                found: dict[str, int] = {}
                try:
                    async for page in self._repository.pages():
                        found |= {file.sha256: file.size for file in page}
                        if len(found) >= _KEPT:
                            break
                except TransferError as error:
                    _LOG.info("what the repository keeps is not known: %s", error)
                self._kept = found
            return self._kept

    async def files(self, name: str) -> list[IndexFile]:
        """What is offered for a distribution, asked once for each; empty if the index does not know it."""
        normalised = canonicalize_name(name)
        if normalised not in self._pages:
            self._pages[normalised] = await self._page(normalised)
        return self._pages[normalised]

    async def text(self, name: str, quick: Quick | None = None) -> tuple[str, str]:
        """A project's page as it is, asked once for each: content type and text, both empty if unknown.

        `quick` is tried first, where there is one.
        """
        normalised = canonicalize_name(name)
        if quick and normalised not in self._texts and (found := await quick(f"{self.url}{normalised}/")):
            self._texts[normalised] = found
        if normalised not in self._texts:
            response = await self._google.send(
                "GET", f"{self.url}{normalised}/", headers={"Accept": ACCEPT}, basic=True
            )
            if response.is_error and response.status_code != 404:
                raise failure(self._where(normalised), response)
            # At once, which takes a fifth of the time of `response.text`: a page may have millions of bytes.
            self._texts[normalised] = (
                ("", "")
                if response.is_error
                else (
                    response.headers.get("content-type", ""),
                    response.content.decode(response.encoding or "utf-8", errors="replace"),
                )
            )
        return self._texts[normalised]

    async def _page(self, normalised: str) -> list[IndexFile]:
        content_type, text = await self.text(normalised)
        try:
            return parse_simple(content_type, text)
        except TransferError as error:
            raise TransferError(f"{self._where(normalised)}: {error}") from None

    def _where(self, normalised: str) -> str:
        return f"{self._repository.id}/simple/{normalised}"

    async def versions(self, name: str) -> list[str]:
        """All versions with a file, oldest first, those withdrawn by their authors left out."""
        found = set()
        for file in await self.files(name):
            if not file.yanked and (parsed := parse_filename(file.filename)):
                found.add(parsed[1])
        return sorted(found, key=_order)

    async def describe(self, wanted: Iterable[tuple[str, str]]) -> dict[str, IndexFile]:
        """Digest and size of files, given as (distribution, file name), by file name.

        The digest that the index announces and the one of the bytes that the repository keeps must agree.
        Files that the index does not offer are absent from the answer.

        Raises:
            TransferError: index and repository differ, or neither knows a file's digest.
        """
        by_name: dict[str, set[str]] = {}
        for name, filename in wanted:
            by_name.setdefault(canonicalize_name(name), set()).add(filename)
        pages, kept = await asyncio.gather(
            together((self.files(name) for name in by_name), at_once=16), self._repository.files()
        )
        record = {file.filename: file for file in kept}
        found: dict[str, IndexFile] = {}
        for (name, filenames), page in zip(by_name.items(), pages, strict=True):
            for file in page:
                if file.filename not in filenames:
                    continue
                have = record.get(file.filename)
                if have and file.sha256 and have.sha256 != file.sha256:
                    raise TransferError(
                        f"{self._repository.id}/{file.filename}: keeps sha256:{have.sha256}, its index says "
                        f"sha256:{file.sha256}; find out why it changed before you screen again"
                    )
                sha256 = file.sha256 or (have.sha256 if have else "")
                if not sha256:
                    raise TransferError(
                        f"{self._repository.id}/{file.filename}: neither its index nor its record has a "
                        "SHA-256; install the workload on the outer machine first"
                    )
                size = have.size if have else file.size
                if size is None:
                    size = await self._size(name, file.filename)
                found[file.filename] = replace(file, sha256=sha256, size=size)
        return found

    async def _size(self, name: str, filename: str) -> int:
        response = await self._google.send(
            "HEAD", f"{self._base}{name}/{filename}", headers={"Accept-Encoding": "identity"}, basic=True
        )
        if response.is_error or "content-length" not in response.headers:
            raise failure(f"{self._repository.id}/{filename}", response)
        return int(response.headers["content-length"])


def _order(version: str) -> tuple[int, Version | str]:
    try:
        return 1, Version(version)
    except ValueError:  # too many digits raise one of their own
        return 0, version


@dataclass(frozen=True)
class Found:
    """A Debian package and the suite that has it."""

    stanza: Stanza
    repository: str
    """Id of the outer repository."""
    suite: str


class AptSuites:
    """The apt repositories of the outer project, one for each suite of the base image."""

    def __init__(
        self,
        google: Google,
        project: str,
        suites: Sequence[tuple[str, str]],
        *,
        components: tuple[str, ...],
        architecture: str,
    ) -> None:
        """Args:
        suites: (repository id, suite), the one to prefer first.
        """
        self._suites = suites
        self._indexes = [
            AptIndex(google, project, repository, components, (architecture,), suite)
            for repository, suite in suites
        ]
        self._lock = asyncio.Lock()
        self._read: list[list[Packages]] | None = None

    async def find(self, wanted: Collection[tuple[str, str, str]]) -> dict[tuple[str, str, str], Found]:
        """Packages given as (package, version, architecture); what no suite has is absent from the answer.

        Raises:
            TransferError: two suites have different files of the same version.
        """
        found: dict[tuple[str, str, str], Found] = {}
        for key in wanted:
            for candidate in await self.named(key[0]):
                stanza = candidate.stanza
                if (stanza.package, stanza.version, stanza.architecture) != key:
                    continue
                first = found.setdefault(key, candidate)
                if first.stanza.sha256 != stanza.sha256:
                    raise TransferError(
                        f"{stanza.filename}: {first.repository} has sha256:{first.stanza.sha256}, "
                        f"{candidate.repository} has sha256:{stanza.sha256}; find out which is Debian's"
                    )
        return found

    async def named(self, package: str) -> list[Found]:
        """All that the suites have of a package, in their order."""
        return [found for found, _ in await self.texts(package)]

    async def texts(self, package: str) -> list[tuple[Found, bytes]]:
        """The same with the stanzas as they stand in the indexes."""
        return [
            (Found(stanza, repository, suite), text)
            for (repository, suite), parts in zip(self._suites, await self._parts(), strict=True)
            for part in parts
            for stanza, text in part.texts(package)
        ]

    async def providers(self, virtual: str) -> set[str]:
        """The packages that provide a virtual one in any suite."""
        return {name for parts in await self._parts() for part in parts for name in part.providers(virtual)}

    async def _parts(self) -> list[list[Packages]]:
        async with self._lock:
            if self._read is None:
                self._read = await together(index.read() for index in self._indexes)
            return self._read
