"""The resources of the Store that make up networks and machines, read into types.

Whatever the sandbox can't reproduce is refused here by the name of its field, never ignored. The exception is
logs of firewalls, NAT and flows: they are accepted and not written, for they change nothing that is reached.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final, Literal

from sandbox.cloud.errors import invalid, unimplemented
from sandbox.machines.addresses import Network

Resource = Mapping[str, Any]

_SEEN_ONLY: Final = frozenset(
    (
        *("kind", "id", "name", "description", "labels", "labelFingerprint", "fingerprint", "etag"),
        *("creationTimestamp", "createTime", "creationTime", "selfLink", "selfLinkWithId"),
    )
)
"""Fields of every resource that change nothing in a network."""

_NOT_REPRODUCED: Final = (
    "firewallPolicies",
    "forwardingRules",
    "instances",
    "interconnectAttachments",
    "packetMirrorings",
    "vpnTunnels",
)
"""Collections of Compute that would change what a machine can reach."""


@dataclass(frozen=True)
class DeclaredNetwork:
    """compute.networks: `projects/P/global/networks/N`."""

    name: str
    mtu: int
    """Bytes of an IP packet; Google's default is 1460."""


@dataclass(frozen=True)
class DeclaredSubnet:
    """compute.subnetworks: `projects/P/regions/R/subnetworks/S`."""

    name: str
    network: str
    region: str
    range: IPv4Network
    google_access: bool
    """Private Google access: machines without an external address reach Google's services."""
    dual_stack: bool
    """Machines get an external IPv6 address."""


@dataclass(frozen=True)
class DeclaredRoute:
    """compute.routes, always by the default internet gateway."""

    name: str
    network: str
    destination: Network
    priority: int
    """0 to 65535; the lower one wins among routes to the same range."""
    tags: frozenset[str]
    """Only machines with one of these; every machine when empty."""


@dataclass(frozen=True)
class DeclaredNat:
    """One of compute.routers' `nats`."""

    name: str
    network: str
    region: str
    subnets: frozenset[str] | None
    """None stands for every subnet of the region."""


@dataclass(frozen=True)
class Protocol:
    """One entry of a firewall rule's `allowed` or `denied`."""

    number: int | None
    """IANA's protocol number; None is every protocol."""
    ports: tuple[tuple[int, int], ...] = ()
    """First and last destination port; every port when empty."""


@dataclass(frozen=True)
class DeclaredFirewall:
    """compute.firewalls."""

    name: str
    network: str
    direction: Literal["INGRESS", "EGRESS"]
    priority: int
    allow: bool
    protocols: tuple[Protocol, ...]
    sources: tuple[Network, ...]
    source_tags: frozenset[str]
    source_accounts: frozenset[str]
    destinations: tuple[Network, ...]
    target_tags: frozenset[str]
    target_accounts: frozenset[str]


@dataclass(frozen=True)
class DeclaredNode:
    """tpu.projects.locations.nodes: one machine."""

    name: str
    """`projects/P/locations/ZONE/nodes/NODE`"""
    network: str
    subnet: str
    runtime: str
    external_address: bool
    tags: frozenset[str]
    service_account: str
    """Its email; empty when none is declared."""

    @property
    def project(self) -> str:
        """The project that the machine belongs to."""
        return self.name.split("/")[1]

    @property
    def zone(self) -> str:
        """Where it runs, such as `us-central1-a`."""
        return self.name.split("/")[3]

    @property
    def hostname(self) -> str:
        """The first part of its internal DNS name."""
        return self.name.split("/")[5]


@dataclass(frozen=True)
class Declared:
    """Everything that is declared about networks and machines."""

    networks: tuple[DeclaredNetwork, ...]
    subnets: tuple[DeclaredSubnet, ...]
    routes: tuple[DeclaredRoute, ...]
    nats: tuple[DeclaredNat, ...]
    firewalls: tuple[DeclaredFirewall, ...]
    nodes: tuple[DeclaredNode, ...]


