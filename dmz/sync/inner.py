"""The inner side: what a sync fills."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dmz.artifact import Artifact, Kind
from dmz.registries.apt import AptRegistry
from dmz.registries.archive import BucketArchive
from dmz.registries.bucket import Bucket
from dmz.registries.concurrency import together
from dmz.registries.files import BucketRegistry
from dmz.registries.google import Google
from dmz.registries.interface import Registry, Stored
from dmz.registries.python import PythonRegistry
from dmz.sync.inputs import Inputs


@dataclass(frozen=True)
class Inner:
    """The inner side: its three repositories and the objects that the machines read."""

    python: PythonRegistry
    apt: AptRegistry
    files: BucketRegistry
    release: Bucket

    @classmethod
    def of(cls, google: Google, inputs: Inputs, known: Iterable[Artifact] = ()) -> Inner:
        """`known`: approved artifacts, which are known by their digest wherever they turn up."""
        archive = BucketArchive(google, inputs.archive_bucket) if inputs.archive_bucket else None
        return cls(
            PythonRegistry(google, inputs.project, inputs.location, inputs.python_repository, known=known),
            AptRegistry(
                google,
                inputs.project,
                inputs.location,
                inputs.apt_repository,
                staging=inputs.staging_bucket,
                known=known,
            ),
            BucketRegistry(google, inputs.release_bucket, archive=archive),
            Bucket(google, inputs.release_bucket),
        )

    @property
    def registries(self) -> dict[Kind, Registry]:
        """Which repository holds what."""
        return {Kind.PYPI: self.python, Kind.APT: self.apt, Kind.FILE: self.files}

    async def list(self) -> list[Stored]:
        """Everything that the three hold."""
        held = await together(registry.list() for registry in self.registries.values())
        return [stored for part in held for stored in part]
