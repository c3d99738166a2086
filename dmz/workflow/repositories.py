"""The outer repositories themselves: the remote one for Python, what was built, the suites, the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from dmz.artifact import Artifact
from dmz.promotion.base_image import BaseImage
from dmz.registries.files import BucketRegistry
from dmz.registries.google import Google
from dmz.registries.index import AptSuites, PythonIndex
from dmz.registries.python import PythonRegistry
from dmz.registries.upstream import upstream_of
from dmz.resolution.python import PythonResolution, resolution


class OuterRepositories:
    """The outer project's, as a base image reads them."""

    def __init__(self, google: Google, outputs: Mapping[str, Any], image: BaseImage) -> None:
        """`outputs`: the outer stack's."""
        project, location = outputs["project"], outputs["location"]
        self.google = google
        self.image = image
        self.outputs = outputs
        self.place = (project, location)
        self.remote_id: str = outputs["pythonRepository"]
        self.remote = PythonIndex(google, project, location, self.remote_id)
        self.built_id: str = outputs["pythonBuiltRepository"]
        self.built_registry = PythonRegistry(google, project, location, self.built_id)
        self.files = BucketRegistry(google, outputs["filesBucket"])
        self.suites = outer_suites(google, outputs, image)

    def resolution(
        self, built: Sequence[Artifact] = (), *, once: bool = False
    ) -> AbstractAsyncContextManager[PythonResolution]:
        """A session of resolutions, or of one (`once`), against the Python repository; `built` wheels take
        part."""
        return resolution(
            self.google,
            self.remote,
            self.image,
            upstream=lambda: upstream_of(self.google, *self.place, self.remote_id),
            built=built,
            built_from=self.built_registry,
            once=once,
        )


def outer_suites(google: Google, outputs: Mapping[str, Any], image: BaseImage) -> AptSuites:
    """The outer apt repositories, as the base image reads them."""
    return AptSuites(
        google,
        outputs["project"],
        [(entry["repository"], entry["suite"]) for entry in outputs["aptRepositories"]],
        components=image.components,
        architecture=image.architecture,
    )
