"""Apt remote repositories: suites fetched through from an archive, checked under its signature, and kept."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import lzma
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sandbox.cloud.artifact_registry.apt_upstream import SuiteUpstream, locate
from sandbox.cloud.artifact_registry.artifacts import Artifacts
from sandbox.cloud.artifact_registry.catalog import Entry
from sandbox.cloud.artifact_registry.deb import host_architecture
from sandbox.cloud.artifact_registry.release import Release, verify
from sandbox.cloud.artifact_registry.repository import Repository
from sandbox.cloud.artifact_registry.upstream import UpstreamError
from sandbox.cloud.errors import not_found
from sandbox.cloud.options import Options
from sandbox.cloud.storage.blobs import CHUNK
from sandbox.cloud.storage.objects import timestamp

_INRELEASE_LIMIT: Final = 16 << 20
"""Bytes of an `InRelease`, at most; Debian's have some 150 kB."""
_WINDOW: Final = 1 << 18
"""Bytes around a stanza's `Filename` that are searched for its beginning and end."""
_DEB: Final = re.compile(r"(?P<name>[^/_]+)_(?P<version>[^/_]+)_(?P<architecture>[^/_]+)\.deb")


@dataclass(frozen=True)
class Suite:
    """A suite as upstream signed it last."""

    upstream: SuiteUpstream
    inrelease: bytes
    release: Release
    validators: dict[str, str]
    """Headers that ask upstream whether it has changed since."""
    checked: float
    """When upstream was asked last; seconds since the epoch."""

    @property
    def digest(self) -> str:
        """SHA-256 of the signed index: names the suite's state."""
        return hashlib.sha256(self.inrelease).hexdigest()


class PackagesIndex:
    """Finds the stanza of a pool file in a `Packages` file without reading it as a whole each time."""

    def __init__(self, path: Path) -> None:
        """One pass over the file; keeps the places of the file names only."""
        self._path = path
        data = b"\n" + path.read_bytes()
        self._places = {found[1]: found.start() for found in re.finditer(rb"\nFilename: ([^\n]+)", data)}

    def stanza(self, filename: str) -> dict[str, str] | None:
        """The one-line fields of the stanza with that `Filename`."""
        place = self._places.get(filename.encode())
        if place is None:
            return None
        with self._path.open("rb") as file:
            start = max(0, place - _WINDOW)
            file.seek(start)
            window = file.read(place - start + _WINDOW)
        begin = window.rfind(b"\n\n", 0, place - start) + 1
        end = window.find(b"\n\n", place - start)
        text = window[begin : end if end >= 0 else len(window)].decode()
        pairs = (line.partition(": ") for line in text.splitlines() if line[:1].strip())
        return {name: value.strip() for name, _, value in pairs}


