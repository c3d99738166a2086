"""Resource Manager: projects and their policies (https://cloud.google.com/resource-manager/reference/rest/v1).

A project exists in the sandbox as soon as it is named; it has no organisation above it.
"""

from __future__ import annotations

from typing import Final

from sandbox.cloud import policies
from sandbox.cloud.context import Call, Cloud, Handler
from sandbox.cloud.kinds import Resource
from sandbox.cloud.references import project_number


async def _get(cloud: Cloud, call: Call) -> Resource:
    project = call.params["projectId"]
    return {
        "projectId": project,
        "projectNumber": str(project_number(project)),
        "name": project,
        "lifecycleState": "ACTIVE",
    }


async def _get_policy(cloud: Cloud, call: Call) -> Resource:
    return policies.get(cloud.store, call.name)


async def _set_policy(cloud: Cloud, call: Call) -> Resource:
    return policies.put(cloud.store, call.name, call.body.get("policy") or {}, call.body.get("updateMask"))


OVERRIDES: Final[dict[str, Handler]] = {
    "cloudresourcemanager.projects.get": _get,
    "cloudresourcemanager.projects.getIamPolicy": _get_policy,
    "cloudresourcemanager.projects.setIamPolicy": _set_policy,
}
