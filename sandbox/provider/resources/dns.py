"""Cloud DNS: zones, record sets, response policies with their rules, server policies.

Calls: https://cloud.google.com/dns/docs/reference/rest/v1beta2, as the real provider makes them.
"""

from __future__ import annotations

import time
from typing import Any, Final

from sandbox.provider.errors import ApiError, ProviderError
from sandbox.provider.fields import Field, Kind, expand
from sandbox.provider.resource import DELETION_POLICY, LABELS, PROJECT, Resource, Update
from sandbox.provider.resources.compute import version_1
from sandbox.provider.rest import FIRST_PAUSE, LONGEST_PAUSE, TIMEOUT, Api, Body
from sandbox.provider.scope import Scope, same_link
from sandbox.provider.values import Props

MANAGED: Final = "Managed by Terraform"
"""The description that the real provider gives where the program has none."""


def _network_url(value: str, scope: Scope) -> str:
    """A network's address: what is no https address is taken for a path below Compute's endpoint."""
    return value if value.startswith("https://") else version_1(scope.endpoint("compute") + value)


def _networks(kind: Kind, **options: Any) -> Field:
    url = Field(name="networkUrl", required=True, expand=_network_url, equal=same_link)
    return Field(name="networks", kind=kind, fields=(url,), **options)


def _dns_name(name: str, *, replace: bool) -> Field:
    return Field(name=name, required=True, replace=replace, pattern=r".*\.")


