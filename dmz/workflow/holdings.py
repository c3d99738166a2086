"""What each place holds of a release: the outer repositories, the inner ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dmz.artifact import Artifact, Kind
from dmz.errors import TransferError
from dmz.promotion.base_image import BaseImage
from dmz.promotion.verification import Held
from dmz.registries.apt import AptRegistry
from dmz.registries.archive import BucketArchive
from dmz.registries.concurrency import together
from dmz.registries.files import BucketRegistry
from dmz.registries.google import Google
from dmz.registries.index import AptSuites, Found, IndexFile, PythonIndex
from dmz.registries.interface import Registry, Stored
from dmz.registries.python import PythonRegistry
from dmz.workflow.kept import Kept
from dmz.workflow.repositories import outer_suites


async def held_inside(google: Google, outputs: Mapping[str, Any], archive: str | None = None) -> list[Stored]:
    """Everything that the inner repositories hold, from their own record.

    Args:
        outputs: the inner stack's.
        archive: outer's bucket, which vouches for workload files' bytes; None: their names are believed.
    """
    vouches = BucketArchive(google, archive) if archive else None
    project, location = outputs["project"], outputs["location"]
    registries: list[Registry] = [
        PythonRegistry(google, project, location, outputs["pythonRepository"]),
        AptRegistry(google, project, location, outputs["aptRepository"]),
        BucketRegistry(google, outputs["releaseBucket"], archive=vouches),
    ]
    lists = await together(registry.list() for registry in registries)
    return sorted(stored for found in lists for stored in found)


@dataclass(frozen=True)
class Outside:
    """What of a release outer has."""

    held: list[Held]
    """With the bytes that it has, also those of the archive."""
    archived: int
    """How many of them only the archive has."""


async def held_outside(
    google: Google, outputs: Mapping[str, Any], image: BaseImage, artifacts: Sequence[Artifact]
) -> Outside:
    """Which of these artifacts outer has today: its repositories offer them, or its archive keeps them."""
    asked = Asked()
    found = await _offered(google, outputs, image, artifacts, asked)
    slots = {held.slot for held in found}
    gone = [artifact for artifact in artifacts if Held.of(artifact).slot not in slots]
    archive = Kept.of(google, outputs)
    kept = await archive.find(gone) if archive and gone else {}
    if asked.silent is not None and len(kept) < len(gone):
        raise asked.silent
    return Outside(sorted({*found, *map(Held.of, kept)}), len(kept))


@dataclass
class Asked:
    """What repositories offer, by those that answer at all: the archive may stand in for the others."""

    silent: TransferError | None = None
    """What the first one that did not answer said, if there was one."""

    async def wheels(self, index: PythonIndex, wheels: Sequence[Artifact]) -> dict[str, IndexFile]:
        """Files that a Python repository offers, by name.

        Raises:
            TransferError: it answers, and contradicts itself.
        """

        async def answers(name: str) -> bool:
            try:
                await index.files(name)
            except TransferError as error:
                self.silent = self.silent or error
                return False
            return True

        names = sorted({each.name for each in wheels})
        answered = dict(zip(names, await together(map(answers, names)), strict=True))
        wanted = [(each.name, each.filename) for each in wheels if answered[each.name]]
        return await index.describe(wanted) if wanted else {}

    async def debs(self, suites: AptSuites, debs: Sequence[Artifact]) -> dict[Artifact, Found]:
        """Where the suites have what is called like these debs.

        Raises:
            TransferError: they answer, and contradict each other.
        """
        if not debs:
            return {}
        try:
            await suites.named(debs[0].name)
        except TransferError as error:
            self.silent = self.silent or error
            return {}
        found = await suites.find({(deb.name, deb.version, deb.architecture) for deb in debs})
        return {deb: place for deb in debs if (place := found.get((deb.name, deb.version, deb.architecture)))}


async def _offered(
    google: Google,
    outputs: Mapping[str, Any],
    image: BaseImage,
    artifacts: Sequence[Artifact],
    asked: Asked,
) -> list[Held]:
    found: list[Held] = []
    for origin in sorted({artifact.origin for artifact in artifacts if artifact.kind is Kind.PYPI}):
        wanted = {each.filename: each for each in artifacts if each.origin == origin}
        index = PythonIndex(google, outputs["project"], outputs["location"], origin)
        described = await asked.wheels(index, list(wanted.values()))
        found += (
            Held(Kind.PYPI, wanted[name].name, "", wanted[name].version, file.sha256)
            for name, file in described.items()
        )
    debs = [each for each in artifacts if each.kind is Kind.APT]
    places = await asked.debs(outer_suites(google, outputs, image), debs)
    found += (
        Held(Kind.APT, deb.name, deb.architecture, deb.version, place.stanza.sha256)
        for deb, place in places.items()
    )
    if any(artifact.kind is Kind.FILE for artifact in artifacts):
        stored = await BucketRegistry(google, outputs["filesBucket"]).list()
        found += (Held.of(each) for each in stored)
    return found
