"""What is read of the resources, and what is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.cloud.errors import ApiError
from sandbox.machines.declared import Declared, network_name, read
from tests.sandbox.machines.declare import (
    Resources,
    deny_egress,
    firewall,
    inner,
    nat,
    node,
    outer,
    route,
    vpc,
)


def declared(resources: Resources, *nodes: dict[str, Any]) -> Declared:
    compute = {name: body for name, body in resources.items() if name.startswith("compute/")}
    return read(compute, {each["name"]: each for each in nodes})


@pytest.mark.parametrize(
    "reference",
    [
        "projects/p/global/networks/n",
        "https://www.googleapis.com/compute/v1/projects/p/global/networks/n",
        "http://127.0.0.1:1/compute/beta/http://127.0.0.1:1/compute/v1/projects/p/global/networks/n",
        "global/networks/n",
        "n",
    ],
)
def test_every_form_of_a_networks_url(reference: str) -> None:
    assert network_name(reference, "p") == "projects/p/global/networks/n"


def test_what_the_plugin_posts_is_read_whole() -> None:
    read_back = declared(outer() | inner(), node("dmz-outer"), node("dmz-inner"))
    assert [each.name for each in read_back.networks] == [
        "projects/dmz-outer/global/networks/vpc",
        "projects/dmz-inner/global/networks/vpc",
    ]
    assert [(each.network.split("/")[1], str(each.destination)) for each in read_back.routes] == [
        ("dmz-outer", "0.0.0.0/0"),
        ("dmz-outer", "::/0"),
        ("dmz-inner", "199.36.153.4/30"),
    ]
    assert [each.subnets for each in read_back.nats] == [None]
    assert {each.name.rpartition("/")[2] for each in read_back.firewalls} == {
        "allow-iap",
        "deny-egress",
        "deny-egress6",
        "allow-restricted-vip",
    }


def test_a_disabled_rule_is_none() -> None:
    rule = firewall("p", "off", allowed=[{"IPProtocol": "all"}], disabled=True)
    assert declared(vpc("p", "10.0.0.0/24") | rule).firewalls == ()


def test_defaults_of_a_firewall_rule() -> None:
    (ingress,) = declared(firewall("p", "a", allowed=[{"IPProtocol": "tcp"}])).firewalls
    assert (ingress.direction, ingress.priority) == ("INGRESS", 1000)
    assert [str(each) for each in ingress.sources] == ["0.0.0.0/0"]
    (egress,) = declared(
        firewall("p", "a", denied=[{"IPProtocol": "all"}], direction="EGRESS", priority=0)
    ).firewalls
    assert (egress.direction, egress.priority) == ("EGRESS", 0)
    assert [str(each) for each in egress.destinations] == ["0.0.0.0/0"]


SUBNET = "compute/projects/p/regions/us-central1/subnetworks/subnet"
NETWORK = "compute/projects/p/global/networks/vpc"


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        (NETWORK, "autoCreateSubnetworks", True),
        (NETWORK, "enableUlaInternalIpv6", True),
        (NETWORK, "peerings", [{"name": "x"}]),
        (SUBNET, "secondaryIpRanges", [{"rangeName": "pods", "ipCidrRange": "10.9.0.0/16"}]),
        (SUBNET, "stackType", "IPV6_ONLY"),
        (SUBNET, "purpose", "PRIVATE_NAT"),
        (SUBNET, "privateIpv6GoogleAccess", "ENABLE_OUTBOUND_VM_ACCESS_TO_GOOGLE"),
    ],
)
def test_a_field_that_can_not_be_reproduced_is_named(name: str, field: str, value: Any) -> None:
    resources = vpc("p", "10.0.0.0/24")
    resources[name] = {**resources[name], field: value}
    with pytest.raises(ApiError, match=field) as error:
        declared(resources)
    assert error.value.status == 501


def test_internal_ipv6_is_refused() -> None:
    with pytest.raises(ApiError, match="ipv6AccessType INTERNAL"):
        declared(vpc("p", "10.0.0.0/24", stackType="IPV4_IPV6", ipv6AccessType="INTERNAL"))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"type": "PRIVATE"}, "type PRIVATE"),
        ({"natIpAllocateOption": "MANUAL_ONLY"}, "natIpAllocateOption MANUAL_ONLY"),
        ({"natIps": ["x"]}, "natIps"),
        ({"rules": [{"ruleNumber": 1}]}, "rules"),
        ({"sourceSubnetworkIpRangesToNat64": "ALL_IPV6_SUBNETWORKS"}, "sourceSubnetworkIpRangesToNat64"),
    ],
)
def test_a_nat_that_can_not_be_reproduced(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ApiError, match=named):
        declared(vpc("p", "10.0.0.0/24") | nat("p", **options))


def test_a_nat_may_be_for_some_subnets() -> None:
    listed = nat(
        "p",
        sourceSubnetworkIpRangesToNat="LIST_OF_SUBNETWORKS",
        subnetworks=[
            {
                "name": "https://x/projects/p/regions/us-central1/subnetworks/a",
                "sourceIpRangesToNat": ["ALL_IP_RANGES"],
            }
        ],
    )
    (found,) = declared(listed).nats
    assert found.subnets == frozenset({"projects/p/regions/us-central1/subnetworks/a"})


@pytest.mark.parametrize("hop", ["nextHopIp", "nextHopInstance", "nextHopIlb", "nextHopVpnTunnel"])
def test_other_next_hops_are_refused(hop: str) -> None:
    made = route("p", "r", "10.9.0.0/16")
    for body in made.values():
        del body["nextHopGateway"]
        body[hop] = "somewhere"
    with pytest.raises(ApiError, match=hop):
        declared(made)


@pytest.mark.parametrize("kind", ["firewallPolicies", "forwardingRules", "vpnTunnels"])
def test_resources_that_would_change_reachability_are_refused(kind: str) -> None:
    with pytest.raises(ApiError, match=kind):
        declared({f"compute/projects/p/global/{kind}/x": {"name": "x"}})


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"dataDisks": [{"sourceDisk": "d"}]}, "dataDisks"),
        ({"metadata": {"shutdown-script": "x"}}, "shutdown-script"),
        ({"metadata": {"startup-script-url": "gs://x"}}, "startup-script-url"),
        ({"acceleratorType": "v3-32"}, "v3-32"),
        ({"networkConfig": {"canIpForward": True}}, "canIpForward"),
    ],
)
def test_a_node_that_can_not_be_reproduced(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ApiError, match=named):
        declared({}, node("p", **options))


@pytest.mark.parametrize(
    "body",
    [
        {"allowed": [{"IPProtocol": "tcp"}], "denied": [{"IPProtocol": "udp"}]},
        {"allowed": [{"IPProtocol": "carrier-pigeon"}]},
        {"allowed": [{"IPProtocol": "icmp", "ports": ["7"]}]},
        {"allowed": [{"IPProtocol": "tcp", "ports": ["http"]}]},
        {"allowed": [{"IPProtocol": "tcp"}], "priority": 70000},
        {"allowed": [{"IPProtocol": "tcp"}], "sourceRanges": ["10.0.0.1/24"]},
    ],
)
def test_a_rule_that_makes_no_sense(body: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as error:
        declared(firewall("p", "odd", **body))
    assert error.value.status == 400
    assert "projects/p/global/firewalls/odd" in str(error.value)


def test_null_and_empty_fields_say_nothing() -> None:
    resources = vpc("p", "10.0.0.0/24", secondaryIpRanges=[], reservedInternalRange=None)
    assert len(declared(resources | deny_egress("p", "d", "0.0.0.0/0")).subnets) == 1
