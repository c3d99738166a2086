"""Cloud DNS: zones, record sets, response policies (https://cloud.google.com/dns/docs/reference/rest/v1beta2)."""

from __future__ import annotations

import secrets
from typing import Any, Final

from aiohttp import web

from sandbox.cloud.context import Call, Cloud, Handler
from sandbox.cloud.control import PAGE, timestamp
from sandbox.cloud.errors import ApiError, already_exists, invalid, not_found
from sandbox.cloud.kinds import Kind, Resource

_OWN: Final = {"NS", "SOA"}
"""Types of the record sets that a zone has at its apex from the beginning."""


def _zone(cloud: Cloud, name: str, zone: Resource) -> None:
    domain = zone.get("dnsName", "")
    if not domain.endswith(".") or ".." in domain:
        raise invalid(f"Invalid value for 'entity.managedZone.dnsName': '{domain}'. It must end with a dot.")
    zone.setdefault("visibility", "public")
    networks = (zone.get("privateVisibilityConfig") or {}).get("networks") or []
    if networks and zone["visibility"] != "private":
        raise invalid("Invalid value for 'entity.managedZone.privateVisibilityConfig': the zone is public.")
    private = zone["visibility"] == "private"
    zone["nameServers"] = [
        "ns-gcp-private.googledomains.com." if private else "ns-cloud-a1.googledomains.com."
    ]


def _zone_created(cloud: Cloud, name: str, zone: Resource) -> list[str]:
    server = zone["nameServers"][0]
    authority = f"{server} cloud-dns-hostmaster.google.com. 1 21600 3600 259200 300"
    names = []
    for kind, data in (("NS", server), ("SOA", authority)):
        names.append(f"{name}/rrsets/{zone['dnsName']}/{kind}")
        cloud.store.put(
            names[-1],
            {
                "kind": "dns#resourceRecordSet",
                "name": zone["dnsName"],
                "type": kind,
                "ttl": 21600,
                "rrdatas": [data],
            },
        )
    return names


def _zone_deleting(cloud: Cloud, name: str, zone: Resource) -> None:
    for record in cloud.store.list(f"{name}/rrsets/").values():
        if record["type"] not in _OWN or record["name"] != zone["dnsName"]:
            raise ApiError(
                400,
                "CONTAINER_NOT_EMPTY",
                f"The resource named '{zone['name']}' cannot be deleted because it contains one or more "
                "'resource records'.",
            )


def _policy_deleting(cloud: Cloud, name: str, policy: Resource) -> None:
    if policy.get("networks"):
        label = name.rpartition("/")[2]
        raise ApiError(
            400,
            "RESOURCE_IN_USE",
            f"The policy '{label}' is bound to networks: patch it with no networks before it is deleted.",
        )
    if cloud.store.list(f"{name}/rules/"):
        raise ApiError(
            400,
            "CONTAINER_NOT_EMPTY",
            f"The response policy '{name.rpartition('/')[2]}' has rules: delete them first.",
        )


def _rule(cloud: Cloud, name: str, rule: Resource) -> None:
    domain = rule.get("dnsName", "")
    if not domain.endswith("."):
        raise invalid(
            f"Invalid value for 'entity.responsePolicyRule.dnsName': '{domain}'. It must end with a dot."
        )
    if bool(rule.get("localData")) == bool(rule.get("behavior")):
        raise invalid("A response policy rule has either 'localData' or 'behavior'.")
    for other, resource in cloud.store.list(name.rpartition("/")[0] + "/").items():
        if other != name and resource["dnsName"] == domain:
            raise already_exists(
                f"The response policy has a rule for '{domain}' already: {resource['ruleName']}"
            )


def _policy_name(call: Call) -> str:
    return _required(call, "responsePolicyName")


def _rule_name(call: Call) -> str:
    return _required(call, "ruleName")


def _required(call: Call, field: str) -> str:
    value = call.body.get(field)
    if not value:
        raise invalid(f"The '{field}' field is required")
    return str(value)


async def _create_record(cloud: Cloud, call: Call) -> Resource:
    record = _checked(cloud, _zone_of(call), call.body)
    name = _record_name(_zone_of(call), record)
    if cloud.store.get(name) is not None:
        raise already_exists(f"The resource record set '{record['name']} ({record['type']})' already exists")
    cloud.store.put(name, record)
    await cloud.reconcile()
    return record


async def _get_record(cloud: Cloud, call: Call) -> Resource:
    return _existing_record(cloud, call.name)


async def _patch_record(cloud: Cloud, call: Call) -> Resource:
    before = _existing_record(cloud, call.name)
    after = _checked(cloud, _zone_of(call), {**before, **call.body})
    if (after["name"], after["type"]) != (before["name"], before["type"]):
        cloud.store.delete(call.name)
    cloud.store.put(_record_name(_zone_of(call), after), after)
    await cloud.reconcile()
    return after


async def _delete_record(cloud: Cloud, call: Call) -> web.Response:
    record = _existing_record(cloud, call.name)
    _refuse_own(cloud, _zone_of(call), record)
    cloud.store.delete(call.name)
    await cloud.reconcile()
    return web.Response(status=204)


