"""Cloud TPU: nodes, each a machine (https://cloud.google.com/tpu/docs/reference/rest/v2/projects.locations.nodes)."""

from __future__ import annotations

import logging
from typing import Final

from sandbox.cloud import access, operations
from sandbox.cloud.context import Call, Cloud, Handler, Machinery
from sandbox.cloud.control import timestamp, without_nulls
from sandbox.cloud.errors import (
    ApiError,
    already_exists,
    invalid,
    not_found,
    unimplemented,
)
from sandbox.cloud.ids import new_id
from sandbox.cloud.kinds import Kind, Resource, check_references, project_of
from sandbox.cloud.references import resource_path

_LOG: Final = logging.getLogger(__name__)
_NODE: Final = "type.googleapis.com/google.cloud.tpu.v2.Node"
_METADATA: Final = {"@type": "type.googleapis.com/google.cloud.tpu.v2.OperationMetadata"}
_PATCHABLE: Final = {"description", "labels", "tags", "metadata"}

NODES: Final = Kind(
    "tpu.projects.locations.nodes",
    "nodes",
    references=("networkConfig.network", "networkConfig.subnetwork"),
    networked=True,
)
KINDS: Final = [NODES]


async def _create(cloud: Cloud, call: Call) -> Resource:
    key = call.query.get("nodeId")
    if not key:
        raise invalid("Required parameter: nodeId")
    name = f"{call.name}/{key}"
    path = name.partition("/")[2]
    if cloud.store.get(name) is not None:
        raise already_exists(f"Resource '{path}' already exists")
    node: Resource = without_nulls(call.body)
    for field in ("acceleratorType", "runtimeVersion"):
        if not node.get(field):
            raise invalid(f"Invalid value for field 'node.{field}': ''. Required field not specified.")
    check_references(cloud, NODES, name, node)
    _check_subnetwork(cloud, name, node)
    access.require(cloud, call.identity, "iam.serviceAccounts.actAs", _account(cloud, name, node))
    node |= {
        "name": path,
        "id": new_id(),
        "state": "CREATING",
        "apiVersion": "V2",
        "createTime": timestamp(),
    }
    cloud.store.put(name, node)
    parent = name.rpartition("/nodes/")[0]
    return operations.start(
        cloud, parent, _boot(cloud, name), {**_METADATA, "target": path, "verb": "create"}
    )


async def _boot(cloud: Cloud, name: str) -> Resource:
    """Boot the node that the store has as `name`; one that can't be made is gone afterwards.

    Returns the node for the operation's response; raises what the machines say against it.
    """
    node = cloud.store.get(name)
    if node is None:
        raise not_found(f"Resource '{name.partition('/')[2]}' was not found")
    try:
        await _machines(cloud).create(node)
    except Exception as error:
        _LOG.warning("%s could not be made: %s", node["name"], error)
        cloud.store.delete(name)
        raise
    node = cloud.store.get(name)
    if node is None:  # deleted while it booted
        raise ApiError(409, "ABORTED", f"'{name.partition('/')[2]}' was deleted while it was being made")
    node |= {
        "state": "READY",
        "health": "HEALTHY",
        "networkEndpoints": _machines(cloud).endpoints(node["name"]),
    }
    cloud.store.put(name, node)
    return {"@type": _NODE, **node}


def started(cloud: Cloud) -> None:
    """Note which of the declared nodes run, after the machines were started with the daemon."""
    for name, node in cloud.store.list("tpu/").items():
        if "/nodes/" not in name:
            continue
        running = _machines(cloud).running(node["name"])
        node |= {
            "state": "READY" if running else "STOPPED",
            "networkEndpoints": _machines(cloud).endpoints(node["name"]),
        }
        cloud.store.put(name, node)


async def _patch(cloud: Cloud, call: Call) -> Resource:
    node = cloud.store.get(call.name)
    if node is None:
        raise not_found(f"Resource '{call.name.partition('/')[2]}' was not found")
    fields = [field.strip() for field in call.query.get("updateMask", "").split(",") if field.strip()]
    if not fields:
        raise invalid("Required parameter: updateMask")
    for field in fields:
        if field not in _PATCHABLE:
            raise unimplemented(
                f"A node's '{field}' can't be updated in place; these can: {', '.join(sorted(_PATCHABLE))}."
            )
    before = dict(node)
    for field in fields:
        node.pop(field, None)
        if call.body.get(field):
            node[field] = without_nulls(call.body[field])
    cloud.store.put(call.name, node)
    try:
        await cloud.reconcile()
    except ApiError:
        cloud.store.put(call.name, before)
        raise
    parent = call.name.rpartition("/nodes/")[0]
    return operations.done(
        cloud, parent, {"@type": _NODE, **node}, {**_METADATA, "target": node["name"], "verb": "update"}
    )


async def _delete(cloud: Cloud, call: Call) -> Resource:
    node = cloud.store.get(call.name)
    if node is None:
        raise not_found(f"Resource '{call.name.partition('/')[2]}' was not found")
    cloud.store.put(call.name, {**node, "state": "DELETING"})

    async def remove() -> Resource:
        await _machines(cloud).delete(node["name"])
        cloud.store.delete(call.name)
        return {"@type": "type.googleapis.com/google.protobuf.Empty"}

    parent = call.name.rpartition("/nodes/")[0]
    return operations.start(cloud, parent, remove(), {**_METADATA, "target": node["name"], "verb": "delete"})


def _account(cloud: Cloud, name: str, node: Resource) -> str:
    """The store's name of the account that the node runs as."""
    email = (node.get("serviceAccount") or {}).get("email")
    if not email:
        raise unimplemented(
            "The sandbox has no default service account: name one in node.serviceAccount.email."
        )
    project = email.partition("@")[2].partition(".")[0]
    account = f"iam/projects/{project}/serviceAccounts/{email}"
    if cloud.store.get(account) is None:
        raise invalid(f"The service account '{email}' of '{name.partition('/')[2]}' does not exist.")
    return account


def _check_subnetwork(cloud: Cloud, name: str, node: Resource) -> None:
    network = node.get("networkConfig") or {}
    project, zone = project_of(name), name.split("/")[4]
    if not network.get("network") or not network.get("subnetwork"):
        raise unimplemented(
            "The sandbox has no default network: name node.networkConfig.network and .subnetwork."
        )
    path = resource_path(network["subnetwork"], project)
    subnet = cloud.store.get(f"compute/{path}")
    if subnet is None:
        raise not_found(f"The resource '{path}' was not found")
    if path.split("/")[3] != zone.rpartition("-")[0]:
        raise invalid(f"The subnetwork '{path}' is in another region than the zone {zone}.")
    if resource_path(subnet["network"], project) != resource_path(network["network"], project):
        raise invalid(f"The subnetwork '{path}' does not belong to the network '{network['network']}'.")


def _machines(cloud: Cloud) -> Machinery:
    if cloud.machines is None:
        raise ApiError(503, "UNAVAILABLE", "The sandbox's machines are not there yet: try again.")
    return cloud.machines


OVERRIDES: Final[dict[str, Handler]] = {
    "tpu.projects.locations.nodes.create": _create,
    "tpu.projects.locations.nodes.patch": _patch,
    "tpu.projects.locations.nodes.delete": _delete,
}
