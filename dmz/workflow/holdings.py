"""What each place holds of a release: the outer repositories, the inner ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dmz.artifact import Artifact, Kind
from dmz.promotion.verification import Held
from dmz.registries.apt import AptRegistry
from dmz.registries.bucket import BucketRegistry
from dmz.registries.concurrency import together
from dmz.registries.google import Google
from dmz.registries.index import AptSuites, PythonIndex
from dmz.registries.interface import Registry, Stored
from dmz.registries.python import PythonRegistry


def inner_registries(google: Google, outputs: Mapping[str, Any]) -> dict[Kind, Registry]:
    """The inner repositories by kind of artifact."""
    project, location = outputs["project"], outputs["location"]
    return {
        Kind.PYPI: PythonRegistry(google, project, location, outputs["pythonRepository"]),
        Kind.APT: AptRegistry(google, project, location, outputs["aptRepository"]),
        Kind.FILE: BucketRegistry(google, outputs["releaseBucket"]),
    }


async def held_inside(google: Google, outputs: Mapping[str, Any]) -> list[Stored]:
    """Everything that the inner repositories hold, from their own record."""
    lists = await together(registry.list() for registry in inner_registries(google, outputs).values())
    return sorted(stored for found in lists for stored in found)


async def held_outside(
    google: Google, outputs: Mapping[str, Any], components: tuple[str, ...], artifacts: Sequence[Artifact]
) -> list[Held]:
    """Which of these artifacts the outer repositories offer today, with the bytes that they have."""
    project, location = outputs["project"], outputs["location"]
    found: list[Held] = []
    origins = {artifact.origin for artifact in artifacts if artifact.kind is Kind.PYPI}
    for origin in sorted(origins):
        wanted = {each.filename: each for each in artifacts if each.origin == origin}
        index = PythonIndex(google, project, location, origin)
        described = await index.describe((each.name, each.filename) for each in wanted.values())
        found += (
            Held(Kind.PYPI, wanted[name].name, "", wanted[name].version, file.sha256)
            for name, file in described.items()
        )
    debs = [artifact for artifact in artifacts if artifact.kind is Kind.APT]
    for architecture in sorted({deb.architecture for deb in debs} - {"all"}) or (["amd64"] if debs else []):
        suites = AptSuites(
            google,
            project,
            [(entry["repository"], entry["suite"]) for entry in outputs["aptRepositories"]],
            components=components,
            architecture=architecture,
        )
        keys = {
            (deb.name, deb.version, deb.architecture)
            for deb in debs
            if deb.architecture in {architecture, "all"}
        }
        found += (
            Held(Kind.APT, *(key[0], key[2], key[1]), place.stanza.sha256)
            for key, place in (await suites.find(keys)).items()
        )
    if any(artifact.kind is Kind.FILE for artifact in artifacts):
        stored = await BucketRegistry(google, outputs["filesBucket"]).list()
        found += (Held.of(each) for each in stored)
    return sorted(set(found))
