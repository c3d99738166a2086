"""What is known of Python distributions besides their bytes: the outer repositories' and upstream's word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final

from packaging.version import Version

from dmz.artifact import Artifact
from dmz.errors import RefusedError, TransferError
from dmz.promotion import licence
from dmz.promotion.entry import Entry
from dmz.promotion.evidence import Evidence, Publisher, Status
from dmz.promotion.publisher import publisher
from dmz.promotion.wording import printable
from dmz.registries import wheels
from dmz.registries.concurrency import together
from dmz.registries.google import Google
from dmz.registries.index import PythonIndex
from dmz.registries.interface import Stored
from dmz.registries.python import PythonRegistry, parse_filename
from dmz.registries.simple import IndexFile, Page
from dmz.registries.upstream import Upstream
from dmz.workflow.claims import Say
from dmz.workflow.kept import Kept

_AT_ONCE: Final = 16
_TELL: Final = 50
"""After how many distributions a line says how far it is."""
"""Why what upstream took away counts as taken back: what a remote repository keeps outlives it."""


@dataclass(frozen=True)
class Offered:
    """One version of a distribution that the outer repository offers."""

    version: str
    files: tuple[IndexFile, ...]
    """Of the outer repository, with upstream's upload times where it tells them."""
    yanked: bool
    """Whether all of them were taken back."""

    @property
    def published(self) -> datetime | None:
        """When the first file was uploaded, UTC; None: not known."""
        return min((file.moment for file in self.files if file.moment), default=None)


