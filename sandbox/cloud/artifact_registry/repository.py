"""A declared repository, as the data planes see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.cloud.context import Cloud
from sandbox.cloud.errors import failed_precondition, invalid, not_found, unimplemented


@dataclass(frozen=True)
class Repository:
    """One repository of the control plane."""

    name: str
    """`projects/P/locations/L/repositories/R`."""
    resource: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The last part of the name."""
        return self.name.rpartition("/")[2]

    @property
    def location_name(self) -> str:
        """`projects/P/locations/L`."""
        return self.name.partition("/repositories/")[0]

    @property
    def format(self) -> str:
        """`PYTHON`, `APT`, …"""
        return str(self.resource.get("format", ""))

    @property
    def remote(self) -> bool:
        """Whether it fetches through from an upstream."""
        return self.resource.get("mode") == "REMOTE_REPOSITORY"

    @property
    def epoch(self) -> str:
        """Tells it from a later repository of the same name: a deleted repository's contents are gone."""
        return str(self.resource.get("createTime", ""))

    @property
    def remote_config(self) -> Mapping[str, Any]:
        """Where a remote repository fetches from."""
        config: Mapping[str, Any] = self.resource.get("remoteRepositoryConfig") or {}
        return config

    def upstream(self, kind: str) -> Mapping[str, Any]:
        """The upstream of a remote: `publicRepository`, or the `uri` of `customRepository`.

        `kind` is the format's field (`aptRepository`); `commonRepository`, the newer way to name a uri, is
        given as `customRepository` as well.

        Raises:
            ApiError: it needs credentials, which the sandbox doesn't pass on.
        """
        config = self.remote_config
        if config.get("upstreamCredentials"):
            raise unimplemented("upstreamCredentials of a remote repository are not offered by the sandbox")
        declared: Mapping[str, Any] = config.get(kind) or {}
        common = config.get("commonRepository")
        return {"customRepository": common, **declared} if common else declared


def by_name(cloud: Cloud, name: str) -> Repository:
    """The repository of that full name.

    Raises:
        ApiError: there is none.
    """
    resource = cloud.store.get(f"artifactregistry/{name}")
    if resource is None:
        raise not_found(f"Repository {name} does not exist")
    return Repository(name, resource)


def by_host(cloud: Cloud, host: str, project: str, repository: str, package_format: str) -> Repository:
    """The repository that a data plane's path means.

    Google's host names begin with the location (`us-central1-python.pkg.dev`); at a local port the location
    is left open, and the repository has to be the only one of its id in the project.

    Raises:
        ApiError: there is none, several, or one of another format.
    """
    suffix = f"-{package_format.lower()}.pkg.dev"
    prefix = f"artifactregistry/projects/{project}/locations/"
    location = host.partition(":")[0].removesuffix(suffix) if suffix in host else None
    if location is not None:
        name = f"{prefix}{location}/repositories/{repository}"
        resource = cloud.store.get(name)
        found = {} if resource is None else {name: resource}
    else:
        named = [
            name
            for name in cloud.store.names(prefix)
            if name.endswith(f"/repositories/{repository}") and name.count("/") == prefix.count("/") + 2
        ]
        found = {name: resource for name in named if (resource := cloud.store.get(name)) is not None}
    if not found:
        raise not_found(f"Repository {repository} does not exist in project {project}")
    if len(found) > 1:
        raise invalid(
            f"Repository {repository} exists in several locations of {project}; use the host of one"
        )
    ((name, resource),) = found.items()
    result = Repository(name.removeprefix("artifactregistry/"), resource)
    if result.format != package_format:
        raise failed_precondition(f"Repository {repository} holds {result.format}, not {package_format}")
    return result
