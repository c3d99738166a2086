"""Artifact Registry's repositories and settings; their contents are `sandbox.cloud.artifact_registry`.

https://cloud.google.com/artifact-registry/docs/reference/rest/v1/projects.locations.repositories
"""

from __future__ import annotations

import re
from typing import Final

from sandbox.cloud import artifact_registry
from sandbox.cloud.context import Call, Cloud, Handler
from sandbox.cloud.errors import invalid, unimplemented
from sandbox.cloud.kinds import Kind, Resource

_ID: Final = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_FORMATS: Final = {"APT", "PYTHON"}
_MODES: Final = {"STANDARD_REPOSITORY", "REMOTE_REPOSITORY"}


def _repository(cloud: Cloud, name: str, repository: Resource) -> None:
    key, location = name.rpartition("/")[2], name.split("/")[4]
    if not _ID.fullmatch(key):
        raise invalid(f"Invalid repository id '{key}': use lower-case letters, digits and dashes.")
    form = repository.get("format", "FORMAT_UNSPECIFIED")
    if form not in _FORMATS:
        raise unimplemented(f"The sandbox has repositories of format APT and PYTHON, not {form}.")
    mode = repository.setdefault("mode", "STANDARD_REPOSITORY")
    if mode not in _MODES:
        raise unimplemented(f"The sandbox has standard and remote repositories, not {mode}.")
    remote = repository.get("remoteRepositoryConfig")
    if (mode == "REMOTE_REPOSITORY") != bool(remote):
        raise invalid(
            "A repository has remoteRepositoryConfig if, and only if, its mode is REMOTE_REPOSITORY."
        )
    if remote:
        wrong = {"APT": "pythonRepository", "PYTHON": "aptRepository"}[form]
        if wrong in remote:
            raise invalid(f"A remote repository of format {form} has no {wrong}.")
        remote.pop("disableUpstreamValidation", None)  # input only
    repository["registryUri"] = f"{location}-{form.lower()}.pkg.dev/{name.split('/')[2]}/{key}"


def _deleting(cloud: Cloud, name: str, repository: Resource) -> None:
    artifact_registry.forget_repository(cloud, name.partition("/")[2])


async def _get_perimeter(cloud: Cloud, call: Call) -> Resource:
    path = call.name.partition("/")[2]
    return cloud.store.get(call.name) or {"name": path, "vpcscPolicy": "DENY"}


async def _set_perimeter(cloud: Cloud, call: Call) -> Resource:
    config = {"name": call.name.partition("/")[2], "vpcscPolicy": call.body.get("vpcscPolicy") or "DENY"}
    cloud.store.put(call.name, config)
    return config


KINDS: Final = [
    Kind(
        "artifactregistry.projects.locations.repositories",
        "repositories",
        prepare=_repository,
        deleting=_deleting,
    )
]

OVERRIDES: Final[dict[str, Handler]] = {
    **artifact_registry.OVERRIDES,
    "artifactregistry.projects.locations.getVpcscConfig": _get_perimeter,
    "artifactregistry.projects.locations.updateVpcscConfig": _set_perimeter,
}
