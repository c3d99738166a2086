"""Compute Engine: networks and what is in them (https://cloud.google.com/compute/docs/reference/rest/beta)."""

from __future__ import annotations

import hashlib
from ipaddress import IPv4Network, ip_network
from typing import Any, Final

from sandbox.cloud.context import Call, Cloud, Handler
from sandbox.cloud.errors import ApiError, invalid, unimplemented
from sandbox.cloud.kinds import DEFAULT_ROUTE, Kind, Resource, compute_address, project_of
from sandbox.cloud.references import project_number, resource_path

GATEWAY: Final = "default-internet-gateway"


def _network(cloud: Cloud, name: str, network: Resource) -> None:
    if network.get("IPv4Range"):
        raise unimplemented("The sandbox has no legacy networks: leave IPv4Range out.")
    if network.get("autoCreateSubnetworks", True):
        raise unimplemented("The sandbox has no auto mode networks: set autoCreateSubnetworks to false.")
    network.setdefault("routingConfig", {}).setdefault("routingMode", "REGIONAL")
    network["routingConfig"].pop("deleteBgpAlwaysCompareMed", None)  # input only
    network["routingConfig"].setdefault("bgpBestPathSelectionMode", "LEGACY")
    network.setdefault("networkFirewallPolicyEnforcementOrder", "AFTER_CLASSIC_FIREWALL")


def _default_route(cloud: Cloud, network: str, destination: str) -> list[str]:
    """Make the route to the internet that a network has until somebody deletes it; its name, if it is new."""
    project = project_of(network)
    digest = hashlib.sha256(f"{network} {destination}".encode()).hexdigest()
    path = f"projects/{project}/global/routes/{DEFAULT_ROUTE}{digest[:16]}"
    if cloud.store.get(f"compute/{path}") is not None:
        return []
    cloud.store.put(
        f"compute/{path}",
        {
            "kind": "compute#route",
            "id": str(int(digest[:15], 16)),
            "name": path.rpartition("/")[2],
            "description": "Default route to the Internet.",
            "network": compute_address(cloud, network.removeprefix("compute/")),
            "destRange": destination,
            "priority": 1000,
            "nextHopGateway": compute_address(cloud, f"projects/{project}/global/gateways/{GATEWAY}"),
            "selfLink": compute_address(cloud, path),
        },
    )
    return [f"compute/{path}"]


def _network_created(cloud: Cloud, name: str, network: Resource) -> list[str]:
    return _default_route(cloud, name, "0.0.0.0/0")


def _network_deleting(cloud: Cloud, name: str, network: Resource) -> None:
    for route, _ in _in_network(cloud, name, "routes"):
        cloud.store.delete(route)


def _network_shown(cloud: Cloud, name: str, network: Resource) -> None:
    subnets = [subnet["selfLink"] for _, subnet in _in_network(cloud, name, "subnetworks")]
    if subnets:
        network["subnetworks"] = subnets


def _in_network(cloud: Cloud, network: str, segment: str) -> list[tuple[str, Resource]]:
    """The resources of one kind that belong to the network with this name in the store."""
    path = network.removeprefix("compute/")
    project = project_of(network)
    return [
        (name, resource)
        for name, resource in cloud.store.list(f"compute/projects/{project}/").items()
        if name.split("/")[-2] == segment and resource_path(resource["network"], project) == path
    ]


def _subnetwork(cloud: Cloud, name: str, subnet: Resource) -> None:
    network = subnet.get("network")
    if not network:
        raise _missing("network")
    address = _range("ipCidrRange", subnet.get("ipCidrRange", ""))
    if not isinstance(address, IPv4Network):
        raise invalid(f"Invalid value for field 'resource.ipCidrRange': '{address}'. Must be an IPv4 range.")
    path = resource_path(network, project_of(name))
    for other, resource in _in_network(cloud, f"compute/{path}", "subnetworks"):
        if other != name and address.overlaps(ip_network(resource["ipCidrRange"])):
            raise invalid(
                f"Invalid IPCidrRange: {address} conflicts with existing subnetwork "
                f"'{resource['name']}' in region '{other.split('/')[4]}'."
            )
    subnet["gatewayAddress"] = str(address[1])
    subnet.setdefault("privateIpGoogleAccess", False)
    subnet.setdefault("privateIpv6GoogleAccess", "DISABLE_GOOGLE_ACCESS")
    subnet.setdefault("purpose", "PRIVATE")
    subnet.setdefault("stackType", "IPV4_ONLY")