def apply_change(api: Api, zone: str, change: Body) -> None:
    """Make a change of a zone's records and wait until it is done."""
    answer = api.call("dns", "POST", f"{zone}/changes", body=change)
    pause, deadline = FIRST_PAUSE, time.monotonic() + TIMEOUT
    while answer.get("status") == "pending":
        if time.monotonic() > deadline:
            raise ProviderError(f"change {answer['id']} of {zone} is still pending")
        api.pause(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
        answer = api.call("dns", "GET", f"{zone}/changes/{answer['id']}")


class _ManagedZone(Resource):
    def encode_update(self, scope: Scope, step: Update, hit: list[str], inputs: Props) -> Body:
        # The method is an update, not a patch: it takes the whole zone
        body = super().encode_update(scope, step, hit, inputs)
        values = scope.values
        return body | {
            "id": values.get("managedZoneId"),
            "nameServers": values.get("nameServers", []),
            "creationTime": values.get("creationTime"),
        }

    def remove(self, api: Api, identity: str, scope: Scope) -> None:
        zone = self.location(scope)
        if scope.values.get("forceDestroy"):
            name = scope.values["dnsName"]
            records = [
                record
                for record in api.pages(self.service, f"{zone}/rrsets", "rrsets")
                if not (record["name"] == name and record["type"] in ("NS", "SOA"))
            ]
            if records:
                apply_change(api, zone, {"deletions": records})
        super().remove(api, identity, scope)


MANAGED_ZONE: Final = _ManagedZone(
    type="gcp:dns/managedZone:ManagedZone",
    service="dns",
    identity="projects/{project}/managedZones/{name}",
    collection="projects/{project}/managedZones",
    fields=(
        Field(name="name", replace=True),
        PROJECT,
        _dns_name("dnsName", replace=True),
        Field(name="description", default=MANAGED),
        Field(
            name="visibility",
            default="public",
            replace=True,
            values=("public", "private"),
            flatten=lambda value: value or "public",
        ),
        Field(
            name="privateVisibilityConfig",
            kind=Kind.OBJECT,
            absent=None,
            fields=(_networks(Kind.OBJECT_SET),),
        ),
        Field(
            name="cloudLoggingConfig",
            kind=Kind.OBJECT,
            computed=True,
            fields=(Field(name="enableLogging", kind=Kind.BOOLEAN, required=True, zero=True),),
        ),
        Field(name="forceDestroy", kind=Kind.BOOLEAN, api=None, default=False),
        *LABELS,
        DELETION_POLICY,
        Field(name="managedZoneId", kind=Kind.INTEGER, api="id", output=True),
        Field(name="nameServers", kind=Kind.LIST, output=True),
        Field(name="creationTime", output=True),
    ),
    updates=(
        Update(
            fields=(
                "name",
                "dnsName",
                "visibility",
                "description",
                "privateVisibilityConfig",
                "cloudLoggingConfig",
                "labels",
            ),
            method="PUT",
        ),
    ),
)


class _RecordSet(Resource):
    """A record set has no call of its own here: it is an addition to and a deletion from its zone."""

    def zone(self, scope: Scope) -> str:
        return scope.path("projects/{project}/managedZones/{managedZone}")

    def insert(self, api: Api, scope: Scope) -> Body:
        zone, new = self.zone(scope), self.encode(scope)
        # What a program declares is all there is: records of that name and type make way
        change: Body = {"additions": [new]}
        present = [
            record
            for record in api.pages(self.service, f"{zone}/rrsets", "rrsets")
            if record["name"] == new["name"] and record["type"] == new["type"]
        ]
        if present:
            change["deletions"] = present
        apply_change(api, zone, change)
        return new

    def fetch(self, api: Api, identity: str, scope: Scope) -> Body | None:
        query = {"name": str(scope.values["name"]), "type": str(scope.values["type"])}
        try:
            return next(api.pages(self.service, f"{self.zone(scope)}/rrsets", "rrsets", query), None)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def step(self, api: Api, scope: Scope, step: Update, hit: list[str], inputs: Props) -> None:
        present = self.fetch(api, "", scope)
        if present is None:
            raise ProviderError(
                f"record set {inputs['name']} {inputs['type']} is gone; a refresh will notice"
            )
        apply_change(
            api, self.zone(scope), {"deletions": [present], "additions": [expand(self.fields, inputs, scope)]}
        )

    def remove(self, api: Api, identity: str, scope: Scope) -> None:
        zone = self.zone(scope)
        present = self.fetch(api, identity, scope)
        if present is None:
            return
        if present["type"] in ("NS", "SOA"):
            parent = api.call(self.service, "GET", zone)
            if parent["dnsName"] == present["name"]:
                return  # a zone always has these; they go with it
        apply_change(api, zone, {"deletions": [present]})


RECORD_SET: Final = _RecordSet(
    type="gcp:dns/recordSet:RecordSet",
    service="dns",
    identity="projects/{project}/managedZones/{managedZone}/rrsets/{name}/{type}",
    locked="dns/{project}/{managedZone}",
    autoname="",
    fields=(
        Field(name="managedZone", api=None, required=True, replace=True, equal=same_link),
        PROJECT,
        _dns_name("name", replace=True),
        Field(name="type", required=True, replace=True),
        Field(name="ttl", kind=Kind.INTEGER),
        Field(
            name="rrdatas",
            kind=Kind.SET,
            required=True,
            equal=lambda a, b: a.strip('"').lower() == b.strip('"').lower(),
        ),
        DELETION_POLICY,
    ),
    updates=(Update(fields=("ttl", "rrdatas")),),
)


class _DetachedFirst(Resource):
    """A policy that must be taken off its networks before it can be deleted."""

    def remove(self, api: Api, identity: str, scope: Scope) -> None:
        location = self.location(scope)
        if scope.values.get("networks"):
            api.call(self.service, "PATCH", location, body={"networks": None})
        api.run(self.service, "DELETE", location)


RESPONSE_POLICY: Final = _DetachedFirst(
    type="gcp:dns/responsePolicy:ResponsePolicy",
    service="dns",
    identity="projects/{project}/responsePolicies/{responsePolicyName}",
    collection="projects/{project}/responsePolicies",
    autoname="",
    fields=(
        Field(name="responsePolicyName", required=True, replace=True),
        PROJECT,
        Field(name="description", default=MANAGED),
        _networks(Kind.OBJECTS),
        DELETION_POLICY,
    ),
    updates=(Update(fields=("description", "networks")),),
)


RESPONSE_POLICY_RULE: Final = Resource(
    type="gcp:dns/responsePolicyRule:ResponsePolicyRule",
    service="dns",
    identity="projects/{project}/responsePolicies/{responsePolicy}/rules/{ruleName}",
    collection="projects/{project}/responsePolicies/{responsePolicy}/rules",
    autoname="",
    exclusive=(("behavior", "localData"),),
    fields=(
        Field(name="responsePolicy", api=None, required=True, replace=True, equal=same_link),
        PROJECT,
        Field(name="ruleName", required=True, replace=True),
        _dns_name("dnsName", replace=False),
        Field(name="behavior"),
        Field(
            name="localData",
            kind=Kind.OBJECT,
            fields=(
                Field(
                    name="localDatas",
                    kind=Kind.OBJECTS,
                    required=True,
                    fields=(
                        _dns_name("name", replace=False),
                        Field(name="type", required=True),
                        Field(name="ttl", kind=Kind.INTEGER),
                        Field(name="rrdatas", kind=Kind.LIST),
                    ),
                ),
            ),
        ),
        DELETION_POLICY,
    ),
    updates=(Update(fields=("dnsName", "behavior", "localData")),),
)

POLICY: Final = _DetachedFirst(
    type="gcp:dns/policy:Policy",
    service="dns",
    identity="projects/{project}/policies/{name}",
    collection="projects/{project}/policies",
    fields=(
        Field(name="name", replace=True),
        PROJECT,
        Field(name="description", default=MANAGED),
        Field(name="enableInboundForwarding", kind=Kind.BOOLEAN, zero=True),
        Field(name="enableLogging", kind=Kind.BOOLEAN, zero=True),
        _networks(Kind.OBJECT_SET),
        DELETION_POLICY,
    ),
    updates=(Update(fields=("description", "enableInboundForwarding", "enableLogging", "networks")),),
)

RESOURCES: Final = (MANAGED_ZONE, RECORD_SET, RESPONSE_POLICY, RESPONSE_POLICY_RULE, POLICY)
