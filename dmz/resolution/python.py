"""Resolving a workload's Python requirements against the outer repository, for the base image.

Wheels only: resolving builds nothing. A wheel that was built from a source distribution stands in the index
beside those of the remote repository.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import aiohttp
from packaging.tags import Tag
from packaging.version import Version

from dmz.artifact import Artifact
from dmz.errors import TransferError
from dmz.promotion.base_image import BaseImage
from dmz.registries.concurrency import together
from dmz.registries.google import Google
from dmz.registries.index import PythonIndex
from dmz.registries.interface import Registry
from dmz.registries.python import parse_filename
from dmz.registries.simple import IndexFile, parse_simple
from dmz.resolution.metadata import CoreMetadata, inside, requires
from dmz.resolution.reads import AT_ONCE, Reads
from dmz.resolution.shelf import page_of
from dmz.resolution.upstream import UpstreamFiles
from dmz.resolution.uv import Pin, UnsatisfiableError, Uv
from dmz.resolution.wheels import choose_wheel, files_of, for_python, supported_tags, without_foreign
from dmz.threads import in_thread

_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=30)


@dataclass(frozen=True)
class Built:
    """A wheel that no index offers."""

    artifact: Artifact
    metadata: bytes

    @cached_property
    def file(self) -> IndexFile:
        """As an index would list it."""
        return IndexFile(self.artifact.filename, self.artifact.sha256, self.artifact.size, None, False)


class OuterShelf:
    """What the outer project offers: its remote repository's wheels, and those that were built."""

    def __init__(
        self,
        index: PythonIndex,
        reads: Reads,
        metadata: CoreMetadata,
        image: BaseImage,
        built: Sequence[Built] = (),
    ) -> None:
        self._index = index
        self._reads = reads
        self._image = image
        self._metadata = metadata
        self._built = built
        self._pages: dict[str, tuple[str, str]] = {}
        self._reading = asyncio.Semaphore(AT_ONCE)

    async def page(self, name: str) -> tuple[str, str]:
        """As the remote repository has it, with the built wheels added."""
        own = [each.file for each in self._built if each.artifact.name == name]
        content_type, text = await self.text(name)
        if not own:
            return content_type, text
        return page_of([*(parse_simple(content_type, text) if text else []), *own])

    async def text(self, name: str) -> tuple[str, str]:
        """The remote repository's page, without what could not be taken anyway."""
        if name not in self._pages:
            async with self._reading:
                content_type, text = await self._index.text(name, self._reads.page)
            if "html" in content_type:
                text = without_foreign(text, self._image)
            self._pages[name] = content_type, text
        return self._pages[name]

    async def metadata(self, name: str, filename: str) -> bytes | None:
        """Of one wheel that a page offers."""
        for each in self._built:
            if each.artifact.filename == filename:
                return each.metadata
        file = await self.file(name, filename)
        return await self._metadata.of(name, file) if file else None

    async def file(self, name: str, filename: str) -> IndexFile | None:
        """What the remote repository's page says of a file."""
        content_type, text = await self.text(name)
        version = filename.split("-")[1] if filename.count("-") > 1 else ""
        # An address may spell the name in another way, as %2B for the plus of a local version.
        for file in files_of(content_type, text, filename if filename in text else version):
            if file.filename == filename:
                return file
        return None