def _subnetwork_created(cloud: Cloud, name: str, subnet: Resource) -> list[str]:
    # https://cloud.google.com/vpc/docs/routes: the first subnet with external IPv6 brings the route ::/0.
    if subnet.get("ipv6AccessType") == "EXTERNAL":
        network = resource_path(subnet["network"], project_of(name))
        return _default_route(cloud, f"compute/{network}", "::/0")
    return []


def _route(cloud: Cloud, name: str, route: Resource) -> None:
    for field in ("network", "destRange"):
        if not route.get(field):
            raise _missing(field)
    _range("destRange", route["destRange"])
    hops = [field for field in route if field.startswith("nextHop")]
    if len(hops) != 1:
        raise invalid("Invalid value for field 'resource': exactly one next hop must be specified.")
    if hops != ["nextHopGateway"] or not route["nextHopGateway"].endswith(GATEWAY):
        raise unimplemented(f"The sandbox's only next hop is nextHopGateway {GATEWAY}, not {hops[0]}.")
    gateway = f"projects/{project_of(name)}/global/gateways/{GATEWAY}"
    route["nextHopGateway"] = compute_address(cloud, gateway)


def _firewall(cloud: Cloud, name: str, rule: Resource) -> None:
    rule.setdefault("direction", "INGRESS")
    rule.setdefault("priority", 1000)
    rule.setdefault("disabled", False)
    rule.setdefault("logConfig", {}).setdefault("enable", False)
    if not rule.get("network"):
        raise _missing("network")
    if bool(rule.get("allowed")) == bool(rule.get("denied")):
        raise invalid("Invalid value for field 'resource': a rule has either 'allowed' or 'denied'.")
    if not 0 <= rule["priority"] <= 65535:
        raise invalid(
            f"Invalid value for field 'resource.priority': '{rule['priority']}'. Must be 0 to 65535."
        )
    for field in ("sourceRanges", "destinationRanges"):
        for text in rule.get(field, []):
            _range(field, text)
    sources = ("sourceRanges", "sourceTags", "sourceServiceAccounts")
    if rule["direction"] == "EGRESS":
        if set(sources[1:]) & set(rule):
            raise invalid(
                "Invalid value for field 'resource': an EGRESS rule has no source tags or accounts."
            )
        if not rule.get("destinationRanges"):
            rule["destinationRanges"] = ["0.0.0.0/0"]
    elif not any(rule.get(field) for field in sources):
        rule["sourceRanges"] = ["0.0.0.0/0"]


def _router(cloud: Cloud, name: str, router: Resource) -> None:
    if not router.get("network"):
        raise _missing("network")
    seen = set()
    for nat in router.get("nats", []):
        if not nat.get("name") or nat["name"] in seen:
            raise invalid(f"Invalid value for field 'resource.nats': '{nat.get('name')}' is no new name.")
        seen.add(nat["name"])
        nat.pop("initialNatIps", None)  # input only


async def _project(cloud: Cloud, call: Call) -> dict[str, Any]:
    """`compute.projects.get`: what Compute knows of a project, which exists as soon as it is named."""
    project = call.params["project"]
    return {
        "kind": "compute#project",
        "id": str(project_number(project)),
        "name": project,
        "selfLink": compute_address(cloud, f"projects/{project}"),
        "defaultNetworkTier": "PREMIUM",
        "xpnProjectStatus": "UNSPECIFIED_XPN_PROJECT_STATUS",
    }


def _missing(field: str) -> ApiError:
    return invalid(f"Invalid value for field 'resource.{field}': ''. Required field not specified.")


def _range(field: str, text: str) -> Any:
    try:
        return ip_network(text)
    except ValueError:
        raise invalid(
            f"Invalid value for field 'resource.{field}': '{text}'. Must be a CIDR address range."
        ) from None


KINDS: Final = [
    Kind(
        "compute.networks",
        "networks",
        prepare=_network,
        created=_network_created,
        deleting=_network_deleting,
        show=_network_shown,
        networked=True,
    ),
    Kind(
        "compute.subnetworks",
        "subnetworks",
        references=("network",),
        prepare=_subnetwork,
        created=_subnetwork_created,
        networked=True,
    ),
    Kind("compute.routes", "routes", references=("network",), prepare=_route, networked=True),
    Kind("compute.firewalls", "firewalls", references=("network",), prepare=_firewall, networked=True),
    Kind(
        "compute.routers",
        "routers",
        references=("network", "nats[].subnetworks[].name"),
        prepare=_router,
        networked=True,
    ),
]

OVERRIDES: Final[dict[str, Handler]] = {"compute.projects.get": _project}
