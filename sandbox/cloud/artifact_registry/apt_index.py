"""The indexes of standard apt repositories: made from what is held, signed by the sandbox's key."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from typing import Final, TypeAlias

from sandbox.cloud.artifact_registry.artifacts import Artifacts
from sandbox.cloud.artifact_registry.catalog import Entry
from sandbox.cloud.artifact_registry.deb import host_architecture, stanza
from sandbox.cloud.artifact_registry.release import FileHash, Release, date
from sandbox.cloud.artifact_registry.repository import Repository
from sandbox.cloud.artifact_registry.signing import Signer

_FAST: Final = 1
"""Compression level: the index goes over a local connection, where time counts more than size."""

Suite: TypeAlias = Mapping[str, bytes]
"""The files of a suite that is ready to be served, by path from its folder."""


class AptIndex:
    """The signed indexes of all standard apt repositories; made anew only when contents changed."""

    def __init__(self, artifacts: Artifacts, signer: Signer) -> None:
        self._artifacts = artifacts
        self._signer = signer
        self._made: dict[str, tuple[object, Suite]] = {}

    async def suite(self, repository: Repository, *, first: bool = True) -> Suite:
        """The repository's suite; `first` when it is for what a reader asks for first.

        Raises:
            ApiError: gpg fails.
        """
        revision, entries = self._artifacts.catalog.suite(repository, counted=first)
        state = (repository.epoch, revision)
        known = self._made.get(repository.name)
        if known is not None and known[0] == state:
            return known[1]

        async def make() -> Suite:
            made = await self._make(repository, entries())
            self._made[repository.name] = (state, made)
            return made

        return await self._artifacts.upstream.once(("index", repository.name, state), make)

    async def _make(self, repository: Repository, entries: list[Entry]) -> Suite:
        architectures = {str(entry.details["architecture"]) for entry in entries} - {"all"}
        architectures |= {host_architecture()}
        files: dict[str, bytes] = {}
        for architecture in sorted(architectures):
            packages = _packages(repository, entries, architecture)
            path = f"main/binary-{architecture}/Packages"
            files[path] = packages
            files[f"{path}.gz"] = gzip.compress(packages, _FAST, mtime=0)
        hashes = {path: FileHash(hashlib.sha256(data).hexdigest(), len(data)) for path, data in files.items()}
        fields = {
            "Origin": repository.id,
            "Label": repository.id,
            "Suite": repository.id,
            "Codename": repository.id,
            "Date": date(),
            "Architectures": " ".join(sorted(architectures)),
            "Components": "main",
        }
        signed = await self._signer.sign(Release(fields, hashes).render())
        named = {"InRelease": signed.inline, "Release": signed.release, "Release.gpg": signed.detached}
        return {**files, **named}


def _packages(repository: Repository, entries: list[Entry], architecture: str) -> bytes:
    fitting = [entry for entry in entries if entry.details["architecture"] in (architecture, "all")]
    fitting.sort(key=lambda entry: (entry.package, entry.version))
    return "\n".join(stanza(repository, entry) for entry in fitting).encode()