class AptRemote:
    """The upstream side of all apt remote repositories of a cloud."""

    def __init__(self, artifacts: Artifacts, options: Options) -> None:
        self._artifacts = artifacts
        self._options = options
        self._suites: dict[str, Suite] = {}
        self._located: dict[str, SuiteUpstream] = {}
        self._indexes: dict[Path, PackagesIndex] = {}

    async def suite(self, repository: Repository) -> Suite:
        """The repository's suite, not older than the options allow, with its signature verified.

        Raises:
            ApiError: upstream can't be reached and nothing is kept, or its signature does not verify.
        """
        upstream = await self._locate(repository)
        suite = self._suites.get(upstream.url)
        if suite is not None and suite.upstream == upstream and self._fresh(suite):
            return suite
        return await self._artifacts.upstream.once(("suite", upstream.url), lambda: self._refresh(upstream))

    async def index(self, suite: Suite, path: str) -> Path:
        """A file that the suite's `Release` lists, by its path from the suite's folder (also `by-hash`).

        Raises:
            ApiError: it lists none of that path, or upstream sends other bytes.
        """
        listed = suite.release.files.get(path)
        folder, by_hash, digest = path.rpartition("/by-hash/SHA256/")
        if listed is None and by_hash:
            inside = (found for name, found in suite.release.files.items() if name.startswith(f"{folder}/"))
            listed = next((found for found in inside if found.sha256 == digest), None)
        if listed is None:
            raise not_found(f"Suite {suite.upstream.suite} has no {path}")
        blobs = self._artifacts.catalog.fetched
        if not blobs.has(listed.sha256):
            url = f"{suite.upstream.url}/{quote(self._by_hash(suite, path, listed.sha256))}"
            try:
                await self._artifacts.upstream.file(url, listed.sha256, listed.size)
            except UpstreamError as error:
                if error.upstream_status == 404:
                    raise not_found(f"Suite {suite.upstream.suite} has no {path} upstream") from error
                raise
        return blobs.path(listed.sha256)

    async def deb(self, repository: Repository, path: str) -> Entry:
        """A package, fetched first unless it is kept; `path` is that from the archive's root (`pool/…`).

        Raises:
            ApiError: the suite has no such file (404), or upstream sends other bytes than it lists (502).
        """
        catalog = self._artifacts.catalog
        file_id = f"pool/{repository.id}/{path.removeprefix('pool/')}"
        entry = catalog.get(repository, file_id)
        if entry is not None and catalog.path(entry).exists():
            return entry
        suite = await self.suite(repository)
        filename, stanza = await self._stanza(suite, path)
        url = f"{suite.upstream.archive.uri}/{quote(filename, safe='/+~:')}"
        digests = await self._artifacts.upstream.file(url, stanza["SHA256"], int(stanza["Size"]))
        details = {"architecture": stanza["Architecture"]}
        fresh = Entry(file_id, stanza["Package"], stanza["Version"], digests, details, fetched=timestamp())
        return catalog.keep(repository, fresh)

    async def _locate(self, repository: Repository) -> SuiteUpstream:
        key = json.dumps(repository.remote_config, sort_keys=True)
        if key not in self._located:
            self._located[key] = await asyncio.to_thread(locate, repository)
        return self._located[key]

    def _fresh(self, suite: Suite) -> bool:
        return 0 <= time.time() - suite.checked < self._options.apt_index_seconds

    async def _refresh(self, upstream: SuiteUpstream) -> Suite:
        key = hashlib.sha256(upstream.url.encode()).hexdigest()[:16]
        folder = self._artifacts.cloud.cache / "apt-suites" / key
        known = self._suites.get(upstream.url) or await self._load(upstream, folder)
        if known is not None and known.upstream != upstream:
            known = None  # other keys: what is kept has to be verified anew
        if known is not None and self._fresh(known):
            self._suites[upstream.url] = known
            return known
        url = f"{upstream.url}/InRelease"
        headers = {} if known is None else known.validators
        try:
            page = await self._artifacts.upstream.page(url, headers, _INRELEASE_LIMIT)
        except UpstreamError as error:
            if known is None or error.upstream_status is not None:
                raise
            return known  # what is kept outlives an upstream that can't be reached
        if page.body is None and known is not None:
            suite = replace(known, checked=time.time())
        else:
            body = page.body or b""
            text = await asyncio.to_thread(verify, body, upstream.archive.keyring, f"suite {upstream.suite}")
            names = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}
            validators = {names[name]: page.headers[name] for name in names if name in page.headers}
            suite = Suite(upstream, body, Release.parse(text), validators, time.time())
        _save(suite, folder)
        self._suites[upstream.url] = suite
        return suite

    async def _load(self, upstream: SuiteUpstream, folder: Path) -> Suite | None:
        """What an earlier run kept, verified again."""
        try:
            state = json.loads((folder / "state.json").read_bytes())
            body = (folder / "InRelease").read_bytes()
            text = await asyncio.to_thread(verify, body, upstream.archive.keyring, f"suite {upstream.suite}")
        except (OSError, ValueError, UpstreamError):
            return None
        if state["sha256"] != hashlib.sha256(body).hexdigest():
            return None
        return Suite(upstream, body, Release.parse(text), state["validators"], state["checked"])

    async def _packages(self, suite: Suite, component: str, architecture: str) -> Path:
        """A `Packages` file, unpacked; its name is its SHA-256."""
        path = f"{component}/binary-{architecture}/Packages"
        return await self._artifacts.upstream.once(
            ("packages", suite.digest, path), lambda: self._unpacked(suite, path)
        )

    async def _unpacked(self, suite: Suite, path: str) -> Path:
        listed = suite.release.files.get(path)
        blobs = self._artifacts.catalog.fetched
        if listed is not None and blobs.has(listed.sha256):
            return blobs.path(listed.sha256)
        for suffix, unpack in ((".xz", lzma.open), (".gz", gzip.open)):
            if path + suffix not in suite.release.files:
                continue
            packed = await self.index(suite, path + suffix)
            with unpack(packed, "rb") as file, blobs.writer() as writer:
                while data := await asyncio.to_thread(file.read, CHUNK):
                    await writer.write(data)
                    if listed is not None and writer.size > listed.size:
                        break
                found = await writer.digests()
                if listed is not None and found.sha256 != listed.sha256:
                    raise UpstreamError(f"{path}{suffix} does not unpack to what the suite's Release says")
                await writer.publish()
            return blobs.path(found.sha256)
        return await self.index(suite, path)

    async def _stanza(self, suite: Suite, path: str) -> tuple[str, dict[str, str]]:
        """The file name as upstream writes it, and the stanza with it."""
        deb = _DEB.fullmatch(path.rpartition("/")[2])
        if deb is None:
            raise not_found(f"{path} is no binary package")
        components = suite.release.fields.get("Components", "main").split()
        named = [name for name in components if f"/{name.rpartition('/')[2]}/" in f"/{path}"] or ["main"]
        architecture = deb["architecture"] if deb["architecture"] != "all" else host_architecture()
        for component in named:
            packages = await self._packages(suite, component.rpartition("/")[2], architecture)
            index = await self._places(packages)
            for filename in (path, f"./{path}"):
                stanza = index.stanza(filename)
                if stanza is not None:
                    return filename, stanza
        raise not_found(f"Suite {suite.upstream.suite} has no {path}")

    async def _places(self, packages: Path) -> PackagesIndex:
        if packages not in self._indexes:
            self._indexes[packages] = await self._artifacts.upstream.once(
                ("places", packages), lambda: asyncio.to_thread(PackagesIndex, packages)
            )
        return self._indexes[packages]

    def _by_hash(self, suite: Suite, path: str, sha256: str) -> str:
        """The path under which bytes don't change while upstream is being updated, where there is one."""
        if suite.release.fields.get("Acquire-By-Hash") != "yes" or "/by-hash/" in path:
            return path
        return f"{path.rpartition('/')[0]}/by-hash/SHA256/{sha256}"


def _save(suite: Suite, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    state = {"sha256": suite.digest, "validators": suite.validators, "checked": suite.checked}
    for name, data in (("InRelease", suite.inrelease), ("state.json", json.dumps(state).encode())):
        fresh = folder / f"{name}.new"
        fresh.write_bytes(data)
        fresh.replace(folder / name)