def read(compute: Mapping[str, Resource], nodes: Mapping[str, Resource]) -> Declared:
    """The Store's resources under `compute/` and the TPU nodes to consider, both by their name in the Store.

    A resource that the sandbox can't reproduce raises an ApiError that names the resource and the field.
    """
    kinds: dict[str, dict[str, Resource]] = {}
    for full, resource in compute.items():
        parts = full.split("/")
        kinds.setdefault(parts[-2], {})["/".join(parts[1:])] = resource
    for kind in _NOT_REPRODUCED:
        for name in kinds.get(kind, {}):
            raise unimplemented(f"{name}: the sandbox's machines can't reproduce {kind}")
    return Declared(
        networks=tuple(_network(name, body) for name, body in kinds.get("networks", {}).items()),
        subnets=tuple(_subnet(name, body) for name, body in kinds.get("subnetworks", {}).items()),
        routes=tuple(_route(name, body) for name, body in kinds.get("routes", {}).items()),
        nats=tuple(
            _nat(name, body, nat)
            for name, body in kinds.get("routers", {}).items()
            for nat in _nats(name, body)
        ),
        firewalls=tuple(
            _firewall(name, body)
            for name, body in kinds.get("firewalls", {}).items()
            if not body.get("disabled", False)
        ),
        nodes=tuple(node(body) for body in nodes.values()),
    )


def network_name(reference: str, project: str) -> str:
    """`projects/P/global/networks/N` from any of the forms in which Google's APIs take a network's URL."""
    found = re.search(r"projects/([^/]+)/global/networks/([^/]+)$", reference)
    if found:
        return f"projects/{found[1]}/global/networks/{found[2]}"
    return f"projects/{project}/global/networks/{reference.rpartition('/')[2]}"


def node(body: Resource) -> DeclaredNode:
    """One TPU node; `name` in the body is its full name."""
    name = str(body["name"])
    project, zone = name.split("/")[1], name.split("/")[3]
    _only(
        name,
        body,
        "acceleratorType runtimeVersion networkConfig metadata tags serviceAccount schedulingConfig "
        "shieldedInstanceConfig state health healthDescription apiVersion networkEndpoints symptoms",
    )
    network = body.get("networkConfig", {})
    _only(f"{name}: networkConfig", network, "network subnetwork enableExternalIps")
    metadata = body.get("metadata", {})
    for key in ("shutdown-script", "startup-script-url", "shutdown-script-url"):
        if key in metadata:
            raise unimplemented(f"{name}: metadata '{key}' is not run by the sandbox; use 'startup-script'")
    accelerator = str(body.get("acceleratorType", "v2-8"))
    size = accelerator.rpartition("-")[2]
    if not size.isdigit() or int(size) > 8:
        raise unimplemented(
            f"{name}: acceleratorType {accelerator} has several machines, the sandbox makes one"
        )
    zone_region = zone.rpartition("-")[0]
    subnet = str(network.get("subnetwork", "") or "default")
    found = re.search(r"projects/([^/]+)/regions/([^/]+)/subnetworks/([^/]+)$", subnet)
    return DeclaredNode(
        name=name,
        network=network_name(str(network.get("network", "") or "default"), project),
        subnet=(
            f"projects/{found[1]}/regions/{found[2]}/subnetworks/{found[3]}"
            if found
            else f"projects/{project}/regions/{zone_region}/subnetworks/{subnet.rpartition('/')[2]}"
        ),
        runtime=str(body.get("runtimeVersion", "")),
        external_address=bool(network.get("enableExternalIps", False)),
        tags=frozenset(body.get("tags", ())),
        service_account=str((body.get("serviceAccount") or {}).get("email", "")),
    )


def _only(name: str, resource: Resource, known: str) -> None:
    """Refuse a field that says something and that nobody here reads."""
    allowed = _SEEN_ONLY.union(known.split())
    for field, value in resource.items():
        if field not in allowed and value not in (None, False, 0, "", [], {}):
            raise unimplemented(f"{name}: the sandbox's machines can't reproduce '{field}'")


def _choice(name: str, resource: Resource, field: str, default: str, *choices: str) -> str:
    """The field's value, refused when it is none of the choices."""
    value = str(resource.get(field) or default)
    if value not in choices:
        raise unimplemented(f"{name}: the sandbox's machines can't reproduce {field} {value}")
    return value


