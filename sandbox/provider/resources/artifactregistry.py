"""Artifact Registry: repositories and a location's service perimeter setting.

Calls: https://cloud.google.com/artifact-registry/docs/reference/rest/v1, as the real provider makes them.
"""

from __future__ import annotations

import re
from typing import Any, Final

from sandbox.provider.errors import ProviderError
from sandbox.provider.fields import Field, Kind
from sandbox.provider.resource import DELETION_POLICY, LABELS, PROJECT, Resource, Update
from sandbox.provider.rest import Api
from sandbox.provider.scope import Scope

LOCATION: Final = Field(name="location", api=None, computed=True, replace=True)
SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _duration(value: str, scope: Scope) -> str:
    """A duration such as ``7d`` in seconds, the unit that the service takes."""
    match = re.fullmatch(r"(\d+)([smhd])", value)
    if match is None:
        raise ProviderError(f"'{value}' is no duration: write a number and s, m, h or d")
    return f"{int(match[1]) * SECONDS[match[2]]}s"


def _same_duration(old: str, new: str) -> bool:
    try:
        return _duration(old, Scope({})) == _duration(new, Scope({}))
    except ProviderError:
        return False


def _by_id(policies: list[dict[str, Any]], scope: Scope) -> dict[str, Any]:
    return {item["id"]: {key: value for key, value in item.items() if key != "id"} for item in policies}


def _with_id(policies: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"id": key, **value} for key, value in sorted(policies.items())]


def _strings(name: str) -> Field:
    return Field(name=name, kind=Kind.LIST)


def _duration_field(name: str) -> Field:
    return Field(name=name, expand=_duration, equal=_same_duration, pattern=r"\d+[smhd]")


CLEANUP_POLICIES: Final = Field(
    name="cleanupPolicies",
    kind=Kind.OBJECT_SET,
    expand=_by_id,
    flatten=_with_id,
    fields=(
        Field(name="id", required=True),
        Field(name="action", values=("DELETE", "KEEP")),
        Field(
            name="condition",
            kind=Kind.OBJECT,
            fields=(
                Field(name="tagState", default="ANY", values=("TAGGED", "UNTAGGED", "ANY")),
                _strings("tagPrefixes"),
                _strings("versionNamePrefixes"),
                _strings("packageNamePrefixes"),
                _duration_field("olderThan"),
                _duration_field("newerThan"),
            ),
        ),
        Field(
            name="mostRecentVersions",
            kind=Kind.OBJECT,
            fields=(Field(name="keepCount", kind=Kind.INTEGER), _strings("packageNamePrefixes")),
        ),
    ),
)

REMOTE: Final = Field(
    name="remoteRepositoryConfig",
    kind=Kind.OBJECT,
    replace=True,
    expand=lambda value, scope: {**value, "noCache": None},  # as the real provider sends it
    fields=(
        Field(name="description"),
        Field(name="disableUpstreamValidation", kind=Kind.BOOLEAN, replace=False),
        Field(
            name="aptRepository",
            kind=Kind.OBJECT,
            fields=(
                Field(
                    name="publicRepository",
                    kind=Kind.OBJECT,
                    fields=(
                        Field(
                            name="repositoryBase",
                            required=True,
                            values=("DEBIAN", "UBUNTU", "DEBIAN_SNAPSHOT"),
                        ),
                        Field(name="repositoryPath", required=True),
                    ),
                ),
            ),
        ),
        Field(
            name="pythonRepository",
            kind=Kind.OBJECT,
            fields=(
                Field(name="publicRepository", values=("PYPI",)),
                Field(
                    name="customRepository",
                    kind=Kind.OBJECT,
                    fields=(Field(name="uri", required=True),),
                ),
            ),
        ),
        Field(name="commonRepository", kind=Kind.OBJECT, fields=(Field(name="uri", required=True),)),
    ),
)

REPOSITORY: Final = Resource(
    type="gcp:artifactregistry/repository:Repository",
    service="artifactregistry",
    identity="projects/{project}/locations/{location}/repositories/{repositoryId}",
    collection="projects/{project}/locations/{location}/repositories",
    query={"repository_id": "{repositoryId}"},
    autoname="",
    fields=(
        Field(name="repositoryId", api=None, required=True, replace=True),
        PROJECT,
        LOCATION,
        Field(name="format", required=True, replace=True, equal=lambda a, b: a.lower() == b.lower()),
        Field(
            name="mode",
            default="STANDARD_REPOSITORY",
            replace=True,
            values=("STANDARD_REPOSITORY", "REMOTE_REPOSITORY"),
        ),
        Field(name="description"),
        Field(name="kmsKeyName", replace=True),
        CLEANUP_POLICIES,
        Field(name="cleanupPolicyDryRun", kind=Kind.BOOLEAN),
        REMOTE,
        Field(
            name="vulnerabilityScanningConfig",
            kind=Kind.OBJECT,
            computed=True,
            fields=(
                Field(name="enablementConfig", values=("INHERITED", "DISABLED")),
                Field(name="enablementState", output=True),
                Field(name="enablementStateReason", output=True),
            ),
        ),
        *LABELS,
        DELETION_POLICY,
        Field(name="name", flatten=lambda value: value.rsplit("/", 1)[-1], output=True),
        Field(name="registryUri", output=True),
        Field(name="createTime", output=True),
        Field(name="updateTime", output=True),
    ),
    updates=(
        Update(
            fields=(
                "description",
                "cleanupPolicies",
                "cleanupPolicyDryRun",
                "vulnerabilityScanningConfig",
                "labels",
                "remoteRepositoryConfig",
            ),
            mask=True,
        ),
    ),
)


class _Setting(Resource):
    """A setting of a location: it is always there, so it is set rather than made, and left when let go."""

    def remove(self, api: Api, identity: str, scope: Scope) -> None:
        return


VPCSC_CONFIG: Final = _Setting(
    type="gcp:artifactregistry/vpcscConfig:VpcscConfig",
    service="artifactregistry",
    identity="projects/{project}/locations/{location}/vpcscConfig",
    collection="projects/{project}/locations/{location}/vpcscConfig",
    method="PATCH",
    autoname="",
    fields=(
        PROJECT,
        LOCATION,
        Field(name="vpcscPolicy", values=("DENY", "ALLOW")),
        Field(name="name", output=True),
    ),
    updates=(Update(fields=("vpcscPolicy",)),),
)

RESOURCES: Final = (REPOSITORY, VPCSC_CONFIG)
