"""The indexes of apt repositories under `/projects/`: made from what is held, signed by the sandbox's key."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox.cloud.artifact_registry.apt_remote import AptRemote, host_architecture
from sandbox.cloud.artifact_registry.artifacts import Artifacts
from sandbox.cloud.artifact_registry.catalog import Entry
from sandbox.cloud.artifact_registry.deb import stanza
from sandbox.cloud.artifact_registry.release import FileHash, Release, date
from sandbox.cloud.artifact_registry.repository import Repository
from sandbox.cloud.artifact_registry.signing import Signed, Signer
from sandbox.cloud.storage.blobs import CHUNK

_FAST: Final = 1
"""Compression level: the index goes over a local connection, where time counts more than size."""


@dataclass(frozen=True)
class SignedIndex:
    """A suite that is ready to be served."""

    signed: Signed
    files: Mapping[str, bytes | Path]
    """By path from the suite's folder: the bytes, or where they lie."""


class AptIndex:
    """The signed indexes of all apt repositories of a cloud; made anew only when contents changed."""

    def __init__(self, artifacts: Artifacts, remote: AptRemote, signer: Signer) -> None:
        self._artifacts = artifacts
        self._remote = remote
        self._signer = signer
        self._made: dict[str, tuple[object, SignedIndex]] = {}

    async def index(self, repository: Repository) -> SignedIndex:
        """The repository's current index.

        Raises:
            ApiError: gpg fails, or for a remote its upstream does.
        """
        if repository.remote:
            suite = await self._remote.suite(repository)
            state: object = ("remote", suite.digest)
        else:
            state = ("standard", repository.epoch, self._artifacts.catalog.revision(repository))
        known = self._made.get(repository.name)
        if known is not None and known[0] == state:
            return known[1]

        async def make() -> SignedIndex:
            made = await (self._passed_on(repository) if repository.remote else self._own(repository))
            self._made[repository.name] = (state, made)
            return made

        return await self._artifacts.upstream.once(("index", repository.name, state), make)

    async def _own(self, repository: Repository) -> SignedIndex:
        entries = self._artifacts.catalog.files(repository)
        architectures = {str(entry.details["architecture"]) for entry in entries} - {"all"}
        architectures |= {host_architecture()}
        files: dict[str, bytes | Path] = {}
        for architecture in sorted(architectures):
            packages = _packages(entries, architecture)
            path = f"main/binary-{architecture}/Packages"
            files[path] = packages
            files[f"{path}.gz"] = gzip.compress(packages, _FAST, mtime=0)
        hashes = {
            path: FileHash(hashlib.sha256(data).hexdigest(), len(data))
            for path, data in files.items()
            if isinstance(data, bytes)
        }
        fields = _fields(repository, sorted(architectures))
        return SignedIndex(await self._signer.sign(Release(fields, hashes).render()), files)

    async def _passed_on(self, repository: Repository) -> SignedIndex:
        """Upstream's `Packages` with the pool paths of this repository, for this machine's architecture.

        A `Release` names the hash of every index it offers, so offering all of upstream's would mean to fetch
        ten architectures of which one is used.
        """
        suite = await self._remote.suite(repository)
        architecture = host_architecture()
        sha256, packages = await self._remote.packages(suite, "main", architecture)
        folder = self._artifacts.cloud.cache / "apt-rewritten" / f"{sha256}-{repository.id}"
        made = await asyncio.to_thread(_rewritten, packages, folder, repository.id)
        path = f"main/binary-{architecture}/Packages"
        fields = _fields(repository, [architecture])
        for name in ("Date", "Valid-Until"):
            if name in suite.release.fields:
                fields[name] = suite.release.fields[name]
        hashes = {f"{path}{suffix}": found for suffix, found in made.items()}
        files = {f"{path}{suffix}": folder / f"Packages{suffix}" for suffix in made}
        return SignedIndex(await self._signer.sign(Release(fields, hashes).render()), dict(files))


def _fields(repository: Repository, architectures: list[str]) -> dict[str, str]:
    return {
        "Origin": repository.id,
        "Label": repository.id,
        "Suite": repository.id,
        "Codename": repository.id,
        "Date": date(),
        "Architectures": " ".join(architectures),
        "Components": "main",
    }


def _packages(entries: list[Entry], architecture: str) -> bytes:
    fitting = [entry for entry in entries if entry.details["architecture"] in (architecture, "all")]
    fitting.sort(key=lambda entry: (entry.package, entry.version))
    return "\n".join(stanza(entry) for entry in fitting).encode()


def _rewritten(packages: Path, folder: Path, repository: str) -> dict[str, FileHash]:
    """Write `Packages` and `Packages.gz` with pool paths rewritten, a piece at a time; kept once made."""
    record = folder / "hashes.json"
    if record.exists():
        saved = json.loads(record.read_bytes())
        if all((folder / f"Packages{suffix}").exists() for suffix in saved):
            return {suffix: FileHash(*found) for suffix, found in saved.items()}
    folder.mkdir(parents=True, exist_ok=True)
    own = f"\nFilename: pool/{repository}/".encode()
    plain, packed = _Sink(folder / "Packages"), _Sink(folder / "Packages.gz")
    deflate = zlib.compressobj(_FAST, wbits=31)
    with packages.open("rb") as source:
        while data := source.read(4 * CHUNK):
            data += source.readline()  # so that no field is cut in two
            text = (b"\n" + data).replace(b"\nFilename: ./", b"\nFilename: ")
            text = text.replace(b"\nFilename: ", own).replace(own + b"pool/", own)[1:]
            plain.write(text)
            packed.write(deflate.compress(text))
    packed.write(deflate.flush())
    made = {"": plain.finish(), ".gz": packed.finish()}
    fresh = folder / "hashes.json.new"
    fresh.write_text(json.dumps({suffix: [found.sha256, found.size] for suffix, found in made.items()}))
    fresh.replace(record)
    return made


class _Sink:
    """A file that is hashed while it is written, and in its place only when it is finished."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fresh = path.with_name(path.name + ".new")
        self._file = self._fresh.open("wb")
        self._sha256 = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._sha256.update(data)

    def finish(self) -> FileHash:
        size = self._file.tell()
        self._file.close()
        self._fresh.replace(self._path)
        return FileHash(self._sha256.hexdigest(), size)
