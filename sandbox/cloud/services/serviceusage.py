"""Service Usage: which APIs a project has switched on (https://cloud.google.com/service-usage/docs/reference/rest).

The sandbox keeps what is switched on and does not make calls depend on it.
"""

from __future__ import annotations

import re
from typing import Any, Final

from sandbox.cloud import operations
from sandbox.cloud.context import Call, Cloud, Handler
from sandbox.cloud.control import PAGE
from sandbox.cloud.errors import denied, invalid
from sandbox.cloud.filters import matches
from sandbox.cloud.kinds import Resource
from sandbox.cloud.references import project_number

_SERVICE: Final = re.compile(r"[a-z0-9-]+\.googleapis\.com")
_TYPES: Final = "type.googleapis.com/google.api.serviceusage.v1."


async def _get(cloud: Cloud, call: Call) -> Resource:
    return _resource(cloud, call.name)


async def _list(cloud: Cloud, call: Call) -> Resource:
    found = [_resource(cloud, name) for name in cloud.store.list(f"{call.name}/")]
    if expression := call.query.get("filter"):
        found = [service for service in found if matches(expression, service)]
    size = int(call.query.get("pageSize") or PAGE)
    start = int(call.query.get("pageToken") or 0)
    answer: Resource = {"services": found[start : start + size]}
    if start + size < len(found):
        answer["nextPageToken"] = str(start + size)
    return answer


async def _enable(cloud: Cloud, call: Call) -> Resource:
    _switch(cloud, call.name, on=True)
    return _done(cloud, "EnableServiceResponse", {"service": _resource(cloud, call.name)})


async def _disable(cloud: Cloud, call: Call) -> Resource:
    _switch(cloud, call.name, on=False)
    return _done(cloud, "DisableServiceResponse", {"service": _resource(cloud, call.name)})


async def _batch_enable(cloud: Cloud, call: Call) -> Resource:
    parent = call.name.removesuffix(":batchEnable")
    names = [f"{parent}/{service}" for service in call.body.get("serviceIds") or []]
    if not 0 < len(names) <= 20:
        raise invalid(f"serviceIds must have 1 to 20 services, not {len(names)}")
    for name in names:
        _check(name)
    for name in names:
        _switch(cloud, name, on=True)
    return _done(
        cloud, "BatchEnableServicesResponse", {"services": [_resource(cloud, name) for name in names]}
    )


def _done(cloud: Cloud, kind: str, response: dict[str, Any]) -> Resource:
    return operations.done(cloud, "serviceusage", {"@type": f"{_TYPES}{kind}", **response})


def _check(name: str) -> None:
    service = name.rpartition("/")[2]
    if not _SERVICE.fullmatch(service):
        raise denied(f"Not found or permission denied for service(s): {service}.")


def _switch(cloud: Cloud, name: str, *, on: bool) -> None:
    _check(name)
    cloud.store.put(name, {"state": "ENABLED" if on else "DISABLED"})


def _resource(cloud: Cloud, name: str) -> Resource:
    _check(name)
    _, _, project, _, service = name.split("/")
    number = project_number(project)
    return {
        "name": f"projects/{number}/services/{service}",
        "parent": f"projects/{number}",
        "config": {"name": service},
        "state": (cloud.store.get(name) or {"state": "DISABLED"})["state"],
    }


OVERRIDES: Final[dict[str, Handler]] = {
    "serviceusage.services.get": _get,
    "serviceusage.services.list": _list,
    "serviceusage.services.enable": _enable,
    "serviceusage.services.disable": _disable,
    "serviceusage.services.batchEnable": _batch_enable,
}
