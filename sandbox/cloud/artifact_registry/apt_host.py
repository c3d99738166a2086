"""`LOCATION-apt.pkg.dev`: what apt reads.

Standard repositories: `https://LOCATION-apt.pkg.dev/projects/PROJECT REPO main`. Remote ones, as public
configurations have them: `https://LOCATION-apt.pkg.dev/remote/PROJECT/REPO SUITE main`, with upstream's own
signature. See https://cloud.google.com/artifact-registry/docs/os-packages/debian/configure.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from sandbox.cloud.artifact_registry.apt_index import AptIndex
from sandbox.cloud.artifact_registry.apt_remote import AptRemote
from sandbox.cloud.artifact_registry.data_plane import DataPlane
from sandbox.cloud.artifact_registry.repository import Repository
from sandbox.cloud.artifact_registry.signing import Signer
from sandbox.cloud.context import Cloud
from sandbox.cloud.errors import not_found
from sandbox.cloud.storage.attached import attached
from sandbox.cloud.storage.serving import send_file

KEY_PATH: Final = "/doc/repo-signing-key.gpg"
"""The one path that needs no token."""

_INDEX: Final = "application/octet-stream"
_PACKAGE: Final = "application/vnd.debian.binary-package"


def application_apt(cloud: Cloud) -> web.Application:
    """The apt data plane of all locations."""
    host = _Host(cloud)
    return host.application(
        [
            web.get(KEY_PATH, host.key),
            web.get("/projects/{project}/dists/{repository}/{path:.+}", host.index),
            web.get("/projects/{project}/pool/{repository}/{path:.+}", host.pool),
            web.get("/remote/{project}/{repository}/dists/{path:.+}", host.upstream_index),
            web.get("/remote/{project}/{repository}/{path:.+}", host.upstream_pool),
        ]
    )


class _Host(DataPlane):
    FORMAT = "APT"

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self._signer = attached(cloud, Signer)
        self._remote = AptRemote(self._artifacts, cloud.options)
        self._index = AptIndex(self._artifacts, self._signer)

    async def key(self, request: web.Request) -> web.Response:
        del request
        return web.Response(body=await self._signer.public_key(), content_type="application/pgp-keys")

    async def index(self, request: web.Request) -> web.Response:
        repository, path = self._of_mode(request, remote=False), request.match_info["path"]
        suite = await self._index.suite(repository, first=path in {"InRelease", "Release"})
        if path not in suite:
            raise not_found(f"Repository {repository.id} has no {path}")
        return web.Response(body=suite[path], content_type=_INDEX)

    async def pool(self, request: web.Request) -> web.StreamResponse:
        repository = self._of_mode(request, remote=False)
        entry = self._held(repository, f"pool/{request.match_info['path']}")
        return await self._send(request, entry, _PACKAGE)

    async def upstream_index(self, request: web.Request) -> web.StreamResponse:
        repository = self._of_mode(request, remote=True)
        suite = await self._remote.suite(repository)
        name = suite.upstream.suite
        wanted = request.match_info["path"]
        path = wanted.removeprefix(f"{name}/")
        if path == wanted:
            raise not_found(f"Repository {repository.id} has the suite {name} only")
        if path == "InRelease":
            return web.Response(body=suite.inrelease, content_type=_INDEX)
        return await send_file(request, await self._remote.index(suite, path), {"Content-Type": _INDEX})

    async def upstream_pool(self, request: web.Request) -> web.StreamResponse:
        repository = self._of_mode(request, remote=True)
        return await self._send(
            request, await self._remote.deb(repository, request.match_info["path"]), _PACKAGE
        )

    def _of_mode(self, request: web.Request, *, remote: bool) -> Repository:
        """The repository, which has another address when it is of the other mode."""
        repository = self._repository(request)
        if repository.remote != remote:
            mode, place = ("remote", "/remote/") if repository.remote else ("standard", "/projects/")
            raise not_found(
                f"Repository {repository.id} is a {mode} repository; its address is under {place}"
            )
        return repository
