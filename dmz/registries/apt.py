"""Artifact Registry repositories of Debian packages: standard ones and remote ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import quote

from dmz.artifact import Artifact, Kind
from dmz.errors import RefusedError, TransferError
from dmz.registries import multipart
from dmz.registries.debian import AptIndex, Packages, Stanza, deb_filename
from dmz.registries.failures import OperationError, conflict, failure
from dmz.registries.google import Google, upload_base
from dmz.registries.interface import Stored
from dmz.registries.repository import File, Repository

_MEDIA_TYPE: Final = "application/vnd.debian.binary-package"
_ALREADY_EXISTS: Final = 6
"""google.rpc.Code"""


class AptRegistry:
    """A repository of debs behind the registries' interface."""

    def __init__(
        self,
        google: Google,
        project: str,
        location: str,
        repository: str,
        *,
        components: tuple[str, ...] | None = None,
        architectures: tuple[str, ...] | None = None,
        suite: str | None = None,
    ) -> None:
        """`components`, `architectures` and `suite` as `AptIndex` has them."""
        self._google = google
        self._repository = Repository(google, project, location, repository)
        self._index = AptIndex(google, project, repository, components, architectures, suite)
        self._read_once = asyncio.Lock()
        self._parts: list[Packages] | None = None

    async def list(self) -> list[Stored]:
        """Every deb.

        The repository's record of files is the truth: its index follows with a delay. What a deb is comes
        from the index, by digest; for one that the index does not show (yet, or any more) from the record.
        """
        files, parts = await asyncio.gather(self._repository.files(), self._index.read())
        stanzas = {stanza.sha256: stanza for part in parts for stanza in part}
        return sorted(_stored(file, stanzas.get(file.sha256)) for file in files)

    @asynccontextmanager
    async def open(self, artifact: Artifact) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream a deb from where the index says it is."""
        stanza = await self._find(artifact)
        what = f"{self._repository.id}/{artifact.filename}"
        if stanza is None:
            raise TransferError(
                f"{what}: version {artifact.version} is no longer there; run `dmz screen` for a new release"
            )
        if stanza.sha256 != artifact.sha256:
            raise RefusedError(  # not a failed transfer: no further try would end otherwise
                f"{what}: is now sha256:{stanza.sha256}, released was sha256:{artifact.sha256}; find out why "
                "it changed, then run `dmz screen` for a new release"
            )
        async with self._google.download(self._index.base + quote(stanza.path, safe="/~+:"), what) as chunks:
            yield chunks

    async def _find(self, artifact: Artifact) -> Stanza | None:
        async with self._read_once:
            if self._parts is None:
                self._parts = await self._index.read()
        found = [
            stanza
            for part in self._parts
            for stanza in part.named(artifact.name)
            if (stanza.version, stanza.architecture) == (artifact.version, artifact.architecture)
        ]
        # An index may list a deb more than once (in two components): the released one is meant.
        return min(found, key=lambda stanza: stanza.sha256 != artifact.sha256, default=None)

    async def put(self, artifact: Artifact, chunks: AsyncIterator[bytes]) -> None:
        """Upload, and wait until the repository has taken it in; its index follows later: see `settle`.

        See https://cloud.google.com/artifact-registry/docs/reference/rest/v1/projects.locations.repositories.aptArtifacts/upload
        """
        what = f"{self._repository.id}/{artifact.filename}"
        response = await self._google.upload(
            f"{upload_base(self._google.endpoints.artifact_registry)}{self._repository.name}/aptArtifacts:create",
            multipart.related({}, _MEDIA_TYPE),
            chunks,
            artifact.size,
            what,
            params={"uploadType": "multipart"},
        )
        if response.status_code == 409:
            return await self._must_hold(artifact)
        if response.is_error:
            raise failure(what, response)
        try:
            await self._google.operation(response.json()["operation"], what)
        except OperationError as error:
            if error.code != _ALREADY_EXISTS:
                raise
            await self._must_hold(artifact)

    async def _must_hold(self, artifact: Artifact) -> None:
        held = {
            stored.sha256
            for stored in await self.list()
            if (stored.name, stored.version, stored.architecture)
            == (artifact.name, artifact.version, artifact.architecture)
        }
        if held != {artifact.sha256}:
            raise conflict(self._repository.id, artifact, held)

    async def settle(self, artifacts: Collection[Artifact], *, within: float = 900) -> None:
        """Wait until the index shows `artifacts` with their digests, so that apt can install them.

        Args:
            within: seconds after which waiting ends.

        Raises:
            TransferError: it still does not; names the first that is missing.
        """
        started = time.monotonic()
        pause = 0.1
        while True:
            shown = {stanza.sha256 for part in await self._index.read() for stanza in part}
            missing = [artifact for artifact in artifacts if artifact.sha256 not in shown]
            if not missing:
                return
            if time.monotonic() - started > within:
                raise TransferError(
                    f"{self._repository.id}: after {within:.0f} seconds its index does not show "
                    f"{len(missing)} of {len(artifacts)} packages, such as {missing[0].filename}; "
                    "run again to wait on"
                )
            await asyncio.sleep(pause)
            pause = min(10.0, pause * 1.6)

    async def withdraw(self, stored: Iterable[Stored]) -> None:
        """Remove whole versions, under the names that the repository's record gives them."""
        gone = {one.sha256 for one in stored}
        if gone:
            files = await self._repository.files()
            await self._repository.delete_versions(_owner(file) for file in files if file.sha256 in gone)


def _parse_path(file: File) -> tuple[str, str, str]:
    """Name, version and architecture from a pool path, `…/NAME_VERSION_ARCH[_MORE].deb`."""
    name, version, architecture, *_ = [*file.filename.removesuffix(".deb").split("_"), "", "", ""]
    return file.package or name, file.version or version, architecture


def _owner(file: File) -> tuple[str, str]:
    name, version, _ = _parse_path(file)
    return name, version


def _stored(file: File, stanza: Stanza | None) -> Stored:
    name, version, architecture = (
        (stanza.package, stanza.version, stanza.architecture) if stanza else _parse_path(file)
    )
    filename = deb_filename(name, version, architecture) if version and architecture else file.filename
    return Stored(Kind.APT, name, architecture, version, filename, file.sha256, file.size)