async def _list_records(cloud: Cloud, call: Call) -> Resource:
    _zone_resource(cloud, _zone_of(call))
    wanted = [
        record
        for record in cloud.store.list(f"{call.name}/").values()
        if call.query.get("name") in {None, record["name"]}
        and call.query.get("type") in {None, record["type"]}
    ]
    size = int(call.query.get("maxResults", PAGE))
    start = int(call.query.get("pageToken", 0))
    answer: Resource = {"kind": "dns#resourceRecordSetsListResponse", "rrsets": wanted[start : start + size]}
    if start + size < len(wanted):
        answer["nextPageToken"] = str(start + size)
    return answer


async def _create_change(cloud: Cloud, call: Call) -> Resource:
    """`dns.changes.create`: all deletions and additions, or none of them."""
    zone = _zone_of(call)
    gone = {}
    for record in call.body.get("deletions") or []:
        name = _record_name(zone, record)
        present = _existing_record(cloud, name)
        if present["rrdatas"] != record.get("rrdatas") or present["ttl"] != record.get("ttl"):
            raise ApiError(
                412, "CONDITION_NOT_MET", f"Precondition not met for 'entity.change.deletions' {name}"
            )
        gone[name] = present
    new = {}
    for record in call.body.get("additions") or []:
        checked = _checked(cloud, zone, record)
        name = _record_name(zone, checked)
        if (cloud.store.get(name) is not None and name not in gone) or name in new:
            raise already_exists(
                f"The resource 'entity.change.additions' named '{record['name']}' already exists"
            )
        new[name] = checked
    for name, present in gone.items():
        if name not in new:
            _refuse_own(cloud, zone, present)
        cloud.store.delete(name)
    for name, record in new.items():
        cloud.store.put(name, record)
    await cloud.reconcile()
    change = {
        "kind": "dns#change",
        "id": secrets.token_hex(8),
        "startTime": timestamp(),
        "status": "done",
        "isServing": True,
    } | {key: call.body[key] for key in ("additions", "deletions") if call.body.get(key)}
    cloud.store.put(f"{zone}/changes/{change['id']}", change)
    return change


async def _get_change(cloud: Cloud, call: Call) -> Resource:
    change = cloud.store.get(call.name)
    if change is None:
        raise not_found(
            f"The 'parameters.changeId' resource named '{call.params['changeId']}' does not exist."
        )
    return change


def _zone_of(call: Call) -> str:
    return "/".join(call.name.split("/")[:5])


def _zone_resource(cloud: Cloud, zone: str) -> Resource:
    resource = cloud.store.get(zone)
    if resource is None:
        raise not_found(
            f"The 'parameters.managedZone' resource named '{zone.rpartition('/')[2]}' does not exist."
        )
    return resource


def _record_name(zone: str, record: Resource) -> str:
    return f"{zone}/rrsets/{record.get('name')}/{record.get('type')}"


def _existing_record(cloud: Cloud, name: str) -> Resource:
    record = cloud.store.get(name)
    if record is None:
        raise not_found(f"The resource record set '{name.partition('/rrsets/')[2]}' does not exist.")
    return record


def _refuse_own(cloud: Cloud, zone: str, record: Resource) -> None:
    if record["type"] in _OWN and record["name"] == _zone_resource(cloud, zone)["dnsName"]:
        raise invalid(
            f"The resource record set '{record['name']}' of type '{record['type']}' can't be deleted."
        )


def _checked(cloud: Cloud, zone: str, record: Resource) -> Resource:
    """A record set as Cloud DNS keeps it; 400 if it can't be in that zone."""
    domain = _zone_resource(cloud, zone)["dnsName"]
    name, kind = record.get("name", ""), record.get("type", "")
    if name != domain and not name.endswith(f".{domain}"):
        raise invalid(
            f"Invalid value for 'entity.change.additions.name': '{name}' is not in zone '{domain}'."
        )
    if not kind or not record.get("rrdatas"):
        raise invalid(f"The record set '{name}' needs 'type' and 'rrdatas'.")
    others = {
        present["type"]
        for present in cloud.store.list(f"{zone}/rrsets/{name}/").values()
        if present["type"] != kind
    }
    if others and (kind == "CNAME" or "CNAME" in others):
        raise invalid(
            f"The resource record set '{name}' of type '{kind}' conflicts with type '{min(others)}'."
        )
    data: dict[str, Any] = {key: value for key, value in record.items() if value is not None}
    return {**data, "kind": "dns#resourceRecordSet", "ttl": record.get("ttl") or 300}


KINDS: Final = [
    Kind(
        "dns.managedZones",
        "managedZones",
        references=("privateVisibilityConfig.networks[].networkUrl",),
        prepare=_zone,
        created=_zone_created,
        deleting=_zone_deleting,
        networked=True,
    ),
    Kind(
        "dns.policies",
        "policies",
        references=("networks[].networkUrl",),
        deleting=_policy_deleting,
        networked=True,
    ),
    Kind(
        "dns.responsePolicies",
        "responsePolicies",
        references=("networks[].networkUrl",),
        deleting=_policy_deleting,
        networked=True,
        key=_policy_name,
    ),
    Kind("dns.responsePolicyRules", "rules", prepare=_rule, networked=True, key=_rule_name),
]

OVERRIDES: Final[dict[str, Handler]] = {
    "dns.resourceRecordSets.create": _create_record,
    "dns.resourceRecordSets.get": _get_record,
    "dns.resourceRecordSets.patch": _patch_record,
    "dns.resourceRecordSets.delete": _delete_record,
    "dns.resourceRecordSets.list": _list_records,
    "dns.changes.create": _create_change,
    "dns.changes.get": _get_change,
}
