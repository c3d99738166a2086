"""What the data planes of all formats share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from sandbox.cloud import access
from sandbox.cloud.artifact_registry.artifacts import Artifacts
from sandbox.cloud.artifact_registry.catalog import Entry
from sandbox.cloud.artifact_registry.quota import charge
from sandbox.cloud.artifact_registry.repository import Repository, by_host
from sandbox.cloud.context import Cloud
from sandbox.cloud.errors import ApiError, not_found
from sandbox.cloud.storage.attached import attached
from sandbox.cloud.storage.serving import send_file

DOWNLOAD: Final = "artifactregistry.repositories.downloadArtifacts"
UPLOAD: Final = "artifactregistry.repositories.uploadArtifacts"
"""What reading from a repository's own address asks for, and what writing to it does."""


class DataPlane:
    """One format's data plane of all locations; authentication is the server's in front."""

    FORMAT: ClassVar[str]

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._artifacts = attached(cloud, Artifacts)

    def application(self, routes: Iterable[web.RouteDef]) -> web.Application:
        """An application with these routes."""
        app = web.Application(middlewares=[_plain_errors])
        app.on_cleanup.append(self._close)
        app.add_routes(list(routes))
        return app

    def _repository(self, request: web.Request, permission: str = DOWNLOAD) -> Repository:
        """The repository of a request, if whoever makes it has `permission` on it."""
        info = request.match_info
        repository = by_host(self._cloud, request.host, info["project"], info["repository"], self.FORMAT)
        charge(self._cloud, repository.name, "writes" if permission == UPLOAD else None)
        access.require(self._cloud, request["identity"], permission, f"artifactregistry/{repository.name}")
        return repository

    def _held(self, repository: Repository, file_id: str) -> Entry:
        """A file of a standard repository."""
        found = self._artifacts.catalog.get(repository, file_id)
        if found is None:
            raise not_found(f"File {file_id} not found in repository {repository.id}")
        return found

    async def _send(self, request: web.Request, entry: Entry, content_type: str) -> web.StreamResponse:
        return await send_file(
            request, self._artifacts.catalog.path(entry), {hdrs.CONTENT_TYPE: content_type}
        )

    async def _close(self, app: web.Application) -> None:
        del app
        await self._artifacts.upstream.close()


@web.middleware
async def _plain_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refusals as text, for people who read what pip, twine or apt print."""
    try:
        return await handler(request)
    except ApiError as error:
        return web.Response(status=error.status, text=error.message + "\n", headers=error.headers)
