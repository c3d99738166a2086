"""What the kernel is told: rulesets, and the least commands from one state to the next."""

from __future__ import annotations

from sandbox.machines.ruleset import ruleset
from sandbox.machines.topology import Topology
from sandbox.machines.wiring import Names, Wiring, change, short, wire
from tests.sandbox.machines.declare import inner, nat, node, outer, route, vpc
from tests.sandbox.machines.test_topology import topology

NAMES = Names("abc123")
BOTH = topology(outer() | inner(), node("dmz-outer"), node("dmz-inner"))
RUNNING = ["projects/dmz-outer/locations/us-central1-a/nodes/machine"]


def chain(text: str, name: str) -> list[str]:
    """The rules of one chain."""
    return text.partition(f"chain {name} {{\n")[2].partition("\n  }")[0].replace("    ", "").splitlines()


class TestRuleset:
    def test_the_sealed_network(self) -> None:
        text = ruleset(BOTH.vpcs[1])
        assert chain(text, "egress") == [
            "ip saddr { 10.0.1.2 } ip daddr { 199.36.153.4/30 } tcp dport { 443 } goto route "
            'comment "allow-restricted-vip"',
            'ip saddr { 10.0.1.2 } drop comment "deny-egress"',
            'ip saddr { 10.0.1.2 } goto route comment "implied-allow-egress"',
            "drop",
        ]
        assert chain(text, "route") == [
            "ip daddr 10.0.1.0/24 goto ingress",
            "ip saddr { 10.0.1.2 } ip daddr { 199.36.153.4/30 } goto gateway",
            "drop",
        ]
        assert not any("internet" in rule for rule in chain(text, "gateway"))

    def test_the_open_network(self) -> None:
        text = ruleset(BOTH.vpcs[0])
        assert 'ip saddr { 10.0.0.2 } oifname "internet" accept' in chain(text, "gateway")
        assert 'ip6 saddr { 2001:db8:8000:1::2 } oifname "internet" accept' in chain(text, "gateway")
        assert 'oifname "internet" ip saddr 10.0.0.0/24 snat ip to 192.0.2.2' in chain(text, "source_nat")

    def test_everything_else_is_dropped(self) -> None:
        for network in BOTH.vpcs:
            text = ruleset(network)
            for name in ("egress", "route", "gateway", "ingress"):
                assert chain(text, name)[-1] == "drop"
            for name in ("input", "forward"):
                assert "policy drop;" in chain(text, name)[0]

    def test_the_longest_range_is_tried_first_then_the_lowest_priority(self) -> None:
        routes = (
            route("p", "a", "0.0.0.0/0")
            | route("p", "b", "203.0.113.0/24", priority=5)
            | route("p", "c", "203.0.113.0/24", priority=1, tags=["t"])
        )
        made = topology(vpc("p", "10.0.0.0/24") | routes, node("p"), node("p", "tagged", tags=["t"]))
        assert chain(ruleset(made.vpcs[0]), "route")[1:-1] == [
            "ip saddr { 10.0.0.3 } ip daddr { 203.0.113.0/24 } goto gateway",
            "ip saddr { 10.0.0.2, 10.0.0.3 } ip daddr { 203.0.113.0/24 } goto gateway",
            "ip saddr { 10.0.0.2, 10.0.0.3 } goto gateway",
        ]


class TestNames:
    def test_interfaces_fit_linux(self) -> None:
        for link in wire(BOTH, NAMES, RUNNING).links:
            assert len(link.interface) <= 15
            assert len(link.peer_interface) <= 15

    def test_every_namespace_bears_the_sandboxs_id(self) -> None:
        assert wire(BOTH, NAMES, RUNNING).namespaces == {
            "dmz-abc123-google",
            "dmz-abc123-internet",
            "dmz-abc123-vpc-dmz-outer.vpc",
            "dmz-abc123-vpc-dmz-inner.vpc",
            "dmz-abc123-vm-dmz-outer.us-central1-a.machine",
        }

    def test_a_node_as_a_file_name(self) -> None:
        assert short("projects/p/locations/us-central1-a/nodes/Trainer_1") == "p.us-central1-a.trainer-1"


class TestChange:
    OLD = wire(BOTH, NAMES, RUNNING)

    def test_nothing_to_do(self) -> None:
        assert not change(self.OLD, wire(BOTH, NAMES, RUNNING))

    def test_a_rule_touches_one_ruleset(self) -> None:
        other = topology(outer() | inner() | nat("dmz-inner"), node("dmz-outer"), node("dmz-inner"))
        todo = change(self.OLD, wire(other, NAMES, RUNNING))
        assert list(todo.rulesets) == ["dmz-abc123-vpc-dmz-inner.vpc"]
        assert not todo.remove
        assert not todo.create
        assert not todo.add

    def test_another_machine_leaves_the_first_alone(self) -> None:
        more = topology(outer() | inner(), node("dmz-outer"), node("dmz-outer", "second"), node("dmz-inner"))
        second = "projects/dmz-outer/locations/us-central1-a/nodes/second"
        todo = change(self.OLD, wire(more, NAMES, [*RUNNING, second]))
        assert todo.create == ("dmz-abc123-vm-dmz-outer.us-central1-a.second",)
        assert not todo.remove
        touched = " ".join(command for step in todo.add for command in step.commands)
        assert "m-0a000003" in touched
        assert "m-0a000002" not in touched

    def test_a_machine_that_goes_takes_its_link_along(self) -> None:
        todo = change(self.OLD, wire(topology(outer() | inner(), node("dmz-inner")), NAMES, []))
        commands = [command for step in todo.remove for command in step.commands]
        assert commands == [
            "link del dev m-0a000002",
            "netns del dmz-abc123-vm-dmz-outer.us-central1-a.machine",
        ]
        assert not todo.add

    def test_everything_can_go(self) -> None:
        todo = change(self.OLD, Wiring())
        assert not todo.create
        assert not todo.rulesets
        assert not todo.add
        assert self.OLD.namespaces == {
            command.removeprefix("netns del ") for command in todo.remove[-1].commands
        }

    def test_a_new_machine_on_an_old_address_is_wired_anew(self) -> None:
        swapped = topology(outer() | inner(), node("dmz-outer", "zweite"), node("dmz-inner"))
        second = "projects/dmz-outer/locations/us-central1-a/nodes/zweite"
        todo = change(self.OLD, wire(swapped, NAMES, [second]))
        router = [step.commands for step in todo.add if step.namespace == "dmz-abc123-vpc-dmz-outer.vpc"]
        assert any("route add 10.0.0.2/32 dev m-0a000002" in commands for commands in router)

    def test_routes_by_a_gateway_come_after_the_route_to_it(self) -> None:
        for step in change(Wiring(), self.OLD).add:
            kinds = [(" via " in command) for command in step.commands if command.startswith("route")]
            assert kinds == sorted(kinds)

    def test_only_routers_and_the_internet_pass_packets_on(self) -> None:
        assert self.OLD.forwarding == {
            "dmz-abc123-internet",
            "dmz-abc123-vpc-dmz-outer.vpc",
            "dmz-abc123-vpc-dmz-inner.vpc",
        }


def test_an_empty_topology_still_has_both_fronts() -> None:
    assert wire(Topology(()), NAMES, ()).namespaces == {"dmz-abc123-google", "dmz-abc123-internet"}
