"""What each place holds of a release: the outer repositories, the inner ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dmz.artifact import Artifact, Kind
from dmz.promotion.base_image import BaseImage
from dmz.promotion.verification import Held
from dmz.registries.apt import AptRegistry
from dmz.registries.bucket import BucketRegistry
from dmz.registries.concurrency import together
from dmz.registries.google import Google
from dmz.registries.index import AptSuites, PythonIndex
from dmz.registries.interface import Registry, Stored
from dmz.registries.python import PythonRegistry


async def held_inside(google: Google, outputs: Mapping[str, Any]) -> list[Stored]:
    """Everything that the inner repositories hold, from their own record."""
    project, location = outputs["project"], outputs["location"]
    registries: list[Registry] = [
        PythonRegistry(google, project, location, outputs["pythonRepository"]),
        AptRegistry(google, project, location, outputs["aptRepository"]),
        BucketRegistry(google, outputs["releaseBucket"]),
    ]
    lists = await together(registry.list() for registry in registries)
    return sorted(stored for found in lists for stored in found)


def outer_suites(google: Google, outputs: Mapping[str, Any], image: BaseImage) -> AptSuites:
    """The outer apt repositories, as the base image reads them."""
    return AptSuites(
        google,
        outputs["project"],
        [(entry["repository"], entry["suite"]) for entry in outputs["aptRepositories"]],
        components=image.components,
        architecture=image.architecture,
    )


async def held_outside(
    google: Google, outputs: Mapping[str, Any], image: BaseImage, artifacts: Sequence[Artifact]
) -> list[Held]:
    """Which of these artifacts the outer repositories offer today, with the bytes that they have."""
    found: list[Held] = []
    for origin in sorted({artifact.origin for artifact in artifacts if artifact.kind is Kind.PYPI}):
        wanted = {each.filename: each for each in artifacts if each.origin == origin}
        index = PythonIndex(google, outputs["project"], outputs["location"], origin)
        described = await index.describe((each.name, each.filename) for each in wanted.values())
        found += (
            Held(Kind.PYPI, wanted[name].name, "", wanted[name].version, file.sha256)
            for name, file in described.items()
        )
    debs = {(each.name, each.version, each.architecture) for each in artifacts if each.kind is Kind.APT}
    if debs:
        places = await outer_suites(google, outputs, image).find(debs)
        found += (
            Held(Kind.APT, name, architecture, version, place.stanza.sha256)
            for (name, version, architecture), place in places.items()
        )
    if any(artifact.kind is Kind.FILE for artifact in artifacts):
        stored = await BucketRegistry(google, outputs["filesBucket"]).list()
        found += (Held.of(each) for each in stored)
    return sorted(set(found))
