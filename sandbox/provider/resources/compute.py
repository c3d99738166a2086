"""Compute Engine: networks, subnetworks, routers with NAT, firewalls and routes.

Calls and defaults: https://cloud.google.com/compute/docs/reference/rest/beta, as the real one makes them.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Final

from sandbox.provider.errors import ApiError, ProviderError
from sandbox.provider.fields import Field, Kind, expand
from sandbox.provider.resource import DELETION_POLICY, PROJECT, REGION, Resource, Update
from sandbox.provider.rest import Api, Body
from sandbox.provider.scope import Scope, last, relative, same_link
from sandbox.provider.values import Props

GCE_NAME: Final = "[a-z]([-a-z0-9]{0,61}[a-z0-9])?"
"""RFC 1035, as Compute names its resources."""


def version_1(link: str) -> str:
    """A link of Compute's in its v1 form, which is what the provider shows."""
    return re.sub(r"/compute/[a-zA-Z0-9]+/projects/", "/compute/v1/projects/", link)


def global_path(collection: str) -> Any:
    """Expands a link, path or name to ``projects/P/global/COLLECTION/NAME``."""

    def path(value: str, scope: Scope) -> str:
        if re.fullmatch(rf"projects/[^/]+/global/{collection}/[^/]+", relative(value)):
            return relative(value)
        return f"projects/{scope.variable('project')}/global/{collection}/{last(value)}"

    return path


def _subnetwork_path(value: str, scope: Scope) -> str:
    if "projects/" in value:
        return relative(value)
    project, region = scope.variable("project"), scope.variable("region")
    return f"projects/{project}/regions/{region}/subnetworks/{last(value)}"


def _gateway_path(value: str, scope: Scope) -> str:
    if value == "default-internet-gateway":
        return f"projects/{scope.variable('project')}/global/gateways/{value}"
    return value


NETWORK_LINK: Final = Field(
    name="network",
    required=True,
    replace=True,
    expand=global_path("networks"),
    flatten=version_1,
    equal=same_link,
)
SELF_LINK: Final = Field(name="selfLink", output=True, flatten=version_1)
CREATED: Final = Field(name="creationTimestamp", output=True)
NAME: Final = Field(name="name", pattern=GCE_NAME, replace=True)
DESCRIPTION: Final = Field(name="description", replace=True)


class _Network(Resource):
    def encode(self, scope: Scope) -> Body:
        return _routing(super().encode(scope))

    def encode_update(self, scope: Scope, step: Update, hit: list[str], inputs: Props) -> Body:
        return _routing(super().encode_update(scope, step, hit, inputs))

    def created(self, api: Api, scope: Scope) -> None:
        if not scope.values.get("deleteDefaultRoutesOnCreate"):
            return
        network = api.call(self.service, "GET", self.location(scope))
        routes = scope.path("projects/{project}/global/routes")
        query = {"filter": f'(network="{network["selfLink"]}") AND (destRange="0.0.0.0/0")'}
        for route in list(api.pages(self.service, routes, "items", query)):
            api.run(self.service, "DELETE", f"{routes}/{route['name']}")


def _routing(body: Body) -> Body:
    """The real provider says with every routing configuration that MED comparison is to be kept."""
    if "routingConfig" in body:
        body["routingConfig"]["deleteBgpAlwaysCompareMed"] = False
    return body


NETWORK: Final = _Network(
    type="gcp:compute/network:Network",
    service="compute",
    identity="projects/{project}/global/networks/{name}",
    collection="projects/{project}/global/networks",
    fields=(
        NAME,
        PROJECT,
        DESCRIPTION,
        Field(name="autoCreateSubnetworks", kind=Kind.BOOLEAN, default=True, zero=True, replace=True),
        Field(name="deleteDefaultRoutesOnCreate", kind=Kind.BOOLEAN, api=None, default=False),
        Field(name="mtu", kind=Kind.INTEGER, computed=True),
        Field(
            name="routingMode",
            api="routingConfig.routingMode",
            computed=True,
            values=("REGIONAL", "GLOBAL"),
        ),
        Field(
            name="networkFirewallPolicyEnforcementOrder",
            default="AFTER_CLASSIC_FIREWALL",
            values=("BEFORE_CLASSIC_FIREWALL", "AFTER_CLASSIC_FIREWALL"),
        ),
        Field(name="enableUlaInternalIpv6", kind=Kind.BOOLEAN),
        Field(name="internalIpv6Range", computed=True, replace=True),
        DELETION_POLICY,
        Field(name="gatewayIpv4", api="gatewayIPv4", output=True),
        Field(name="networkId", api="id", output=True),
        Field(name="numericId", api="id", output=True),
        SELF_LINK,
    ),
    updates=(
        Update(fields=("routingMode", "networkFirewallPolicyEnforcementOrder")),
        Update(fields=("enableUlaInternalIpv6",)),
        Update(fields=("mtu",), fingerprint=True),
    ),
)


