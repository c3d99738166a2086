"""Service accounts of IAM.

Calls: https://cloud.google.com/iam/docs/reference/rest/v1/projects.serviceAccounts.
"""

from __future__ import annotations

from typing import Final

from sandbox.provider.errors import ApiError
from sandbox.provider.fields import Field, Kind
from sandbox.provider.resource import DELETION_POLICY, Resource, Update
from sandbox.provider.rest import Api, Body
from sandbox.provider.scope import Scope
from sandbox.provider.values import Props

MASKS: Final = {"displayName": "display_name", "description": "description"}
"""The properties that a patch changes, as the real provider names them in its mask."""


class _Account(Resource):
    def encode(self, scope: Scope) -> Body:
        body = super().encode(scope)
        account = {key: body[key] for key in MASKS if key in body}
        return {"accountId": scope.values["accountId"], "serviceAccount": account}

    def insert(self, api: Api, scope: Scope) -> Body:
        try:
            return super().insert(api, scope)
        except ApiError as error:
            if error.status != 409 or not scope.values.get("createIgnoreAlreadyExists"):
                raise
        name = "projects/{project}/serviceAccounts/{accountId}@{project}.iam.gserviceaccount.com"
        return api.call(self.service, "GET", scope.text(name))

    def identify(self, scope: Scope, answer: Body) -> str:
        return str(answer["name"]) if answer else super().identify(scope, answer)

    def created(self, api: Api, scope: Scope) -> None:
        if scope.values.get("disabled"):
            api.call(self.service, "POST", f"{super().identify(scope, {})}:disable", body={})

    def fetch(self, api: Api, identity: str, scope: Scope) -> Body | None:
        return api.get(self.service, identity)

    def state(self, answer: Body, known: Props, scope: Scope) -> Props:
        email = str(answer["email"])
        known = {**known, "accountId": email.split("@")[0], "project": answer["projectId"]}
        return super().state(answer, known, scope) | {"member": f"serviceAccount:{email}"}

    def location(self, scope: Scope) -> str:
        return str(scope.values["name"])

    def step(self, api: Api, scope: Scope, step: Update, hit: list[str], inputs: Props) -> None:
        location = self.location(scope)
        if "disabled" in hit:
            verb = "disable" if inputs.get("disabled") else "enable"
            api.call(self.service, "POST", f"{location}:{verb}", body={})
        if mask := [MASKS[name] for name in hit if name in MASKS]:
            account = {"etag": api.call(self.service, "GET", location).get("etag")}
            account |= {key: inputs[key] for key in MASKS if inputs.get(key)}
            body = {"serviceAccount": account, "updateMask": ",".join(mask)}
            api.call(self.service, "PATCH", location, body=body)

    def remove(self, api: Api, identity: str, scope: Scope) -> None:
        api.call(self.service, "DELETE", identity)


ACCOUNT: Final = _Account(
    type="gcp:serviceaccount/account:Account",
    service="iam",
    identity="projects/{project}/serviceAccounts/{accountId}@{project}.iam.gserviceaccount.com",
    collection="projects/{project}/serviceAccounts",
    autoname="",
    fields=(
        Field(
            name="accountId", api=None, required=True, replace=True, pattern="[a-z]([-a-z0-9]{4,28}[a-z0-9])"
        ),
        Field(name="project", api=None, computed=True, replace=True),
        Field(name="displayName"),
        Field(name="description"),
        Field(name="disabled", kind=Kind.BOOLEAN, default=False),
        Field(name="createIgnoreAlreadyExists", kind=Kind.BOOLEAN, api=None),
        DELETION_POLICY,
        Field(name="name", output=True),
        Field(name="email", output=True),
        Field(name="member", api=None, output=True),
        Field(name="uniqueId", output=True),
    ),
    updates=(Update(fields=("displayName", "description", "disabled")),),
)

RESOURCES: Final = (ACCOUNT,)