def _network(name: str, body: Resource) -> DeclaredNetwork:
    _only(
        name,
        body,
        "mtu routingConfig networkFirewallPolicyEnforcementOrder subnetworks gatewayIPv4 subnetworkUrls",
    )
    return DeclaredNetwork(name=name, mtu=int(body.get("mtu") or 1460))


def _subnet(name: str, body: Resource) -> DeclaredSubnet:
    _only(
        name,
        body,
        "network region ipCidrRange privateIpGoogleAccess stackType ipv6AccessType purpose logConfig "
        "enableFlowLogs gatewayAddress externalIpv6Prefix ipv6CidrRange ipv6NetworkTier "
        "privateIpv6GoogleAccess state",
    )
    _choice(name, body, "purpose", "PRIVATE", "PRIVATE", "PRIVATE_RFC_1918")
    _choice(name, body, "privateIpv6GoogleAccess", "DISABLE_GOOGLE_ACCESS", "DISABLE_GOOGLE_ACCESS")
    dual = _choice(name, body, "stackType", "IPV4_ONLY", "IPV4_ONLY", "IPV4_IPV6") == "IPV4_IPV6"
    if dual:
        _choice(name, body, "ipv6AccessType", "unset", "EXTERNAL")
    project, region = name.split("/")[1], name.split("/")[3]
    range_ = _range(name, "ipCidrRange", str(body.get("ipCidrRange", "")))
    if not isinstance(range_, IPv4Network) or range_.prefixlen > 29:
        raise invalid(f"{name}: ipCidrRange {range_} must be an IPv4 range of /29 or larger")
    return DeclaredSubnet(
        name=name,
        network=network_name(str(body["network"]), project),
        region=region,
        range=range_,
        google_access=bool(body.get("privateIpGoogleAccess", False)),
        dual_stack=dual,
    )


def _route(name: str, body: Resource) -> DeclaredRoute:
    _only(name, body, "network destRange priority tags nextHopGateway routeType routeStatus warnings")
    gateway = str(body.get("nextHopGateway", ""))
    if not gateway.endswith("/default-internet-gateway") and gateway != "default-internet-gateway":
        raise unimplemented(f"{name}: the sandbox's only next hop is nextHopGateway default-internet-gateway")
    return DeclaredRoute(
        name=name,
        network=network_name(str(body["network"]), name.split("/")[1]),
        destination=_range(name, "destRange", str(body.get("destRange", ""))),
        priority=_priority(name, body),
        tags=frozenset(body.get("tags", ())),
    )


def _nats(name: str, body: Resource) -> Iterable[Resource]:
    _only(name, body, "network region nats encryptedInterconnectRouter")
    nats: list[Resource] = body.get("nats") or []
    return nats


def _nat(router: str, body: Resource, nat: Resource) -> DeclaredNat:
    name = f"{router}: nat {nat.get('name')}"
    _only(
        name,
        nat,
        "type natIpAllocateOption sourceSubnetworkIpRangesToNat subnetworks logConfig endpointTypes "
        "minPortsPerVm maxPortsPerVm enableDynamicPortAllocation enableEndpointIndependentMapping "
        "icmpIdleTimeoutSec "
        "tcpEstablishedIdleTimeoutSec tcpTimeWaitTimeoutSec effectiveTcpTimeWaitTimeoutSec "
        "tcpTransitoryIdleTimeoutSec udpIdleTimeoutSec autoNetworkTier",
    )
    _choice(name, nat, "type", "PUBLIC", "PUBLIC")
    _choice(name, nat, "natIpAllocateOption", "AUTO_ONLY", "AUTO_ONLY")
    if set(nat.get("endpointTypes") or ["ENDPOINT_TYPE_VM"]) != {"ENDPOINT_TYPE_VM"}:
        raise unimplemented(
            f"{name}: the sandbox's machines can't reproduce endpointTypes {nat['endpointTypes']}"
        )
    which = _choice(
        name,
        nat,
        "sourceSubnetworkIpRangesToNat",
        "unset",
        "ALL_SUBNETWORKS_ALL_IP_RANGES",
        "ALL_SUBNETWORKS_ALL_PRIMARY_IP_RANGES",
        "LIST_OF_SUBNETWORKS",
    )
    project, region = router.split("/")[1], router.split("/")[3]
    subnets: frozenset[str] | None = None
    if which == "LIST_OF_SUBNETWORKS":
        names = set()
        for entry in nat.get("subnetworks") or []:
            ranges = set(entry.get("sourceIpRangesToNat") or ["ALL_IP_RANGES"])
            if not ranges <= {"ALL_IP_RANGES", "PRIMARY_IP_RANGE"}:
                raise unimplemented(f"{name}: the sandbox's subnets have no secondary ranges to translate")
            names.add(
                f"projects/{project}/regions/{region}/subnetworks/{str(entry['name']).rpartition('/')[2]}"
            )
        subnets = frozenset(names)
    return DeclaredNat(
        name=str(nat.get("name")),
        network=network_name(str(body["network"]), project),
        region=region,
        subnets=subnets,
    )