def _shrinks(old: str, new: str) -> bool:
    """A subnetwork's range can only grow in place."""
    try:
        return not ipaddress.ip_network(old).subnet_of(ipaddress.ip_network(new))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return True


def _region_path(value: str, scope: Scope) -> str:
    return f"projects/{scope.variable('project')}/global/regions/{last(value)}"


REGION_LINK: Final = Field(
    name="region", computed=True, replace=True, expand=_region_path, flatten=last, equal=same_link
)
PRIVATE_RANGE: Final = Field(name="ipCidrRange", computed=True, replace=_shrinks)


class _Regional(Resource):
    def encode(self, scope: Scope) -> Body:
        return {**super().encode(scope), "region": _region_path(scope.variable("region"), scope)}


SUBNETWORK: Final = _Regional(
    type="gcp:compute/subnetwork:Subnetwork",
    service="compute",
    identity="projects/{project}/regions/{region}/subnetworks/{name}",
    collection="projects/{project}/regions/{region}/subnetworks",
    fields=(
        NAME,
        PROJECT,
        REGION_LINK,
        NETWORK_LINK,
        DESCRIPTION,
        PRIVATE_RANGE,
        Field(name="privateIpGoogleAccess", kind=Kind.BOOLEAN, computed=True),
        Field(name="privateIpv6GoogleAccess", computed=True),
        Field(name="stackType", computed=True, values=("IPV4_ONLY", "IPV4_IPV6", "IPV6_ONLY")),
        Field(name="ipv6AccessType", values=("EXTERNAL", "INTERNAL")),
        Field(name="purpose", computed=True, replace=True),
        Field(
            name="logConfig",
            kind=Kind.OBJECT,
            absent={"enable": False},
            expand=lambda value, scope: {"enable": True, **value},
            flatten=lambda value: None if value.get("enable") is False else value,
            fields=(
                Field(
                    name="aggregationInterval",
                    default="INTERVAL_5_SEC",
                    values=(
                        "INTERVAL_5_SEC",
                        "INTERVAL_30_SEC",
                        "INTERVAL_1_MIN",
                        "INTERVAL_5_MIN",
                        "INTERVAL_10_MIN",
                        "INTERVAL_15_MIN",
                    ),
                ),
                Field(name="flowSampling", kind=Kind.NUMBER, default=0.5, zero=True),
                Field(
                    name="metadata",
                    default="INCLUDE_ALL_METADATA",
                    values=("EXCLUDE_ALL_METADATA", "INCLUDE_ALL_METADATA", "CUSTOM_METADATA"),
                ),
                Field(name="metadataFields", kind=Kind.SET, absent=[]),
                Field(name="filterExpr", default="true"),
            ),
        ),
        DELETION_POLICY,
        Field(name="gatewayAddress", output=True),
        Field(name="fingerprint", output=True),
        Field(name="subnetworkId", kind=Kind.INTEGER, api="id", output=True),
        CREATED,
        SELF_LINK,
    ),
    updates=(
        Update(fields=("ipCidrRange",), method="POST", verb="/expandIpCidrRange"),
        Update(fields=("privateIpGoogleAccess",), method="POST", verb="/setPrivateIpGoogleAccess"),
        Update(fields=("privateIpv6GoogleAccess", "stackType", "ipv6AccessType"), fingerprint=True),
        Update(fields=("logConfig",), fingerprint=True),
    ),
)

ROUTER: Final = _Regional(
    type="gcp:compute/router:Router",
    service="compute",
    identity="projects/{project}/regions/{region}/routers/{name}",
    collection="projects/{project}/regions/{region}/routers",
    locked="router/{project}/{region}/{name}",
    constants={"bgp": None},
    fields=(
        NAME,
        PROJECT,
        REGION_LINK,
        NETWORK_LINK,
        Field(name="description"),
        DELETION_POLICY,
        CREATED,
        SELF_LINK,
    ),
    updates=(Update(fields=("description",)),),
)


