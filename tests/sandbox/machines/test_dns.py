"""How names resolve inside a VPC."""

from __future__ import annotations

from typing import Any

import pytest
from dnslib import QTYPE, RCODE, DNSRecord

from sandbox.cloud.errors import ApiError
from sandbox.machines import dns, internet
from sandbox.machines.topology import Machine
from tests.sandbox.machines.declare import (
    BYPASSED,
    Resources,
    inner,
    logging_policy,
    network_url,
    node,
    private_zones,
    response_policy,
    vpc,
    zone,
)
from tests.sandbox.machines.test_topology import topology

P = "p"
LEAKED: list[tuple[str, str]] = []


@pytest.fixture(autouse=True)
def leaked() -> list[tuple[str, str]]:
    """What went out to the internet's name servers."""
    LEAKED.clear()
    return LEAKED


def upstream(name: str, type_: str) -> dns.Resolution:
    LEAKED.append((name, type_))
    return internet.answer(name, type_)


def machines() -> tuple[Machine, ...]:
    return topology(vpc(P, "10.0.0.0/24"), node(P, "trainer")).vpcs[0].machines


def view(resources: Resources, project: str = P) -> dns.View:
    return dns.views(resources, {network_url(project): machines()})[network_url(project)]


def ask(resources: Resources, name: str, type_: str = "A") -> tuple[str, list[str], str]:
    """Code, answers and the way."""
    found = dns.resolve(view(resources), name, type_, upstream)
    answers = [f"{QTYPE[rr.rtype]} {rr.rdata}" for rr in found.answers]
    return RCODE[found.rcode], answers, found.via


class TestPublic:
    def test_other_names_go_to_the_internet(self, leaked: list[tuple[str, str]]) -> None:
        assert ask({}, "leak.example.com") == ("NOERROR", ["A 203.0.113.10"], "internet")
        assert ask({}, "leak.example.com", "AAAA")[1] == ["AAAA 2001:db8::10"]
        assert ask({}, "leak.example.com", "TXT")[1] == ['TXT "the internet answers"']
        assert ask({}, "leak.example.com", "MX") == ("NOERROR", [], "internet")
        assert leaked == [("leak.example.com.", kind) for kind in ("A", "AAAA", "TXT", "MX")]

    def test_names_that_do_not_exist(self) -> None:
        assert ask({}, "www.example.org")[0] == "NXDOMAIN"

    @pytest.mark.parametrize("name", ["storage.googleapis.com", "us-central1-python.pkg.dev", "gcr.io"])
    def test_googles_names_lead_to_the_public_front(self, name: str, leaked: list[Any]) -> None:
        assert ask({}, name) == ("NOERROR", ["A 198.51.100.10"], "google")
        assert ask({}, name, "AAAA") == ("NOERROR", [], "google")
        assert not leaked

    def test_the_restricted_and_the_private_name(self) -> None:
        assert "A 199.36.153.4" in ask({}, "restricted.googleapis.com")[1]
        assert "A 199.36.153.8" in ask({}, "private.googleapis.com")[1]

    def test_a_name_that_only_ends_alike(self) -> None:
        assert ask({}, "evilgoogleapis.com")[2] == "internet"


class TestCompute:
    def test_machines_of_the_network(self) -> None:
        name = "trainer.us-central1-a.c.p.internal"
        assert ask({}, name) == ("NOERROR", ["A 10.0.0.2"], "compute")
        assert ask({}, name, "AAAA") == ("NOERROR", [], "compute")

    def test_metadata(self) -> None:
        assert ask({}, "METADATA.google.internal")[1] == ["A 169.254.169.254"]

    def test_others_do_not_exist_and_do_not_leak(self, leaked: list[Any]) -> None:
        assert ask({}, "other.us-central1-a.c.p.internal")[0] == "NXDOMAIN"
        assert not leaked


