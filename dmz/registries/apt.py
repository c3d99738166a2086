"""Artifact Registry repositories of Debian packages: standard ones and remote ones."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import re
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import quote

from dmz.artifact import Artifact, Kind
from dmz.errors import InputError, RefusedError, TransferError
from dmz.registries.debian import AptIndex, Packages, Stanza, UnsteadyError, deb_filename
from dmz.registries.google import Google
from dmz.registries.importing import import_debs
from dmz.registries.interface import Stored
from dmz.registries.repository import File, Repository, in_order, shared
from dmz.registries.staging import Staging

_ARCHITECTURE: Final = re.compile(r"[a-z0-9][a-z0-9-]*")


class AptRegistry:
    """A repository of debs behind the registries' interface."""

    def __init__(
        self,
        google: Google,
        project: str,
        location: str,
        repository: str,
        *,
        staging: str | None = None,
        known: Iterable[Artifact] = (),
        components: tuple[str, ...] | None = None,
        architectures: tuple[str, ...] | None = None,
        suite: str | None = None,
    ) -> None:
        """An Artifact Registry repository.

        Args:
            google: the connection.
            project: its project.
            location: its region.
            repository: its id.
            staging: the bucket from which it imports; None for one that is only read.
            known: debs that are known by their digest, wherever they turn up.
            components: as `AptIndex` has it.
            architectures: as `AptIndex` has it.
            suite: as `AptIndex` has it.
        """
        self._google = google
        self._repository = Repository(google, project, location, repository)
        self._staging = Staging(google, staging) if staging else None
        self._known = {artifact.sha256: artifact for artifact in known if artifact.kind is Kind.APT}
        self._index = AptIndex(google, project, repository, components, architectures, suite)
        self._reading = asyncio.Lock()
        self._read = 0
        """How often the index was read."""
        self._parts: builtins.list[Packages] = []
        self._unchanged: dict[str, Packages] = {}

    async def list(self, of: Collection[Artifact] | None = None) -> list[Stored]:
        """Every deb, from the repository's record of files, or those of the versions of `of`.

        The repository's index is no record: it follows with a delay. What a deb is comes from its digest if
        that is known, else from the version that owns it and the name of its file. Only when these do not
        tell is the index read as well.
        """
        found: builtins.list[Stored] = []
        unclear: builtins.list[File] = []
        versions = None if of is None else {(each.name, each.version) for each in of}
        async for page in self._repository.pages(versions):
            for file in page:
                what = self._identified(file)
                if what is None:
                    unclear.append(file)
                else:
                    found.append(shared(_stored(file, *what), self._known.get(file.sha256)))
        if unclear:
            stanzas = {stanza.sha256: stanza for part in await self._index.read() for stanza in part}
            for file in unclear:
                stanza = stanzas.get(file.sha256)
                what = (stanza.package, stanza.version, stanza.architecture) if stanza else _guessed(file)
                found.append(_stored(file, *what))
        return in_order(found)

    def _identified(self, file: File) -> tuple[str, str, str] | None:
        """Name, version and architecture."""
        if known := self._known.get(file.sha256):
            return known.name, known.version, known.architecture
        # `pool/…/NAME_VERSION_ARCHITECTURE_MD5.deb`, the version without its epoch; none of them has a `_`.
        # Only seen, not documented (?), so it counts only where it agrees with the owner.
        parts = file.filename.removesuffix(".deb").split("_")
        if (
            len(parts) > 2
            and parts[0] == file.package
            and parts[1] == file.version.partition(":")[2 if ":" in file.version else 0]
            and _ARCHITECTURE.fullmatch(parts[2])
        ):
            return file.package, file.version, parts[2]
        return None

    @asynccontextmanager
    async def open(self, artifact: Artifact) -> AsyncIterator[Iterator[bytes]]:
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
        """What the index says of a deb. One that is as old as an earlier call and does not show it, as it
        follows with a delay, is read again, once for all who miss something in it."""
        before = self._read
        for state in (0, before):
            if self._read <= state:
                await self._read_after(state)
            found = min(self._named(artifact), key=lambda each: each.sha256 != artifact.sha256, default=None)
            if found is not None and found.sha256 == artifact.sha256:
                break
        return found

    def _named(self, artifact: Artifact) -> builtins.list[Stanza]:
        # An index may list a deb more than once (in two components): the released one is meant.
        return [
            stanza
            for part in self._parts
            for stanza in part.named(artifact.name)
            if (stanza.version, stanza.architecture) == (artifact.version, artifact.architecture)
        ]

    async def _read_after(self, state: int) -> None:
        async with self._reading:
            if self._read <= state:  # else somebody else did, who was waiting for it as well
                self._parts = await self._index.read(self._unchanged)
                self._read += 1

    async def put(self, artifact: Artifact, chunks: Iterator[bytes]) -> None:
        """Stage the deb, hashed; nobody can install it before `admit`."""
        await self._inside.put(artifact, chunks)

    async def staged(self, artifacts: Collection[Artifact]) -> set[Artifact]:
        """Those that lie in the staging bucket; their bytes are hashed there, and wrong ones deleted."""
        return await self._inside.held(artifacts)

    @property
    def _inside(self) -> Staging:
        if self._staging is None:
            raise InputError(
                f"{self._repository.id}: there is no staging bucket to import from; run `pulumi up` on the "
                "inner stack"
            )
        return self._staging

    async def admit(self, artifacts: Collection[Artifact]) -> None:
        """Import what is staged, in one call for all, and wait until the service is done.

        The service says nothing of a deb whose place is taken, and leaves what is there: the listing tells.
        What was imported stays staged until `settle`, so that nothing has to be sent again after a conflict.

        Raises:
            TransferError: the service refused or failed; names the first file and why.
        """
        await import_debs(self._repository, [self._inside.uri(each) for each in sorted(artifacts)])

    async def settle(self, artifacts: Collection[Artifact]) -> None:
        """Wait until the index shows `artifacts` with their digests, so that apt can install them.

        Then nothing has to be staged any more, whoever staged it and for which release: only one run at a
        time does this.

        Raises:
            TransferError: after `Retry.patience` it still does not; names the first that is missing.
        """
        if artifacts:  # else there may be no index yet
            await self._wait(artifacts)
        if self._staging is not None:
            await self._staging.empty()

    async def _wait(self, artifacts: Collection[Artifact]) -> None:
        missing = [*artifacts]
        read: dict[str, Packages] = {}
        async for _ in self._google.retry.looks():
            with contextlib.suppress(UnsteadyError):  # it is being made just now
                parts = await self._index.read(read)
                missing = [each for each in missing if not any(part.has(each.sha256) for part in parts)]
            if not missing:
                return
        raise TransferError(
            f"{self._repository.id}: after {self._google.retry.patience:.0f} seconds its index does not show "
            f"{len(missing)} of {len(artifacts)} packages, such as {min(missing).filename}; "
            "run again to wait on"
        )

    async def withdraw(self, stored: Iterable[Stored]) -> None:
        """Remove whole versions."""
        await self._repository.delete_versions(one.owner for one in stored)


def _guessed(file: File) -> tuple[str, str, str]:
    """What the record says of a deb that the index does not show, as far as it goes."""
    name, version, architecture, *_ = [*file.filename.removesuffix(".deb").split("_"), "", "", ""]
    return file.package or name, file.version or version, architecture


def _stored(file: File, name: str, version: str, architecture: str) -> Stored:
    filename = deb_filename(name, version, architecture) if version and architecture else file.filename
    owner = file.package or name, file.version or version
    return Stored(Kind.APT, name, architecture, version, filename, file.sha256, file.size, owner)