class _RouterNat(Resource):
    """A NAT is an item in its router, and every change of it a patch of the router's whole list."""

    def router(self, scope: Scope) -> str:
        return scope.path("projects/{project}/regions/{region}/routers/{router}")

    def siblings(self, api: Api, scope: Scope) -> list[Body]:
        return list(api.call(self.service, "GET", self.router(scope)).get("nats") or [])

    def put(self, api: Api, scope: Scope, nats: list[Body]) -> Body:
        return api.run(self.service, "PATCH", self.router(scope), body={"nats": nats})

    def insert(self, api: Api, scope: Scope) -> Body:
        nats, name = self.siblings(api, scope), scope.variable("name")
        if any(nat["name"] == name for nat in nats):
            raise ApiError(409, "ALREADY_EXISTS", f"router has a NAT '{name}' already", self.router(scope))
        return self.put(api, scope, [*nats, self.encode(scope)])

    def fetch(self, api: Api, identity: str, scope: Scope) -> Body | None:
        router = api.get(self.service, self.router(scope)) or {}
        name = scope.variable("name")
        return next((nat for nat in router.get("nats") or [] if nat["name"] == name), None)

    def step(self, api: Api, scope: Scope, step: Update, hit: list[str], inputs: Props) -> None:
        nats, name = self.siblings(api, scope), scope.variable("name")
        if all(nat["name"] != name for nat in nats):
            raise ProviderError(f"router {scope.variable('router')} has no NAT '{name}' any more")
        new = expand(self.fields, inputs, scope)
        kept = {item.path[0] for item in self.fields if item.computed and item.name not in inputs}

        def merged(nat: Body) -> Body:
            return {key: value for key, value in nat.items() if key in kept} | new

        self.put(api, scope, [merged(nat) if nat["name"] == name else nat for nat in nats])

    def remove(self, api: Api, identity: str, scope: Scope) -> None:
        nats, name = self.siblings(api, scope), scope.variable("name")
        rest = [nat for nat in nats if nat["name"] != name]
        if len(rest) < len(nats):
            self.put(api, scope, rest)


def _seconds(name: str, default: int) -> Field:
    return Field(name=name, kind=Kind.INTEGER, default=default)


ROUTER_NAT: Final = _RouterNat(
    type="gcp:compute/routerNat:RouterNat",
    service="compute",
    identity="{project}/{region}/{router}/{name}",
    locked="router/{project}/{region}/{router}",
    constants={"drainNatIps": [], "initialNatIps": [], "nat64Subnetworks": [], "natIps": [], "rules": []},
    fields=(
        NAME,
        PROJECT,
        REGION,
        Field(name="router", api=None, required=True, replace=True, equal=same_link),
        Field(
            name="sourceSubnetworkIpRangesToNat",
            required=True,
            values=(
                "ALL_SUBNETWORKS_ALL_IP_RANGES",
                "ALL_SUBNETWORKS_ALL_PRIMARY_IP_RANGES",
                "LIST_OF_SUBNETWORKS",
            ),
        ),
        Field(name="natIpAllocateOption", values=("AUTO_ONLY",)),
        Field(
            name="subnetworks",
            kind=Kind.OBJECT_SET,
            absent=[],
            fields=(
                Field(
                    name="name", required=True, expand=_subnetwork_path, flatten=version_1, equal=same_link
                ),
                Field(name="sourceIpRangesToNats", kind=Kind.SET, api="sourceIpRangesToNat", required=True),
                Field(name="secondaryIpRangeNames", kind=Kind.SET),
            ),
        ),
        Field(name="minPortsPerVm", kind=Kind.INTEGER, computed=True),
        Field(name="maxPortsPerVm", kind=Kind.INTEGER),
        Field(name="enableDynamicPortAllocation", kind=Kind.BOOLEAN, computed=True, zero=True),
        Field(name="enableEndpointIndependentMapping", kind=Kind.BOOLEAN, computed=True, zero=True),
        Field(name="endpointTypes", kind=Kind.LIST, computed=True, replace=True),
        Field(name="autoNetworkTier", computed=True, values=("PREMIUM", "STANDARD")),
        Field(name="type", default="PUBLIC", replace=True, values=("PUBLIC", "PRIVATE")),
        _seconds("udpIdleTimeoutSec", 30),
        _seconds("icmpIdleTimeoutSec", 30),
        _seconds("tcpEstablishedIdleTimeoutSec", 1200),
        _seconds("tcpTransitoryIdleTimeoutSec", 30),
        _seconds("tcpTimeWaitTimeoutSec", 120),
        Field(
            name="logConfig",
            kind=Kind.OBJECT,
            absent=None,
            flatten=lambda value: None if not value.get("enable") and "filter" not in value else value,
            fields=(
                Field(name="enable", kind=Kind.BOOLEAN, required=True),
                Field(name="filter", required=True, values=("ERRORS_ONLY", "TRANSLATIONS_ONLY", "ALL")),
            ),
        ),
        DELETION_POLICY,
    ),
    updates=(
        Update(
            fields=(
                "sourceSubnetworkIpRangesToNat",
                "natIpAllocateOption",
                "subnetworks",
                "minPortsPerVm",
                "maxPortsPerVm",
                "enableDynamicPortAllocation",
                "enableEndpointIndependentMapping",
                "autoNetworkTier",
                "udpIdleTimeoutSec",
                "icmpIdleTimeoutSec",
                "tcpEstablishedIdleTimeoutSec",
                "tcpTransitoryIdleTimeoutSec",
                "tcpTimeWaitTimeoutSec",
                "logConfig",
            )
        ),
    ),
)