class TestPrivateZones:
    ZONES = private_zones(P)

    @pytest.mark.parametrize(
        "name",
        ["storage.googleapis.com", "us-central1-python.pkg.dev", "a.b.gcr.io", "restricted.googleapis.com"],
    )
    def test_googles_names_lead_to_the_restricted_address(self, name: str, leaked: list[Any]) -> None:
        code, answers, via = ask(self.ZONES, name)
        assert (code, answers[-1], via) == ("NOERROR", "A 199.36.153.7", "private-zone")
        assert not leaked

    def test_a_wildcard_answers_with_its_cname_first(self) -> None:
        assert ask(self.ZONES, "storage.googleapis.com")[1][0] == "CNAME restricted.googleapis.com."

    def test_a_type_that_is_not_there_is_empty(self) -> None:
        assert ask(self.ZONES, "storage.googleapis.com", "AAAA") == (
            "NOERROR",
            ["CNAME restricted.googleapis.com."],
            "private-zone",
        )
        assert ask(self.ZONES, "pkg.dev", "AAAA") == ("NOERROR", [], "private-zone")

    def test_a_name_that_is_not_in_the_zone(self, leaked: list[Any]) -> None:
        own = zone(P, "corp", "corp.example.com.", ("a.corp.example.com.", "A", ["10.0.0.9"]))
        assert ask(own, "b.corp.example.com")[0] == "NXDOMAIN"
        assert ask(own, "a.corp.example.com")[1] == ["A 10.0.0.9"]
        assert not leaked

    def test_what_exists_hides_the_wildcard(self) -> None:
        own = zone(
            P,
            "corp",
            "corp.",
            ("*.corp.", "A", ["10.0.0.9"]),
            ("deep.node.corp.", "A", ["10.0.0.8"]),
            ("text.corp.", "TXT", ['"x"']),
        )
        assert ask(own, "any.corp")[1] == ["A 10.0.0.9"]
        assert ask(own, "a.b.corp")[1] == ["A 10.0.0.9"]
        assert ask(own, "text.corp")[1] == []
        assert ask(own, "node.corp") == ("NOERROR", [], "private-zone")
        assert ask(own, "other.node.corp")[0] == "NXDOMAIN"

    def test_the_longest_zone_counts(self) -> None:
        both = zone(P, "a", "corp.", ("x.sub.corp.", "A", ["10.0.0.1"]))
        both |= zone(P, "b", "sub.corp.", ("x.sub.corp.", "A", ["10.0.0.2"]))
        assert ask(both, "x.sub.corp")[1] == ["A 10.0.0.2"]

    def test_a_chain_over_zones(self) -> None:
        chained = zone(P, "a", "a.", ("x.a.", "CNAME", ["y.b."])) | zone(
            P, "b", "b.", ("y.b.", "A", ["10.0.0.1"])
        )
        assert ask(chained, "x.a")[1] == ["CNAME y.b.", "A 10.0.0.1"]

    def test_a_chain_that_leaves_the_zones_leaks(self, leaked: list[Any]) -> None:
        assert (
            ask(zone(P, "a", "a.", ("x.a.", "CNAME", ["out.example.com."])), "x.a")[1][-1] == "A 203.0.113.10"
        )
        assert leaked == [("out.example.com.", "A")]

    def test_a_circle(self) -> None:
        circle = zone(P, "a", "a.", ("x.a.", "CNAME", ["y.a."]), ("y.a.", "CNAME", ["x.a."]))
        assert ask(circle, "x.a")[0] == "SERVFAIL"

    def test_a_zone_that_another_network_sees(self) -> None:
        assert ask(private_zones("q"), "pkg.dev")[2] == "google"


