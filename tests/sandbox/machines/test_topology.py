"""Who reaches what, as a function of the declared resources."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

import pytest

from sandbox.cloud.errors import ApiError
from sandbox.machines.addresses import Leases, lease
from sandbox.machines.topology import Decision, Topology, build
from tests.sandbox.machines.declare import (
    REGION,
    Resources,
    allow_vip,
    deny_egress,
    firewall,
    inner,
    nat,
    node,
    outer,
    route,
    vpc,
)
from tests.sandbox.machines.test_declared import declared

TCP, UDP, ICMP = 6, 17, 1
HOST, HOST6 = "203.0.113.7", "2001:db8::7"
RESTRICTED, PRIVATE, PUBLIC = "199.36.153.4", "199.36.153.8", "198.51.100.10"

BARE = vpc("p", "10.0.0.0/24", privateIpGoogleAccess=False)
DEFAULT = route("p", "default", "0.0.0.0/0")
EXTERNAL: dict[str, Any] = {
    "networkConfig": {
        "enableExternalIps": True,
        "network": "projects/p/global/networks/vpc",
        "subnetwork": f"projects/p/regions/{REGION}/subnetworks/subnet",
    }
}


def topology(resources: Resources, *nodes: dict[str, Any], previous: Leases | None = None) -> Topology:
    return build(declared(resources, *nodes), previous or {})[0]


def egress(
    resources: Resources,
    destination: str,
    protocol: int = TCP,
    port: int | None = 443,
    sender: dict[str, Any] | None = None,
    others: Iterable[dict[str, Any]] = (),
    project: str = "p",
) -> Decision:
    own = sender or node(project)
    vpc_, machine = topology(resources, own, *others).machine(own["name"])
    return vpc_.egress(machine, ip_address(destination), protocol, port)


class TestWayOut:
    def test_nothing_declared_is_no_route(self) -> None:
        assert egress(BARE, HOST) == Decision(False, "no route")

    def test_a_default_route_alone_leads_nowhere(self) -> None:
        assert egress(BARE | DEFAULT, HOST) == Decision(False, "neither an external address nor NAT")

    def test_nat_alone_has_no_route(self) -> None:
        assert egress(BARE | nat("p"), HOST) == Decision(False, "no route")

    def test_nat_and_a_route(self) -> None:
        assert egress(BARE | DEFAULT | nat("p"), HOST).allowed

    def test_an_external_address_and_a_route(self) -> None:
        assert egress(BARE | DEFAULT, HOST, sender=node("p", **EXTERNAL)).allowed

    def test_private_google_access_is_no_way_to_the_internet(self) -> None:
        assert not egress(vpc("p", "10.0.0.0/24", privateIpGoogleAccess=True) | DEFAULT, HOST).allowed

    def test_nat_for_another_subnet(self) -> None:
        other = nat(
            "p", sourceSubnetworkIpRangesToNat="LIST_OF_SUBNETWORKS", subnetworks=[{"name": "another"}]
        )
        assert not egress(BARE | DEFAULT | other, HOST).allowed

    def test_nat_of_another_region(self) -> None:
        (body,) = nat("p").values()
        other = {"compute/projects/p/regions/europe-west4/routers/router": body}
        assert not egress(BARE | DEFAULT | other, HOST).allowed

    def test_nat_of_another_network(self) -> None:
        both = BARE | DEFAULT | outer("q")
        assert not egress(both, HOST).allowed

    def test_a_route_for_tagged_machines_only(self) -> None:
        tagged = BARE | nat("p") | route("p", "default", "0.0.0.0/0", tags=["way-out"])
        assert not egress(tagged, HOST).allowed
        assert egress(tagged, HOST, sender=node("p", tags=["way-out"])).allowed


class TestGoogle:
    @pytest.mark.parametrize("address", [RESTRICTED, PRIVATE, PUBLIC])
    def test_private_google_access_opens_the_gateway_to_google(self, address: str) -> None:
        on = vpc("p", "10.0.0.0/24", privateIpGoogleAccess=True)
        assert egress(on | DEFAULT, address).allowed
        assert not egress(BARE | DEFAULT, address).allowed

    def test_nat_turns_it_on(self) -> None:
        assert egress(BARE | DEFAULT | nat("p"), RESTRICTED).allowed

    def test_a_route_to_the_restricted_address_leads_there_only(self) -> None:
        sealed = vpc("p", "10.0.0.0/24") | route("p", "vip", "199.36.153.4/30")
        assert egress(sealed, RESTRICTED).allowed
        assert egress(sealed, "199.36.153.7").allowed
        assert egress(sealed, PRIVATE) == Decision(False, "no route")
        assert egress(sealed, PUBLIC) == Decision(False, "no route")

    def test_the_metadata_server_needs_nothing(self) -> None:
        closed = BARE | deny_egress("p", "deny", "0.0.0.0/0")
        assert egress(closed, "169.254.169.254", UDP, 53).allowed


class TestFirewall:
    OPEN = BARE | DEFAULT | nat("p")

    def test_the_implied_rule_allows_egress(self) -> None:
        assert egress(self.OPEN, HOST, UDP, 7).allowed

    def test_deny_all(self) -> None:
        closed = self.OPEN | deny_egress("p", "deny", "0.0.0.0/0")
        assert egress(closed, HOST) == Decision(False, "firewall deny denies it")
        assert not egress(closed, HOST, ICMP, None).allowed

    def test_the_lower_number_wins(self) -> None:
        closed = self.OPEN | deny_egress("p", "deny", "0.0.0.0/0") | allow_vip("p")
        assert egress(closed, RESTRICTED, TCP, 443).allowed
        assert not egress(closed, RESTRICTED, TCP, 80).allowed
        assert not egress(closed, RESTRICTED, UDP, 443).allowed

    def test_deny_wins_at_the_same_priority(self) -> None:
        rule = {"direction": "EGRESS", "priority": 5}
        both = firewall("p", "a", allowed=[{"IPProtocol": "all"}], **rule)
        both |= firewall("p", "b", denied=[{"IPProtocol": "udp"}], **rule)
        assert not egress(self.OPEN | both, HOST, UDP, 7).allowed
        assert egress(self.OPEN | both, HOST, TCP, 7).allowed

    def test_a_rule_at_the_last_priority_comes_before_the_implied_one(self) -> None:
        rule = firewall("p", "d", denied=[{"IPProtocol": "all"}], direction="EGRESS", priority=65535)
        assert not egress(self.OPEN | rule, HOST).allowed

    def test_ranges_of_ports(self) -> None:
        rule = firewall(
            "p",
            "d",
            denied=[{"IPProtocol": "tcp", "ports": ["22", "8000-8002"]}],
            direction="EGRESS",
        )
        reached = {
            port: egress(self.OPEN | rule, HOST, TCP, port).allowed
            for port in (21, 22, 7999, 8000, 8002, 8003)
        }
        assert reached == {21: True, 22: False, 7999: True, 8000: False, 8002: False, 8003: True}

    def test_a_protocol_by_number(self) -> None:
        rule = firewall("p", "d", denied=[{"IPProtocol": "17"}], direction="EGRESS")
        assert not egress(self.OPEN | rule, HOST, UDP, 7).allowed
        assert egress(self.OPEN | rule, HOST, TCP, 7).allowed

    @pytest.mark.parametrize(
        ("field", "value"),
        [("targetTags", ["inner"]), ("targetServiceAccounts", ["vm@p.iam.gserviceaccount.com"])],
    )
    def test_targets(self, field: str, value: list[str]) -> None:
        rule = firewall("p", "d", denied=[{"IPProtocol": "all"}], direction="EGRESS", **{field: value})
        assert not egress(self.OPEN | rule, HOST).allowed
        other = node("p", tags=["x"], serviceAccount={"email": "other@p.iam.gserviceaccount.com"})
        assert egress(self.OPEN | rule, HOST, sender=other).allowed

    def test_a_rule_of_another_network_says_nothing(self) -> None:
        both = self.OPEN | outer("q") | deny_egress("q", "deny", "0.0.0.0/0")
        assert egress(both, HOST).allowed


class TestBetweenMachines:
    ALLOW = firewall("p", "peers", allowed=[{"IPProtocol": "tcp", "ports": ["7"]}], sourceTags=["inner"])

    def between(self, rules: Resources, port: int = 7) -> Decision:
        other = node("p", "other", tags=["server"])
        return egress(BARE | rules, "10.0.0.3", TCP, port, others=[other])

    def test_ingress_is_denied_unless_allowed(self) -> None:
        assert self.between({}) == Decision(False, "firewall implied-deny-ingress denies it")
        assert self.between(self.ALLOW) == Decision(True, "firewall peers allows it")
        assert not self.between(self.ALLOW, 8).allowed

    def test_egress_rules_come_first(self) -> None:
        assert not self.between(self.ALLOW | deny_egress("p", "deny", "10.0.0.0/8")).allowed

    def test_an_address_that_nobody_has(self) -> None:
        assert egress(BARE | DEFAULT | nat("p"), "10.0.0.99") == Decision(False, "no machine has 10.0.0.99")


class TestIpv6:
    def test_a_machine_without_an_address(self) -> None:
        assert not egress(BARE | DEFAULT | nat("p") | route("p", "d6", "::/0"), HOST6).allowed

    def test_dual_stack(self) -> None:
        dual = vpc("p", "10.0.0.0/24", stackType="IPV4_IPV6", ipv6AccessType="EXTERNAL")
        six = route("p", "d6", "::/0")
        assert egress(dual | six, HOST6).allowed
        assert egress(dual, HOST6) == Decision(False, "no route")
        assert not egress(dual | six | deny_egress("p", "d", "::/0"), HOST6).allowed
        assert egress(dual | six | deny_egress("p", "d", "0.0.0.0/0"), HOST6).allowed


class TestStacks:
    def test_outer_reaches_everything(self) -> None:
        for destination in (HOST, HOST6, PUBLIC):
            assert egress(outer(), destination, project="dmz-outer").allowed

    def test_inner_reaches_the_restricted_address_only(self) -> None:
        reached = [
            destination
            for destination in (HOST, HOST6, PUBLIC, PRIVATE, RESTRICTED)
            if egress(inner(), destination, project="dmz-inner").allowed
        ]
        assert reached == [RESTRICTED]


class TestLeases:
    def test_google_keeps_four_addresses_of_each_subnet(self) -> None:
        small = vpc("p", "10.0.0.0/29")
        nodes = [node("p", f"m{number}") for number in range(4)]
        made = topology(small, *nodes)
        assert [str(each.address) for each in made.vpcs[0].machines] == [
            "10.0.0.2",
            "10.0.0.3",
            "10.0.0.4",
            "10.0.0.5",
        ]
        with pytest.raises(ApiError, match="no address left"):
            topology(small, *nodes, node("p", "m4"))

    def test_addresses_stay_with_their_machines(self) -> None:
        first, second = node("p", "a"), node("p", "b")
        _, leases = build(declared(BARE, first, second), {})
        alone, later = build(declared(BARE, second), leases)
        assert [str(each.address) for each in alone.vpcs[0].machines] == ["10.0.0.3"]
        both, _ = build(declared(BARE, second, node("p", "c")), later)
        assert {each.hostname: str(each.address) for each in both.vpcs[0].machines} == {
            "b": "10.0.0.3",
            "c": "10.0.0.2",
        }

    def test_a_number_out_of_range_is_not_kept(self) -> None:
        assert lease(["a"], {"a": 99}, range(1, 3), "x") == {"a": 1}

    def test_two_networks_may_have_the_same_ranges(self) -> None:
        made = topology(vpc("p", "10.0.0.0/24") | vpc("q", "10.0.0.0/24"), node("p"), node("q"))
        assert [str(each.machines[0].address) for each in made.vpcs] == ["10.0.0.2", "10.0.0.2"]
        assert made.vpcs[0].nat_address != made.vpcs[1].nat_address


class TestRefusals:
    def test_overlapping_subnets(self) -> None:
        second = {f"compute/projects/p/regions/{REGION}/subnetworks/b": next(reversed(BARE.values()))}
        with pytest.raises(ApiError, match=r"overlaps 10\.0\.0\.0/24"):
            topology(BARE | second)

    def test_a_subnet_in_googles_own_range(self) -> None:
        with pytest.raises(ApiError, match="Google's own"):
            topology(vpc("p", "199.36.153.0/24"))

    def test_a_network_that_is_not_declared(self) -> None:
        with pytest.raises(ApiError, match="projects/p/global/networks/vpc is not declared"):
            topology(DEFAULT)
        with pytest.raises(ApiError, match="is not declared"):
            topology({}, node("p"))

    def test_a_subnet_of_another_network(self) -> None:
        config = {
            **EXTERNAL["networkConfig"],
            "subnetwork": f"projects/q/regions/{REGION}/subnetworks/subnet",
        }
        with pytest.raises(ApiError, match="is not one of"):
            topology(BARE | vpc("q", "10.0.0.0/24"), node("p", networkConfig=config))