def _rules(name: str, api: str) -> Field:
    return Field(
        name=name,
        kind=Kind.OBJECT_SET,
        api=api,
        fields=(
            Field(
                name="protocol", api="IPProtocol", required=True, equal=lambda a, b: a.lower() == b.lower()
            ),
            Field(name="ports", kind=Kind.LIST),
        ),
    )


_IN_PLACE: Final = (
    "allows",
    "denies",
    "description",
    "destinationRanges",
    "disabled",
    "logConfig",
    "network",
    "priority",
    "sourceRanges",
    "sourceServiceAccounts",
    "sourceTags",
    "targetServiceAccounts",
    "targetTags",
)

FIREWALL: Final = Resource(
    type="gcp:compute/firewall:Firewall",
    service="compute",
    identity="projects/{project}/global/firewalls/{name}",
    collection="projects/{project}/global/firewalls",
    one_of=(("allows", "denies"),),
    fields=(
        NAME,
        PROJECT,
        Field(
            name="network",
            required=True,
            expand=global_path("networks"),
            flatten=version_1,
            equal=same_link,
        ),
        _rules("allows", "allowed"),
        _rules("denies", "denied"),
        Field(name="description", zero=True),
        Field(name="direction", computed=True, replace=True, values=("INGRESS", "EGRESS")),
        Field(name="disabled", kind=Kind.BOOLEAN, zero=True),
        Field(name="priority", kind=Kind.INTEGER, default=1000, zero=True),
        # An ingress rule without sources is one for every source, and is shown as such
        Field(name="sourceRanges", kind=Kind.SET, computed=True),
        Field(name="destinationRanges", kind=Kind.SET, computed=True),
        Field(name="sourceTags", kind=Kind.SET),
        Field(name="targetTags", kind=Kind.SET),
        Field(name="sourceServiceAccounts", kind=Kind.SET),
        Field(name="targetServiceAccounts", kind=Kind.SET),
        Field(
            name="logConfig",
            kind=Kind.OBJECT,
            absent={"enable": False},
            expand=lambda value, scope: {"enable": True, **value},
            flatten=lambda value: value if value.get("enable") else None,
            fields=(
                Field(
                    name="metadata",
                    required=True,
                    values=("EXCLUDE_ALL_METADATA", "INCLUDE_ALL_METADATA"),
                ),
            ),
        ),
        DELETION_POLICY,
        CREATED,
        SELF_LINK,
    ),
    updates=(Update(fields=_IN_PLACE),),
)

ROUTE: Final = Resource(
    type="gcp:compute/route:Route",
    service="compute",
    identity="projects/{project}/global/routes/{name}",
    collection="projects/{project}/global/routes",
    one_of=(("nextHopGateway", "nextHopIp"),),
    fields=(
        NAME,
        PROJECT,
        NETWORK_LINK,
        DESCRIPTION,
        Field(name="destRange", required=True, replace=True),
        Field(name="priority", kind=Kind.INTEGER, default=1000, zero=True, replace=True),
        Field(name="tags", kind=Kind.SET, replace=True),
        Field(name="nextHopGateway", replace=True, expand=_gateway_path, equal=same_link),
        Field(name="nextHopIp", computed=True, replace=True),
        DELETION_POLICY,
        CREATED,
        Field(name="nextHopNetwork", output=True),
        Field(name="routeType", output=True),
        Field(name="routeStatus", output=True),
        SELF_LINK,
    ),
)

RESOURCES: Final = (NETWORK, SUBNETWORK, ROUTER, ROUTER_NAT, FIREWALL, ROUTE)