class PythonResolution:
    """A session of resolutions against the outer project."""

    def __init__(
        self, uv: Uv, shelf: OuterShelf, index: PythonIndex, image: BaseImage, built: Sequence[Built]
    ) -> None:
        self._uv = uv
        self._shelf = shelf
        self._index = index
        self._image = image
        self._built = {(each.artifact.name, Version(each.artifact.version)): each.artifact for each in built}

    @cached_property
    def _tags(self) -> dict[Tag, int]:
        return supported_tags(self._image)

    async def pins(
        self,
        requirements: Sequence[str],
        *,
        constraints: Sequence[str] = (),
        overrides: Sequence[str] = (),
        keep: Mapping[str, str] | None = None,
    ) -> list[Pin]:
        """One version of each distribution; see `Uv.compile`."""
        return await self._uv.compile(requirements, constraints=constraints, overrides=overrides, keep=keep)

    def built(self, pin: Pin) -> Artifact | None:
        """The built wheel of this version, if there is one."""
        return self._built.get((pin.name, Version(pin.version)))

    async def wheels(self, pins: Sequence[Pin]) -> list[IndexFile]:
        """The remote repository's wheel of each pin, as the machine's installer would choose it.

        Raises:
            UnsatisfiableError: a version has no wheel for the image.
        """
        texts = await together((self._shelf.text(pin.name) for pin in pins), at_once=AT_ONCE)
        found = []
        for pin, (content_type, text) in zip(pins, texts, strict=True):
            file = choose_wheel(files_of(content_type, text, pin.version), pin.version, self._tags)
            if file is None:  # the file's name may spell the version in another way
                file = choose_wheel(await self._index.files(pin.name), pin.version, self._tags)
            if file is None:
                raise UnsatisfiableError(
                    f"{pin.name} {pin.version}: the outer repository has no wheel for {self._image.runtime}; "
                    "choose another version in the workload"
                )
            found.append(file)
        return found

    async def newer_sdists(self, pins: Sequence[Pin]) -> list[tuple[str, str]]:
        """The distributions of which the last file on their page is an sdist of a newer version, with that.

        Indexes list files in the order of their upload, so that this is where a newest version without wheels
        stands; where one does not, it may go unsaid.
        """
        found = []
        for pin in pins:
            _, text = await self._shelf.text(pin.name)
            last = text[text.rfind("<a ") :] if "<a " in text else ""
            files = parse_simple("text/html", last)
            parsed = parse_filename(files[0].filename) if files else None
            if not parsed or files[0].filename.endswith(".whl") or files[0].yanked:
                continue
            if for_python(last, self._image.python):
                version = Version(parsed[1])
                if version > Version(pin.version) and not version.is_prerelease:
                    wheels = files_of("text/html", text, parsed[1])
                    if choose_wheel(wheels, parsed[1], self._tags) is None:
                        found.append((pin.name, parsed[1]))
        return found

    async def versions(self, name: str) -> list[str]:
        """All versions that are offered, oldest first, those taken back left out."""
        return await self._index.versions(name)

    async def requires(self, pin: Pin) -> list[str]:
        """What a distribution says it needs, as its metadata have it."""
        built = self.built(pin)
        filename = built.filename if built else (await self.wheels([pin]))[0].filename
        data = await self._shelf.metadata(pin.name, filename)
        return requires(data or b"")


@asynccontextmanager
async def resolution(
    google: Google,
    index: PythonIndex,
    image: BaseImage,
    *,
    upstream: Callable[[], Awaitable[str]] | None = None,
    built: Sequence[Artifact] = (),
    built_from: Registry | None = None,
    cache: Path | None = None,
    once: bool = False,
) -> AsyncIterator[PythonResolution]:
    """A session against the outer repository.

    Args:
        index: the outer repository to resolve against.
        upstream: says which simple index is behind it, which gives parts of its files; None: not asked.
        built: wheels that were built from source distributions.
        built_from: where to read them.
        cache: folder for metadata that were read; None for the user's.
        once: there will be a single resolution, for which the resolver need not write its cache.
    """
    async with (
        Reads.of(google) as reads,
        aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=True) as client,
    ):
        behind = UpstreamFiles(client, upstream) if upstream else None
        known = CoreMetadata(google, index, reads, behind, cache)
        own = await together(_read(built_from, each) for each in built)
        shelf = OuterShelf(index, reads, known, image, own)
        try:
            async with Uv.session(shelf, image, once=once) as uv:
                yield PythonResolution(uv, shelf, index, image, own)
        finally:
            await in_thread(known.keep)


async def _read(registry: Registry | None, wheel: Artifact) -> Built:
    """A built wheel's metadata, from bytes that are the ones it is known by."""
    if registry is None:
        raise ValueError("built wheels need the registry that has them")
    async with registry.open(wheel) as chunks:
        body = await in_thread(lambda: b"".join(chunks))
    digest = hashlib.sha256(body).hexdigest()
    if digest != wheel.sha256:
        raise TransferError(
            f"{wheel.origin}/{wheel.filename}: sha256:{digest} where sha256:{wheel.sha256} was "
            "expected; find out why it changed"
        )
    return Built(wheel, inside(body, wheel.filename))