class PythonFacts:
    """The facts of Python distributions, each page asked for once."""

    def __init__(
        self,
        google: Google,
        remote: PythonIndex,
        upstream: Upstream,
        registries: tuple[tuple[str, PythonRegistry], tuple[str, PythonRegistry]],
        say: Say,
        archive: Kept | None = None,
    ) -> None:
        """Args:
        remote: the index of the remote repository.
        upstream: the index behind it.
        registries: with their ids, the remote repository and the one for what was built.
        archive: what was ever admitted.
        """
        self._google = google
        self._remote = remote
        self._upstream = upstream
        self._registries = dict(registries)
        self._remote_id, self._built_id = (id for id, _ in registries)
        self._say = say
        self._archive = archive
        self._built: list[Stored] = []
        self._kept: Mapping[Artifact, datetime] = {}

    async def gather(
        self, entries: Sequence[Entry], kept: Mapping[Artifact, datetime] = MappingProxyType({})
    ) -> list[Evidence]:
        """The facts of each entry, in their order.

        Args:
            kept: those that are to be had from the archive alone, with when they came there: they are at
                least so old, where upstream does not say how old.

        Raises:
            RefusedError: repositories and upstream have different bytes, or metadata of something else.
            TransferError: an outer repository did not answer.
        """
        self._built = await self._registries[self._built_id].list()
        self._kept = kept
        done = 0

        async def one(entry: Entry) -> Evidence:
            nonlocal done
            found = await self._of(entry)
            done += 1
            if done % _TELL == 0:
                self._say(f"facts of {done} of {len(entries)} distributions")
            return found

        return await together(map(one, entries), at_once=_AT_ONCE)

    async def offered(self, name: str) -> list[Offered]:
        """The versions that the outer repository offers, oldest first: one page of it and one of upstream."""
        page = await self._upstream.page(name)
        told = {file.filename: file for file in page.files} if page else {}
        versions: dict[str, list[IndexFile]] = {}
        for file in await self._remote.files(name):
            parsed = parse_filename(file.filename)
            if parsed is None:
                continue
            there = told.get(file.filename)
            versions.setdefault(parsed[1], []).append(
                replace(file, uploaded=there.uploaded, yanked=file.yanked or there.yanked) if there else file
            )
        return [
            Offered(version, tuple(files), all(file.yanked for file in files))
            for version, files in sorted(versions.items(), key=lambda item: _version(item[0]))
        ]

    async def vouched(
        self, name: str, filename: str, sha256: str, what: str, *, forgotten: bool = False
    ) -> None:
        """A file that went into a build, as upstream offers it; outer and upstream must agree on its SHA-256.

        Args:
            what: begins the message, such as `foo-1.0-py3-none-any.whl was built from`.
            forgotten: whether a place that says nothing of the file will do.

        Raises:
            RefusedError: one of the two has other bytes, does not have it, or does not say.
        """
        page = await self._upstream.page(name)
        try:
            remote = await self._remote.files(name)
        except TransferError:
            if not forgotten:
                raise
            remote = []
        places = {
            self._remote_id: remote,
            "upstream": page.files if page else (),
        }
        for place, files in places.items():
            found = [file for file in files if file.filename == filename]
            said = found[0].sha256 if found else ""
            if said != sha256 and not (forgotten and not said):
                raise RefusedError(
                    f"{what} {filename} of sha256:{sha256}, and {place} "
                    + (f"has sha256:{said}" if said else "does not say what that file is")
                    + "; find out why before you go on"
                )

    async def _of(self, entry: Entry) -> Evidence:
        artifact = entry.artifact
        upstreams = await self._offering(entry)
        page = await self._upstream.page(artifact.name)
        metadata, file = None, None
        if page is not None:
            file = self._told(entry, page)
            if file and not entry.built:
                metadata = await self._upstream.metadata(file)
        if metadata is None and artifact in self._kept and self._archive:
            url = self._archive.contents.url(artifact.sha256)
            metadata = await wheels.metadata(self._google, url, artifact, basic=False)
        elif metadata is None:
            url = self._registries[artifact.origin].url(artifact)
            metadata = await wheels.metadata(self._google, url, artifact)
        said = licence.read(metadata) if metadata is not None else None
        if said and not said.of(artifact.name, artifact.version):
            raise RefusedError(
                f"{artifact.filename}: its metadata are of '{printable(said.name, 80)} "
                f"{printable(said.version, 80)}', not of what it is called; find out where it is from"
            )
        published = (file.moment if file else None) or entry.uploaded
        evidence = Evidence(
            entry if entry.built else replace(entry, uploaded=published),
            published=published or self._kept.get(artifact),
            licence=said.licence.expression if said else None,
            licence_text=said.licence.text if said else "",
            upstreams=upstreams,
        )
        if page is None:
            return evidence
        return replace(
            evidence,
            status=Status(page.status) if page.status in set(Status) else None,
            yanked=file.reason if file and file.yanked else None,
            deleted=file is None,
            last_upload=max((each.moment for each in page.files if each.moment), default=None),
            publisher=await self._publisher(file) if file else None,
            former_publisher=await self._former(page, artifact.version),
        )

    def _told(self, entry: Entry, page: Page) -> IndexFile | None:
        """What upstream says of an entry's file, or of the sdist that it was built from."""
        artifact, built = entry.artifact, entry.built
        filename, sha256 = (built.sdist, built.sha256) if built else (artifact.filename, artifact.sha256)
        file = next((each for each in page.files if each.filename == filename), None)
        if file is None:
            return None
        if file.sha256 and file.sha256 != sha256:
            raise RefusedError(
                f"{filename}: {self._remote_id} has sha256:{sha256}, its upstream has sha256:{file.sha256} "
                "under this name; find out who changed it before you go on"
            )
        if not built and file.size is not None and file.size != artifact.size:
            raise RefusedError(
                f"{filename}: {self._remote_id} has {artifact.size} bytes, its upstream says {file.size}; "
                "find out why before you go on"
            )
        return file

    async def _offering(self, entry: Entry) -> tuple[str, ...]:
        """The outer repositories that offer this name; a file name may have one content in all of them."""
        artifact = entry.artifact
        try:
            remote = await self._remote.files(artifact.name)
        except TransferError:
            if artifact not in self._kept:
                raise
            remote = []  # whoever does not answer offers nothing
        places = {
            self._remote_id: [(file.filename, file.sha256) for file in remote],
            self._built_id: [
                (file.filename, file.sha256) for file in self._built if file.name == artifact.name
            ],
        }
        for place, files in places.items():
            for filename, sha256 in files:
                if filename == artifact.filename and sha256 and sha256 != artifact.sha256:
                    raise RefusedError(
                        f"{filename}: {artifact.origin} has sha256:{artifact.sha256}, {place} has "
                        f"sha256:{sha256} under the same name; delete the wrong one, then screen again"
                    )
        return tuple(place for place, files in places.items() if files)

    async def _publisher(self, file: IndexFile) -> Publisher | None:
        data = await self._upstream.provenance(file)
        return publisher(data, file.filename, file.sha256) if data is not None else None

    async def _former(self, page: Page, version: str) -> Publisher | None:
        """The publisher of the newest earlier version that has a provenance."""
        earlier: list[tuple[Version, IndexFile]] = []
        for file in page.files:
            parsed = parse_filename(file.filename) if file.provenance else None
            if parsed and _version(parsed[1]) < _version(version):
                earlier.append((_version(parsed[1]), file))
        if not earlier:
            return None
        return await self._publisher(max(earlier, key=lambda each: (each[0], each[1].filename))[1])


def _version(text: str) -> Version:
    try:
        return Version(text)
    except ValueError:  # too many digits raise one of their own
        return Version("0.dev0")
