"""IAM: service accounts (https://cloud.google.com/iam/docs/reference/rest/v1/projects.serviceAccounts)."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from typing import Final

from sandbox.cloud import policies
from sandbox.cloud.access.accounts import find
from sandbox.cloud.context import Call, Cloud, Handler
from sandbox.cloud.errors import already_exists, invalid
from sandbox.cloud.kinds import Kind, Resource, project_of

_ID: Final = re.compile(r"[a-z]([-a-z0-9]{4,28}[a-z0-9])")
_PATCHABLE: Final = {"displayName", "description"}


def _of(cloud: Cloud, call: Call) -> tuple[str, Resource]:
    parts = call.name.split("/")
    return find(cloud, parts[2], parts[4])


async def _create(cloud: Cloud, call: Call) -> Resource:
    project = project_of(call.name)
    account = call.body.get("accountId") or ""
    if not _ID.fullmatch(account):
        raise invalid(
            f"Invalid value for 'accountId': '{account}'. Use 6 to 30 characters: a lower-case letter, then "
            "letters, digits and dashes."
        )
    email = f"{account}@{project}.iam.gserviceaccount.com"
    name = f"{call.name}/{email}"
    if cloud.store.get(name) is not None:
        raise already_exists(f"Service account {account} already exists within project projects/{project}.")
    number = str(10**20 + int(hashlib.sha256(email.encode()).hexdigest()[:16], 16) % 10**20)
    given = call.body.get("serviceAccount") or {}
    resource = {
        "name": name.partition("/")[2],
        "projectId": project,
        "uniqueId": number,
        "email": email,
        "etag": _etag(),
        "oauth2ClientId": number,
    } | {key: value for key, value in given.items() if key in _PATCHABLE and value}
    cloud.store.put(name, resource)
    return resource


async def _get(cloud: Cloud, call: Call) -> Resource:
    return _of(cloud, call)[1]


async def _patch(cloud: Cloud, call: Call) -> Resource:
    name, resource = _of(cloud, call)
    fields = set((call.body.get("updateMask") or "").replace("display_name", "displayName").split(",")) - {""}
    if not fields or fields - _PATCHABLE:
        raise invalid(f"updateMask must name one or both of: {', '.join(sorted(_PATCHABLE))}")
    given = call.body.get("serviceAccount") or {}
    for field in fields:
        resource.pop(field, None)
        if given.get(field):
            resource[field] = given[field]
    resource["etag"] = _etag()
    cloud.store.put(name, resource)
    return resource


async def _delete(cloud: Cloud, call: Call) -> Resource:
    name, _ = _of(cloud, call)
    cloud.store.delete(name)
    cloud.store.delete(f"policies/{name}")
    return {}


async def _get_policy(cloud: Cloud, call: Call) -> Resource:
    return policies.get(cloud.store, _of(cloud, call)[0])


async def _set_policy(cloud: Cloud, call: Call) -> Resource:
    name, _ = _of(cloud, call)
    return policies.put(cloud.store, name, call.body.get("policy") or {}, call.body.get("updateMask"))


def _etag() -> str:
    return base64.b64encode(secrets.token_bytes(8)).decode()


KINDS: Final = [Kind("iam.projects.serviceAccounts", "serviceAccounts")]

OVERRIDES: Final[dict[str, Handler]] = {
    "iam.projects.serviceAccounts.create": _create,
    "iam.projects.serviceAccounts.get": _get,
    "iam.projects.serviceAccounts.patch": _patch,
    "iam.projects.serviceAccounts.delete": _delete,
    "iam.projects.serviceAccounts.getIamPolicy": _get_policy,
    "iam.projects.serviceAccounts.setIamPolicy": _set_policy,
}
