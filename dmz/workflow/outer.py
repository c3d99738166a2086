"""What the outer repositories and their upstream say of what a machine claims to have installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from dmz.artifact import Artifact, Kind
from dmz.errors import RefusedError
from dmz.promotion.base_image import BaseImage
from dmz.promotion.entry import FILES, Entry
from dmz.promotion.inventory import File, Inventory, Wheel
from dmz.promotion.workload import Workload
from dmz.registries.bucket import BucketRegistry
from dmz.registries.google import Google
from dmz.registries.index import IndexFile, PythonIndex
from dmz.registries.interface import Registry
from dmz.registries.python import PythonRegistry
from dmz.registries.upstream import upload_times, upstream_of
from dmz.resolution import REQUESTED, resolve
from dmz.workflow.holdings import outer_suites

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


class Outer:
    """What the outer repositories and their upstream say."""

    def __init__(self, google: Google, outputs: Mapping[str, Any], image: BaseImage) -> None:
        project, location = outputs["project"], outputs["location"]
        self.google = google
        self.image = image
        self.remote = PythonIndex(google, project, location, outputs["pythonRepository"])
        self.remote_id: str = outputs["pythonRepository"]
        self._built_id: str = outputs["pythonBuiltRepository"]
        self._built = PythonIndex(google, project, location, self._built_id)
        self.built_registry = PythonRegistry(google, project, location, self._built_id)
        self.files = BucketRegistry(google, outputs["filesBucket"])
        self._place = (project, location)
        self._suites = outer_suites(google, outputs, image)

    async def debs(self, inventory: Inventory) -> list[Entry]:
        """An entry for each deb of the inventory, from the suites' indexes."""
        found = await self._suites.find({(deb.name, deb.version, deb.architecture) for deb in inventory.apt})
        entries = []
        for deb in inventory.apt:
            place = found.get((deb.name, deb.version, deb.architecture))
            if place is None:
                raise RefusedError(
                    f"{deb.name} {deb.version} is on the outer machine, but none of its suites has that "
                    "version now; start the machine again to install what they have, then run dmz screen"
                )
            stanza = place.stanza
            entries.append(
                Entry(
                    Artifact(
                        Kind.APT,
                        stanza.package,
                        stanza.architecture,
                        stanza.version,
                        stanza.filename,
                        stanza.sha256,
                        stanza.size,
                        place.repository,
                        (REQUESTED if deb.requested else DEPENDENCY,),
                    ),
                    source=stanza.source,
                    source_version=stanza.source_version,
                )
            )
        return entries

    async def wheels(self, claimed: Sequence[Wheel]) -> list[Entry]:
        """An entry for each wheel of the inventory, from the repository that has it."""
        by_origin: dict[bool, dict[str, IndexFile]] = {}
        for built, index in ((False, self.remote), (True, self._built)):
            wanted = [(wheel.name, wheel.filename) for wheel in claimed if wheel.built is built]
            by_origin[built] = await index.describe(wanted) if wanted else {}
        entries = []
        for wheel in claimed:
            origin = self._built_id if wheel.built else self.remote_id
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

    async def resolved(
        self, workload: Workload, entries: Sequence[Entry], exclude: Sequence[str]
    ) -> list[Entry]:
        """A new resolution that stays with what it can of these entries."""
        artifacts = await resolve(
            self.google,
            self.remote,
            self.remote_id,
            self.image,
            workload.python,
            overrides=workload.python_overrides,
            exclude=exclude,
            keep={entry.artifact.name: entry.artifact.version for entry in entries},
            built=[entry.artifact for entry in entries if entry.artifact.origin == self._built_id],
            built_from=self.built_registry,
        )
        return [Entry(artifact) for artifact in artifacts]

    async def dated(self, entries: Sequence[Entry]) -> list[Entry]:
        """The same entries with the upstream's upload times, as far as it tells."""
        remote = [entry for entry in entries if entry.artifact.origin == self.remote_id]
        if not remote:
            return list(entries)
        upstream = await upstream_of(self.google, *self._place, self.remote_id)
        times = await upload_times(upstream, {entry.artifact.name for entry in remote})
        known: Mapping[str, datetime] = times
        return [
            replace(entry, uploaded=known.get(entry.artifact.filename))
            if entry.artifact.origin == self.remote_id
            else entry
            for entry in entries
        ]


def _wheel(name: str, version: str, described: IndexFile, origin: str, why: tuple[str, ...]) -> Artifact:
    return Artifact(
        Kind.PYPI, name, "", version, described.filename, described.sha256, described.size or 0, origin, why
    )
