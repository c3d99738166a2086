"""Services that a project has enabled.

Calls: https://cloud.google.com/service-usage/docs/reference/rest/v1/services, as the real one makes them.
"""

from __future__ import annotations

from typing import Final

from sandbox.provider.fields import Field, Kind
from sandbox.provider.resource import DELETION_POLICY, PROJECT, Resource
from sandbox.provider.rest import Api, Body
from sandbox.provider.scope import Scope, last


class _Service(Resource):
    def enabled(self, api: Api, scope: Scope) -> bool:
        query = {"fields": "services/name,nextPageToken", "filter": "state:ENABLED", "pageSize": "200"}
        services = api.pages(self.service, scope.path("projects/{project}/services"), "services", query)
        return any(last(item["name"]) == scope.values["service"] for item in services)

    def insert(self, api: Api, scope: Scope) -> Body:
        if self.enabled(api, scope):
            return {}
        return api.run(
            self.service, "POST", scope.path("projects/{project}/services/{service}:enable"), body={}
        )

    def fetch(self, api: Api, identity: str, scope: Scope) -> Body | None:
        project = api.get("cloudresourcemanager", scope.path("projects/{project}"))
        if project is None or project.get("lifecycleState") == "DELETE_REQUESTED":
            return None
        return {} if self.enabled(api, scope) else None

    def remove(self, api: Api, identity: str, scope: Scope) -> None:
        if not scope.values.get("disableOnDestroy"):
            return
        checked = bool(scope.values.get("checkIfServiceHasUsageOnDestroy"))
        body: Body = {"checkIfServiceHasUsage": "CHECK" if checked else "SKIP"}
        if scope.values.get("disableDependentServices"):
            body["disableDependentServices"] = True
        api.run(self.service, "POST", scope.path("projects/{project}/services/{service}:disable"), body=body)


def _switch(name: str) -> Field:
    return Field(name=name, kind=Kind.BOOLEAN, api=None)


SERVICE: Final = _Service(
    type="gcp:projects/service:Service",
    service="serviceusage",
    identity="{project}/{service}",
    locked="services/{project}",
    autoname="",
    fields=(
        Field(name="service", api=None, required=True, replace=True, pattern=r"[a-z0-9.-]+\.[a-z]+"),
        PROJECT,
        _switch("disableOnDestroy"),
        _switch("disableDependentServices"),
        _switch("checkIfServiceHasUsageOnDestroy"),
        DELETION_POLICY,
    ),
)

RESOURCES: Final = (SERVICE,)