class TestResponsePolicy:
    SEALED = private_zones(P) | response_policy(P, *BYPASSED)

    @pytest.mark.parametrize("type_", ["A", "AAAA", "TXT", "MX"])
    @pytest.mark.parametrize("name", ["leak.example.com", "com", "a.b.c.d"])
    def test_no_name_leaks(self, name: str, type_: str, leaked: list[Any]) -> None:
        expected = ["A 0.0.0.0"] if type_ == "A" else []
        assert ask(self.SEALED, name, type_) == ("NOERROR", expected, "response-policy")
        assert not leaked

    def test_what_is_bypassed_resolves_as_ever(self) -> None:
        assert ask(self.SEALED, "storage.googleapis.com")[1][-1] == "A 199.36.153.7"
        assert ask(self.SEALED, "metadata.google.internal")[1] == ["A 169.254.169.254"]

    def test_policies_come_before_computes_names(self) -> None:
        assert ask(response_policy(P), "metadata.google.internal")[1] == ["A 0.0.0.0"]

    def test_policies_come_before_private_zones(self) -> None:
        assert ask(private_zones(P) | response_policy(P), "storage.googleapis.com")[2] == "response-policy"

    def test_the_exact_name_then_the_longest_wildcard(self) -> None:
        rules = response_policy(P)
        base = f"dns/projects/{P}/responsePolicies/sealed/rules"
        for number, name in enumerate(("*.b.", "*.a.b.", "x.a.b.")):
            rules[f"{base}/{number}"] = {
                "ruleName": str(number),
                "dnsName": name,
                "localData": {"localDatas": [{"name": name, "type": "A", "rrdatas": [f"10.0.0.{number}"]}]},
            }
        answers = [ask(rules, name)[1] for name in ("x.a.b", "y.a.b", "a.b", "b")]
        assert answers == [["A 10.0.0.2"], ["A 10.0.0.1"], ["A 10.0.0.0"], ["A 0.0.0.0"]]

    def test_local_data_with_a_cname_is_followed(self) -> None:
        rules = response_policy(P)
        rules[f"dns/projects/{P}/responsePolicies/sealed/rules/c"] = {
            "ruleName": "c",
            "dnsName": "*.googleapis.com.",
            "localData": {
                "localDatas": [
                    {"name": "*.googleapis.com.", "type": "CNAME", "rrdatas": ["restricted.googleapis.com."]}
                ]
            },
        }
        assert ask(rules, "storage.googleapis.com")[1][:2] == [
            "CNAME restricted.googleapis.com.",
            "A 199.36.153.4",
        ]

    def test_another_networks_policy_says_nothing(self) -> None:
        assert ask(response_policy("q"), "leak.example.com")[2] == "internet"

    def test_one_policy_for_a_network(self) -> None:
        both = response_policy(P)
        both[f"dns/projects/{P}/responsePolicies/second"] = both[f"dns/projects/{P}/responsePolicies/sealed"]
        with pytest.raises(ApiError, match="already has a response policy"):
            view(both)


class TestPolicy:
    def test_logging(self) -> None:
        assert view(logging_policy(P)).logging
        assert not view(logging_policy("q")).logging
        assert view(inner(P)).logging

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("alternativeNameServerConfig", {"targetNameServers": [{"ipv4Address": "10.0.0.9"}]}),
            ("enableInboundForwarding", True),
            ("dns64Config", {"scope": {"allQueries": True}}),
        ],
    )
    def test_what_can_not_be_reproduced_is_refused(self, field: str, value: Any) -> None:
        resources = logging_policy(P)
        for body in resources.values():
            body[field] = value
        with pytest.raises(ApiError, match=field):
            view(resources)


class TestRefusals:
    @pytest.mark.parametrize("field", ["forwardingConfig", "peeringConfig", "serviceDirectoryConfig"])
    def test_kinds_of_zones(self, field: str) -> None:
        resources = zone(P, "a", "a.")
        for body in resources.values():
            body[field] = {"targetNameServers": [{"ipv4Address": "10.0.0.9"}]}
        with pytest.raises(ApiError, match=field):
            view(resources)

    def test_public_zones(self) -> None:
        resources = zone(P, "a", "a.")
        for body in resources.values():
            body["visibility"] = "public"
        with pytest.raises(ApiError, match="private zones only"):
            view(resources)

    def test_a_record_that_can_not_be_read(self) -> None:
        with pytest.raises(ApiError, match="not-an-address"):
            view(zone(P, "a", "a.", ("x.a.", "A", ["not-an-address"])))

    def test_a_wildcard_in_the_middle(self) -> None:
        resources = response_policy(P, "a.*.b.")
        with pytest.raises(ApiError, match="wildcard"):
            view(resources)


def test_an_answer_as_a_message() -> None:
    query = DNSRecord.question("storage.googleapis.com")
    name, type_ = dns.question(query)
    message = dns.reply(query, dns.resolve(view(private_zones(P)), name, type_, upstream))
    parsed = DNSRecord.parse(message.pack())
    assert parsed.header.id == query.header.id
    assert [str(rr.rdata) for rr in parsed.rr][1:] == [f"199.36.153.{last}" for last in (4, 5, 6, 7)]
