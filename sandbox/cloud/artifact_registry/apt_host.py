"""`LOCATION-apt.pkg.dev`: what apt reads.

Standard repositories: `https://LOCATION-apt.pkg.dev/projects/PROJECT REPO main`. Remote ones, as public
configurations have them: `https://LOCATION-apt.pkg.dev/remote/PROJECT/REPO SUITE main`, with upstream's own
signature. See https://cloud.google.com/artifact-registry/docs/os-packages/debian/configure.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aiohttp import web

from sandbox.cloud.artifact_registry.apt_index import AptIndex
from sandbox.cloud.artifact_registry.apt_remote import AptRemote
from sandbox.cloud.artifact_registry.artifacts import Artifacts
from sandbox.cloud.artifact_registry.options import DEFAULT, Options
from sandbox.cloud.artifact_registry.plain import plain_errors
from sandbox.cloud.artifact_registry.repository import Repository, by_host
from sandbox.cloud.artifact_registry.signing import Signer
from sandbox.cloud.context import Cloud
from sandbox.cloud.errors import failed_precondition, not_found
from sandbox.cloud.storage.attached import attached
from sandbox.cloud.storage.serving import send_file

KEY_PATH: Final = "/doc/repo-signing-key.gpg"
"""The one path that needs no token."""


def application_apt(cloud: Cloud, options: Options = DEFAULT) -> web.Application:
    """The apt data plane of all locations; authentication is the server's in front."""
    host = _Host(cloud, options)
    app = web.Application(middlewares=[plain_errors])
    app.on_cleanup.append(host.close)
    app.add_routes(
        [
            web.get(KEY_PATH, host.key),
            web.get("/projects/{project}/dists/{repository}/{path:.+}", host.index),
            web.get("/projects/{project}/pool/{repository}/{path:.+}", host.pool),
            web.get("/remote/{project}/{repository}/dists/{path:.+}", host.upstream_index),
            web.get("/remote/{project}/{repository}/{path:.+}", host.upstream_pool),
        ]
    )
    return app


class _Host:
    def __init__(self, cloud: Cloud, options: Options) -> None:
        self._cloud = cloud
        self._options = options
        self._artifacts = attached(cloud, Artifacts)
        self._signer = attached(cloud, Signer)
        self._remote = AptRemote(self._artifacts, options)
        self._index = AptIndex(self._artifacts, self._remote, self._signer)

    async def close(self, app: web.Application) -> None:
        del app
        await self._artifacts.upstream.close()

    def _repository(self, request: web.Request) -> Repository:
        info = request.match_info
        return by_host(self._cloud, request.host, info["project"], info["repository"], "APT")

    def _own(self, request: web.Request) -> Repository:
        repository = self._repository(request)
        if repository.remote and not self._options.remotes_under_projects:
            raise not_found(
                f"Repository {repository.id} is a remote repository; its address is under /remote/"
            )
        return repository

    async def key(self, request: web.Request) -> web.Response:
        del request
        return web.Response(body=await self._signer.public_key(), content_type="application/pgp-keys")

    async def index(self, request: web.Request) -> web.StreamResponse:
        repository, path = self._own(request), request.match_info["path"]
        index = await self._index.index(repository)
        signed = {
            "InRelease": index.signed.inline,
            "Release": index.signed.release,
            "Release.gpg": index.signed.detached,
        }
        found = signed.get(path) or index.files.get(path)
        if found is None:
            raise not_found(f"Repository {repository.id} has no {path}")
        if isinstance(found, Path):
            return await send_file(request, found, {"Content-Type": "application/octet-stream"})
        return web.Response(body=found, content_type="application/octet-stream")

    async def pool(self, request: web.Request) -> web.StreamResponse:
        return await self._send(request, self._own(request), request.match_info["path"])

    async def upstream_index(self, request: web.Request) -> web.StreamResponse:
        repository = self._only_remote(request)
        suite = await self._remote.suite(repository)
        name = suite.upstream.suite
        wanted = request.match_info["path"]
        path = wanted.removeprefix(f"{name}/")
        if path == wanted:
            raise not_found(f"Repository {repository.id} has the suite {name} only")
        if path == "InRelease":
            return web.Response(body=suite.inrelease, content_type="application/octet-stream")
        place = await self._remote.index(suite, path)
        return await send_file(request, place, {"Content-Type": "application/octet-stream"}, place.name)

    async def upstream_pool(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"].removeprefix("pool/")
        return await self._send(request, self._only_remote(request), path)

    def _only_remote(self, request: web.Request) -> Repository:
        repository = self._repository(request)
        if not repository.remote:
            raise failed_precondition(f"Repository {repository.id} is no remote repository; use /projects/")
        return repository

    async def _send(self, request: web.Request, repository: Repository, rest: str) -> web.StreamResponse:
        if repository.remote:
            entry = await self._remote.deb(repository, rest)
        else:
            found = self._artifacts.catalog.get(repository, f"pool/{repository.id}/{rest}")
            if found is None:
                raise not_found(f"Repository {repository.id} has no pool file {rest}")
            entry = found
        headers = {"Content-Type": "application/vnd.debian.binary-package"}
        return await send_file(request, self._artifacts.catalog.path(entry), headers, entry.digests.sha256)
