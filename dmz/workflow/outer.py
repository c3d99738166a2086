"""What the outer repositories and their upstream say of what a machine claims to have installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from dmz.artifact import Artifact, Kind
from dmz.errors import RefusedError
from dmz.promotion.base_image import BaseImage
from dmz.promotion.entry import FILES, Build, Entry
from dmz.promotion.evidence import Evidence
from dmz.promotion.inventory import File, Inventory, Wheel
from dmz.promotion.release import Release
from dmz.registries.bucket import Bucket
from dmz.registries.google import Google, connect
from dmz.registries.index import Found, IndexFile, PythonIndex
from dmz.registries.interface import Registry
from dmz.registries.python import PythonRegistry
from dmz.registries.upstream import Upstream, upstream_of
from dmz.resolution import REQUESTED
from dmz.resolution.metadata import approved_metadata
from dmz.workflow import builds
from dmz.workflow.claims import Say
from dmz.workflow.confirm import Confirmation, Inside
from dmz.workflow.facts import Offered, PythonFacts
from dmz.workflow.kept import Kept
from dmz.workflow.repositories import OuterRepositories

DEPENDENCY: Final = "dependency"
"""The reason of a deb that the workload does not name: apt does not say which package wanted it."""


async def file_entries(bucket: Registry, claimed: Sequence[File]) -> list[Entry]:
    """An entry for each file of an inventory, with the size that the outer bucket's own record has.

    Raises:
        RefusedError: the bucket does not have a file that the machine claims to have put there.
    """
    kept = {(each.filename, each.sha256): each for each in await bucket.list()} if claimed else {}
    entries = []
    for file in claimed:
        stored = kept.get((file.name, file.sha256))
        if stored is None:
            raise RefusedError(
                f"{file.name} (SHA-256 {file.sha256}) is on the outer machine, but the files bucket does not "
                "have it; start the machine again, then run dmz screen"
            )
        name, digest = stored.filename, stored.sha256
        entries.append(
            Entry(Artifact(Kind.FILE, name, "", digest, name, digest, stored.size, FILES, (REQUESTED,)))
        )
    return entries


class Outer(OuterRepositories):
    """What the outer repositories and their upstream say."""

    def __init__(
        self, google: Google, outputs: Mapping[str, Any], image: BaseImage, say: Say = lambda line: None
    ) -> None:
        super().__init__(google, outputs, image)
        self._built = PythonIndex(google, *self.place, self.built_id)
        self._say = say
        self._python: PythonFacts | None = None
        self._kept = Kept.of(google, outputs)
        self.kept: dict[Artifact, datetime] = {}
        """What was to be had from the archive alone, with when it came there."""

    async def collect(self, inventory: Inventory) -> list[Evidence]:
        """An entry for each artifact of an inventory, with the facts about it.

        The inventory says which versions, and nothing else is taken from it. Wheels that the machine built
        are checked and published first.

        Raises:
            RefusedError: an artifact is not offered as the machine claims, or two places disagree about it.
            TransferError: a repository did not answer.
        """
        facts = await self._facts()
        built: dict[str, Build] = {}
        if any(wheel.built for wheel in inventory.pypi):
            self._say("checking what the wheels were built from")
            account = self.outputs["publisherServiceAccount"]
            async with connect(self.place[1], impersonate=account) as publisher:
                built = await builds.publish(
                    publisher,
                    self.outputs["buildsBucket"],
                    (*self.place, self.built_id),
                    facts,
                    inventory.pypi,
                    inventory.base_image.dpkg_digest,
                    self._say,
                )
        self._say("asking the outer repositories for digests and sizes")
        debs = await self.debs(inventory)
        files = await file_entries(self.files, inventory.files)
        wheels = [
            replace(entry, built=built.get(entry.artifact.filename))
            for entry in await self.wheels(inventory.pypi)
        ]
        return await self._evidence([*debs, *files, *wheels])

    async def gather(self, entries: Sequence[Entry], inside: Inside | None = None) -> list[Evidence]:
        """The facts about entries that there are already: of a lock, or of a new resolution.

        Args:
            inside: as `Confirmation.confirm` takes it.

        Raises:
            RefusedError: a repository does not offer an entry any more and nobody keeps it, or it offers
                another file under its name.
            TransferError: a repository did not answer.
        """
        await self._confirm(entries, inside)
        return await self._evidence(entries)

    async def confirm_builds(self, release: Release) -> None:
        """Whether what a lock says of the wheels that were built is true; errors as of `builds.confirm`.

        Upstream may have forgotten what they were built from if these very locks were attested before: then
        it was compared.
        """
        if any(entry.built for entry in release.entries):
            objects = Bucket(self.google, self.outputs["buildsBucket"])
            before = self._kept is not None and await self._kept.had(release.digest)
            await builds.confirm(
                objects, await self._facts(), release.entries, release.dpkg_digest, forgotten=before
            )

    async def offered(self, name: str) -> list[Offered]:
        """The versions of a distribution that the outer repository offers, oldest first, with what upstream
        says of their age and whether they were taken back: a page of each, asked for once."""
        return await (await self._facts()).offered(name)

    async def metadata(self, wheel: Artifact) -> bytes:
        """The core metadata of an approved wheel, read from the repository that serves it, and then kept.

        Raises:
            RefusedError: it has none that can be read, or its bytes are not the approved ones.
        """
        registry = (
            self.built_registry
            if wheel.origin == self.built_id
            else PythonRegistry(self.google, *self.place, wheel.origin)
        )
        return await approved_metadata(self.google, registry.url(wheel), wheel)

    async def stanzas(self, debs: Sequence[Artifact]) -> list[bytes]:
        """What the suites' indexes say of approved debs, a stanza each.

        Raises:
            RefusedError: no suite has that file any more.
        """
        found = []
        for deb in debs:
            for place, text in await self.suites.texts(deb.name):
                if (place.repository, place.stanza.sha256) == (deb.origin, deb.sha256):
                    found.append(text)
                    break
            else:
                raise RefusedError(
                    f"{deb.name} {deb.version}: {deb.origin} does not offer {deb.filename} any more; "
                    "discover and screen anew"
                )
        return found

    async def debs(self, inventory: Inventory) -> list[Entry]:
        """An entry for each deb of the inventory, from the suites' indexes."""
        found = await self.suites.find({(deb.name, deb.version, deb.architecture) for deb in inventory.apt})
        entries = []
        for deb in inventory.apt:
            place = found.get((deb.name, deb.version, deb.architecture))
            if place is None:
                raise RefusedError(
                    f"{deb.name} {deb.version} is on the outer machine, but none of its suites has that "
                    "version now; start the machine again to install what they have, then run dmz screen"
                )
            entries.append(deb_entry(place, REQUESTED if deb.requested else DEPENDENCY))
        return entries

    async def wheels(self, claimed: Sequence[Wheel]) -> list[Entry]:
        """An entry for each wheel of the inventory, from the repository that has it."""
        by_origin: dict[bool, dict[str, IndexFile]] = {}
        for built, index in ((False, self.remote), (True, self._built)):
            wanted = [(wheel.name, wheel.filename) for wheel in claimed if wheel.built is built]
            by_origin[built] = await index.describe(wanted) if wanted else {}
        entries = []
        for wheel in claimed:
            origin = self.built_id if wheel.built else self.remote_id
            described = by_origin[wheel.built].get(wheel.filename)
            if described is None:
                raise RefusedError(
                    f"{wheel.filename} is on the outer machine, but {origin} does not offer it; "
                    "start the machine again, then run dmz screen"
                )
            if wheel.sha256 and wheel.sha256 != described.sha256:
                raise RefusedError(
                    f"{wheel.filename}: the outer machine installed sha256:{wheel.sha256}, {origin} has "
                    f"sha256:{described.sha256}; find out who changed it before you go on"
                )
            why = (*((REQUESTED,) if wheel.requested else ()), *wheel.required_by) or (DEPENDENCY,)
            entries.append(Entry(_wheel(wheel.name, wheel.version, described, origin, why)))
        return entries

    async def _facts(self) -> PythonFacts:
        if self._python is None:
            remote = PythonRegistry(self.google, *self.place, self.remote_id)
            upstream = await upstream_of(self.google, *self.place, self.remote_id)
            self._python = PythonFacts(
                self.google,
                self.remote,
                Upstream(self.google.client, upstream),
                ((self.remote_id, remote), (self.built_id, self.built_registry)),
                self._say,
                self._kept,
            )
        return self._python

    async def _evidence(self, entries: Sequence[Entry]) -> list[Evidence]:
        """The facts of confirmed entries, in their order."""
        python = [entry for entry in entries if entry.artifact.kind is Kind.PYPI]
        found: dict[str, Evidence] = {}
        if python:
            self._say(f"asking the upstream about {len(python)} distributions")
            for evidence in await (await self._facts()).gather(python, self.kept):
                found[evidence.entry.artifact.key] = evidence
        return [found.get(entry.artifact.key) or await self._other(entry) for entry in entries]

    async def _other(self, entry: Entry) -> Evidence:
        """A deb or a file. When a version entered its suite, no mirror says; of a file, nobody tells more."""
        artifact = entry.artifact
        if artifact.kind is Kind.FILE or artifact in self.kept:
            return Evidence(entry, upstreams=(artifact.origin,))
        places = [place.repository for place in await self.suites.named(artifact.name)]
        return Evidence(entry, upstreams=tuple(dict.fromkeys(places)))

    async def _confirm(self, entries: Sequence[Entry], inside: Inside | None = None) -> None:
        """Whether the repositories offer these entries, as the entries say, or the archive keeps them."""
        python = {self.remote_id: self.remote, self.built_id: self._built}
        found = Confirmation(python, self.built_id, self.suites, self.files, self._kept)
        self.kept |= await found.confirm(entries, inside)
        if self.kept:
            self._say(f"{len(self.kept)} files are kept in the archive, and nowhere else outside")


def deb_entry(place: Found, why: str) -> Entry:
    """The entry of a deb, as the suite's index describes it."""
    stanza = place.stanza
    artifact = Artifact(
        Kind.APT,
        stanza.package,
        stanza.architecture,
        stanza.version,
        stanza.filename,
        stanza.sha256,
        stanza.size,
        place.repository,
        (why,),
    )
    return Entry(artifact, source=stanza.source, source_version=stanza.source_version)


def _wheel(name: str, version: str, described: IndexFile, origin: str, why: tuple[str, ...]) -> Artifact:
    return Artifact(
        Kind.PYPI, name, "", version, described.filename, described.sha256, described.size or 0, origin, why
    )