def _firewall(name: str, body: Resource) -> DeclaredFirewall:
    _only(
        name,
        body,
        "network direction priority allowed denied disabled sourceRanges destinationRanges sourceTags "
        "sourceServiceAccounts targetTags targetServiceAccounts logConfig enableLogging",
    )
    direction: Literal["INGRESS", "EGRESS"]
    direction = (
        "EGRESS"
        if _choice(name, body, "direction", "INGRESS", "INGRESS", "EGRESS") == "EGRESS"
        else "INGRESS"
    )
    allowed, denied = body.get("allowed") or [], body.get("denied") or []
    if bool(allowed) == bool(denied):
        raise invalid(f"{name}: a firewall has either 'allowed' or 'denied'")
    sources = tuple(_range(name, "sourceRanges", text) for text in body.get("sourceRanges") or ())
    destinations = tuple(
        _range(name, "destinationRanges", text) for text in body.get("destinationRanges") or ()
    )
    tags = frozenset(body.get("sourceTags") or ())
    accounts = frozenset(body.get("sourceServiceAccounts") or ())
    if direction == "INGRESS" and not (sources or tags or accounts):
        sources = (IPv4Network("0.0.0.0/0"),)
    if direction == "EGRESS" and not destinations:
        destinations = (IPv4Network("0.0.0.0/0"),)
    return DeclaredFirewall(
        name=name,
        network=network_name(str(body["network"]), name.split("/")[1]),
        direction=direction,
        priority=_priority(name, body),
        allow=bool(allowed),
        protocols=tuple(_protocol(name, entry) for entry in allowed or denied),
        sources=sources,
        source_tags=tags,
        source_accounts=accounts,
        destinations=destinations,
        target_tags=frozenset(body.get("targetTags") or ()),
        target_accounts=frozenset(body.get("targetServiceAccounts") or ()),
    )


_PROTOCOLS: Final = {"all": None, "icmp": 1, "ipip": 4, "tcp": 6, "udp": 17, "esp": 50, "ah": 51, "sctp": 132}
"""The names that a firewall rule may use (https://cloud.google.com/firewall/docs/firewalls)."""


def _protocol(name: str, entry: Resource) -> Protocol:
    text = str(entry.get("IPProtocol", "")).lower()
    if text in _PROTOCOLS:
        number = _PROTOCOLS[text]
    elif text.isdigit() and int(text) < 256:
        number = int(text)
    else:
        raise invalid(f"{name}: IPProtocol '{text}' is neither a protocol that firewalls name nor a number")
    ports = []
    for port in entry.get("ports") or ():
        first, _, last = str(port).partition("-")
        try:
            ports.append((int(first), int(last or first)))
        except ValueError:
            raise invalid(f"{name}: '{port}' is neither a port nor a range of ports") from None
    if ports and number not in (6, 17, 132):
        raise invalid(f"{name}: only tcp, udp and sctp have ports, '{text}' has none")
    return Protocol(number, tuple(ports))


def _priority(name: str, body: Resource) -> int:
    priority = body.get("priority")
    value = 1000 if priority is None else int(priority)
    if not 0 <= value <= 65535:
        raise invalid(f"{name}: priority {value} is not between 0 and 65535")
    return value


def _range(name: str, field: str, text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise invalid(f"{name}: {field}: {error}") from None
