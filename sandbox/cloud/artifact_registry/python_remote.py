"""Python remote repositories: fetch through from an index, and keep."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

from sandbox.cloud.artifact_registry.artifacts import Artifacts
from sandbox.cloud.artifact_registry.catalog import Entry
from sandbox.cloud.artifact_registry.pip_settings import PipSettings, pip_settings
from sandbox.cloud.artifact_registry.repository import Repository
from sandbox.cloud.artifact_registry.simple_index import JSON_TYPE, Link, parse_filename, parse_page
from sandbox.cloud.artifact_registry.upstream import UpstreamError
from sandbox.cloud.errors import failed_precondition, not_found
from sandbox.cloud.options import Options
from sandbox.cloud.storage.objects import timestamp

_ACCEPT: Final = f"{JSON_TYPE}, text/html;q=0.5"
_PAGE_LIMIT: Final = 64 << 20
"""Bytes of one index page; the largest known ones have some ten million."""
_PAGES_KEPT: Final = 1024
"""Rendered pages that are kept in memory, the least used let go first."""


class PythonRemote:
    """The upstream side of all Python remote repositories of a cloud."""

    def __init__(self, artifacts: Artifacts, options: Options) -> None:
        self._artifacts = artifacts
        self._options = options
        self._pip: PipSettings | None = None
        self._pages: dict[tuple[str, str], tuple[float, str]] = {}

    async def links(self, repository: Repository, name: str) -> list[Link]:
        """What upstream has of a project.

        Raises:
            ApiError: upstream doesn't know the project (404), or fails and nothing is kept (502).
        """
        return (await self._fetched(repository, name))[1]

    async def page(self, repository: Repository, name: str, render: Callable[[list[Link]], str]) -> str:
        """What upstream has of a project as a page, rendered once each time it was fetched.

        Raises:
            ApiError: as `links` does.
        """
        key = ((await self._settings(repository)).index, name)
        fetched, text = self._pages.pop(key, (0.0, ""))
        if not 0 <= time.time() - fetched < self._options.python_index_seconds:
            fetched, links = await self._fetched(repository, name)
            text = render(links)
        self._pages[key] = fetched, text
        if len(self._pages) > _PAGES_KEPT:
            self._pages.pop(next(iter(self._pages)))
        return text

    async def file(self, repository: Repository, name: str, filename: str) -> Entry:
        """A file of a project, fetched first unless it is kept.

        Raises:
            ApiError: upstream doesn't list it (404), or sends other bytes than it lists (502).
        """
        catalog = self._artifacts.catalog
        file_id = f"{name}/{filename}"
        entry = catalog.get(repository, file_id)
        if entry is not None and catalog.path(entry).exists():
            return entry
        link = next((link for link in await self.links(repository, name) if link.filename == filename), None)
        if link is None:
            raise not_found(f"Upstream lists no {filename} for {name}")
        try:
            owner, version = parse_filename(filename)
        except ValueError as error:
            raise not_found(f"{filename} is no file of {name}: {error}") from error
        if owner != name:
            raise not_found(f"{filename} is no file of {name}")
        settings = await self._settings(repository)
        digests = await self._artifacts.upstream.file(link.url, link.sha256, link.size, settings.certificates)
        details = {"requires_python": link.requires_python} if link.requires_python else {}
        fresh = Entry(file_id, owner, str(version), digests, details, fetched=timestamp())
        return catalog.keep(repository, fresh)

    async def _fetched(self, repository: Repository, name: str) -> tuple[float, list[Link]]:
        settings = await self._settings(repository)
        return await self._artifacts.upstream.once(
            ("links", settings.index, name), lambda: self._links(settings, name)
        )

    async def _links(self, settings: PipSettings, name: str) -> tuple[float, list[Link]]:
        """When upstream was asked, in seconds since the epoch, and what it had."""
        address = hashlib.sha256(settings.index.encode()).hexdigest()[:16]
        kept = self._artifacts.cloud.cache / "python-index" / address / f"{name}.json"
        saved = json.loads(kept.read_bytes()) if kept.exists() else None
        if saved is not None and 0 <= time.time() - saved["fetched"] < self._options.python_index_seconds:
            return saved["fetched"], [Link(**link) for link in saved["links"]]
        url = f"{settings.index.rstrip('/')}/{quote(name)}/"
        try:
            page = await self._artifacts.upstream.page(
                url, {"Accept": _ACCEPT}, _PAGE_LIMIT, settings.certificates
            )
        except UpstreamError as error:
            if error.upstream_status == 404:
                raise not_found(f"Upstream knows no project {name}") from error
            if saved is None:
                raise
            # What is kept outlives a broken upstream.
            return saved["fetched"], [Link(**link) for link in saved["links"]]
        try:
            content_type = page.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            links = parse_page(content_type, page.body or b"", str(page.url))
        except (ValueError, KeyError, TypeError) as error:
            raise UpstreamError(f"{name}: upstream's index page can't be read: {error}") from error
        kept.parent.mkdir(parents=True, exist_ok=True)
        fresh = kept.with_name(kept.name + ".new")
        record: dict[str, Any] = {"fetched": time.time(), "links": [vars(link) for link in links]}
        fresh.write_text(json.dumps(record), encoding="utf-8")
        fresh.replace(kept)
        return record["fetched"], links

    async def _settings(self, repository: Repository) -> PipSettings:
        declared = repository.upstream("pythonRepository")
        custom = (declared.get("customRepository") or {}).get("uri")
        if custom:
            base = str(custom).rstrip("/")
            return PipSettings(base if base.endswith("/simple") else f"{base}/simple", None)
        if declared.get("publicRepository") != "PYPI":
            raise failed_precondition(
                f"Repository {repository.id} names no Python upstream; set publicRepository: PYPI or a uri"
            )
        if self._pip is None:
            self._pip = await self._artifacts.upstream.once("pip settings", pip_settings)
        return self._pip
