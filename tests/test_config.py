"""The configuration: what is unsafe doesn't parse, and one line says what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic.alias_generators import to_camel

from dmz.components.accelerators import zones
from dmz.config import Settings, parse
from dmz.errors import InputError

ROOT = Path(__file__).parents[1]
PROBES = {"address": "203.0.113.1", "address6": "2001:db8::1", "name": "probe.example.com"}


def project_schema() -> dict[str, dict[str, Any]]:
    schema: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "Pulumi.yaml").read_text("utf-8"))["config"]
    return schema


def values(side: str, /, **changes: object) -> dict[str, str]:
    written: dict[str, object] = {"side": side, "project": f"dmz-{side}", "subnet": "10.0.0.0/24"}
    if side == "inner":
        written["outerStack"] = "organization/dmz/outer"
    written |= changes
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in written.items()
        if value is not None
    }


def refusal(side: str, /, **changes: object) -> str:
    with pytest.raises(InputError) as caught:
        parse(values(side, **changes), f"Pulumi.{side}.yaml")
    return str(caught.value)


class TestAgreement:
    def test_the_schema_and_the_model_have_the_same_keys(self) -> None:
        assert set(project_schema()) == {to_camel(name) for name in Settings.model_fields}

    def test_the_schema_and_the_model_have_the_same_defaults(self) -> None:
        schema = project_schema()
        required = {"side", "project", "subnet"}
        assert {key for key, entry in schema.items() if "default" not in entry} == required
        # The engine fills the schema's defaults in; leaving them out must come to the same.
        filled = {key: entry["default"] for key, entry in schema.items() if "default" in entry}
        for side in ("outer", "inner"):
            stack = "organization/dmz/outer" if side == "inner" else ""
            assert parse(values(side, **{**filled, "outerStack": stack}), "x") == parse(values(side), "x")

    def test_the_defaults_are_those_for_google(self) -> None:
        settings = parse(values("outer"), "x")
        assert (settings.location, settings.zone) == ("us-central1", "us-central1-a")
        assert (settings.accelerator_type, settings.runtime) == ("v3-8", "tpu-ubuntu2204-base")
        assert settings.spot
        assert not settings.external_ipv6
        assert not settings.adopt
        assert not settings.withdraw_on_delete

    @pytest.mark.parametrize("side", ["outer", "inner"])
    def test_the_demo_parses(self, side: str) -> None:
        written = yaml.safe_load((ROOT / f"Pulumi.{side}.yaml").read_text("utf-8"))["config"]
        own = {key: value for key, value in written.items() if key.startswith("dmz:")}
        bare = {key.removeprefix("dmz:"): value for key, value in own.items()}
        settings = parse(values(side, **bare), f"Pulumi.{side}.yaml")
        assert settings.side == side
        assert settings.probes is not None

    def test_the_demo_describes_one_base_image_on_both_sides(self) -> None:
        outer, inner = (
            yaml.safe_load((ROOT / f"Pulumi.{side}.yaml").read_text("utf-8"))["config"]
            for side in ("outer", "inner")
        )
        for key in ("dmz:runtime", "dmz:baseImages", "dmz:probes"):
            assert outer[key] == inner[key]


PERSON = "user:you@example.com"

BAD = [
    ("outer", {"side": None}, "side", "missing"),
    ("outer", {"side": "outside"}, "side", "'outer' or 'inner'"),
    ("outer", {"project": None}, "project", "missing"),
    ("outer", {"project": "Mine"}, "project", "form"),
    ("outer", {"project": ""}, "project", "form"),
    ("outer", {"subnet": None}, "subnet", "missing"),
    ("outer", {"subnet": "ten"}, "subnet", "10.0.0.0/24"),
    ("outer", {"subnet": "10.0.0.1/24"}, "subnet", "host bits"),
    ("outer", {"subnet": "10.0.0.0/30"}, "subnet", "/29"),
    ("outer", {"subnet": "8.8.8.0/24"}, "subnet", "RFC 1918"),
    ("inner", {"subnet": "172.32.0.0/24"}, "subnet", "RFC 1918"),
    ("inner", {"subnet": "199.36.153.0/24"}, "subnet", "199.36.153.4/30"),
    ("inner", {"subnet": "35.235.240.0/28"}, "subnet", "35.235.240.0/20"),
    ("inner", {"subnet": "0.0.0.0/0"}, "subnet", "overlaps"),
    ("inner", {"externalIpv6": True}, "externalIpv6", "no external addresses"),
    ("outer", {"externalIpv6": "yes"}, "externalIpv6", "true nor false"),
    ("outer", {"spot": "1"}, "spot", "true nor false"),
    ("outer", {"location": "mars"}, "location", "us-central1"),
    ("outer", {"zone": "europe-west4-a"}, "zone", "us-central1-a"),
    ("outer", {"zone": "us-central1-f"}, "zone", "dmz:allowUnlistedZone"),
    ("outer", {"acceleratorType": "v9-8"}, "zone", "dmz:acceleratorType"),
    ("outer", {"acceleratorType": "a100"}, "acceleratorType", "v3-8"),
    ("inner", {"outerStack": None}, "outerStack", "organization/dmz/outer"),
    ("inner", {"outerStack": ""}, "outerStack", "organization/dmz/outer"),
    ("inner", {"outerStack": "outer"}, "outerStack", "organization/dmz/outer"),
    ("outer", {"outerStack": "organization/dmz/outer"}, "outerStack", "remove it"),
    ("inner", {"operators": ["user:you@example.com"]}, "operators", "outer stack"),
    ("outer", {"operators": ["you@example.com"]}, "operators.0", "user:you@example.com"),
    ("outer", {"operators": "user:you@example.com"}, "operators", "user:you@example.com"),
    ("outer", {"operators": ["allUsers"]}, "operators.0", "everyone on the internet"),
    ("outer", {"operators": [PERSON, "domain:example.com"]}, "operators.1", "whole domain"),
    (
        "outer",
        {"operators": ["serviceAccount:dmz-machine@dmz-inner.iam.gserviceaccount.com"]},
        "operators.0",
        "foreign code",
    ),
    ("inner", {"attestors": [PERSON]}, "attestors", "outer stack"),
    ("outer", {"attestors": ["you@example.com"]}, "attestors.0", PERSON),
    ("outer", {"attestors": PERSON}, "attestors", PERSON),
    ("outer", {"attestationKeyVersion": 0}, "attestationKeyVersion", "1"),
    ("outer", {"attestationKeyVersion": "latest"}, "attestationKeyVersion", "1"),
    ("inner", {"attestationKeyVersion": 2}, "attestationKeyVersion", "outer stack"),
    ("outer", {"keptReleases": 0}, "keptReleases", "10"),
    ("outer", {"keptReleases": 1001}, "keptReleases", "10"),
    ("outer", {"keptReleases": "all"}, "keptReleases", "10"),
    ("inner", {"keptReleases": 3}, "keptReleases", "outer stack"),
    ("inner", {"policy": "../policy.toml"}, "policy", "leave the checkout"),
    ("inner", {"waivers": "/srv/waivers"}, "waivers", "leave the checkout"),
    ("outer", {"adopt": True}, "adopt", "remove it"),
    ("outer", {"withdrawOnDelete": True}, "withdrawOnDelete", "remove it"),
    ("inner", {"releases": "../elsewhere"}, "releases", "leave the checkout"),
    ("inner", {"releases": "/srv/releases"}, "releases", "leave the checkout"),
    ("inner", {"releases": "."}, "releases", "leave the checkout"),
    ("outer", {"workload": "workloads/../../etc/passwd"}, "workload", "leave the checkout"),
    ("outer", {"runtime": ""}, "runtime", "tpu-ubuntu2204-base"),
    ("outer", {"baseImages": {"runtime": "x"}}, "baseImages", "runtime"),
    ("outer", {"probes": {**PROBES, "address": "example.com"}}, "probes.address", "203.0.113.1"),
    ("outer", {"probes": {**PROBES, "address6": "203.0.113.1"}}, "probes.address6", "2001:db8::1"),
    ("outer", {"probes": {**PROBES, "port": 0}}, "probes.port", "7"),
    ("outer", {"probes": {**PROBES, "name": "localhost"}}, "probes.name", "probe.example.com"),
    ("outer", {"probes": {**PROBES, "adress": "x"}}, "probes.adress", "no such key"),
    ("outer", {"probes": {"name": "probe.example.com"}}, "probes.address", "missing"),
    ("outer", {"probes": "[1"}, "probes", "203.0.113.1"),
    ("outer", {"zoen": "us-central1-a"}, "zoen", "dmz:zone"),
    ("outer", {"banana": "x"}, "banana", "no such key"),
]


@pytest.mark.parametrize(("side", "changes", "key", "says"), BAD)
def test_a_bad_value_is_one_line_that_names_file_and_key(
    side: str, changes: dict[str, object], key: str, says: str
) -> None:
    line = refusal(side, **changes)
    assert line.startswith(f"Pulumi.{side}.yaml: dmz:{key}: ")
    assert says in line
    assert "\n" not in line


POOL = "iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci"


class TestAttestors:
    @pytest.mark.parametrize(
        ("member", "says"),
        [
            ("allUsers", "everyone on the internet"),
            ("allAuthenticatedUsers", "everyone who has a Google account"),
            ("domain:example.com", "whole domain"),
            ("projectOwner:dmz-outer", "no IAM member"),
            ("serviceAccount:dmz-machine@dmz-outer.iam.gserviceaccount.com", "foreign code"),
            ("serviceAccount:dmz-machine@another.iam.gserviceaccount.com", "foreign code"),
            ("serviceAccount:DMZ-Machine@dmz-inner.iam.gserviceaccount.com", "foreign code"),
            ("serviceAccount:123-compute@developer.gserviceaccount.com", "foreign code"),
            ("serviceAccount:dmz-outer@appspot.gserviceaccount.com", "foreign code"),
            ("serviceAccount:123@cloudservices.gserviceaccount.com", "foreign code"),
            ("serviceAccount:service-123@cloud-tpu.iam.gserviceaccount.com", "foreign code"),
            ("serviceAccount:dmz-sync@dmz-outer.iam.gserviceaccount.com", "account of these stacks"),
            ("serviceAccount:dmz-attestor@dmz-outer.iam.gserviceaccount.com", "account of these stacks"),
            ("serviceAccount:dmz-archivist@dmz-outer.iam.gserviceaccount.com", "account of these stacks"),
            ("serviceAccount:dmz-publisher@dmz-outer.iam.gserviceaccount.com", "account of these stacks"),
            (f"principalSet://{POOL}/*", "pull request"),
            (f"principalSet://{POOL}/attribute.repository/org/repo", "pull request"),
            (f"principalSet://{POOL}/attribute.repository_owner/org", "pull request"),
            (f"principalSet://{POOL}/attribute.repository_visibility/private", "pull request"),
            (f"principalSet://{POOL}/attribute.actor/somebody", "pull request"),
            (f"principalSet://{POOL}/attribute.project_path/group/project", "pull request"),
            (f"principalSet://{POOL}/attribute.event_name/pull_request_target", "pull request"),
            (f"principal://{POOL}/subject/repo:org/repo:pull_request", "pull request"),
        ],
    )
    def test_who_nobody_reviewed_can_not_sign(self, member: str, says: str) -> None:
        line = refusal("outer", attestors=[PERSON, member])
        assert line.startswith("Pulumi.outer.yaml: dmz:attestors.1: ")
        assert member in line
        assert says in line
        assert "\n" not in line

    @pytest.mark.parametrize(
        "member",
        [
            PERSON,
            "group:releases@example.com",
            "serviceAccount:release@ci-project.iam.gserviceaccount.com",
            f"principal://{POOL}/subject/repo:org/repo:ref:refs/heads/main",
            f"principalSet://{POOL}/attribute.environment/release",
            f"principalSet://{POOL}/attribute.repository_and_ref/org/repo/refs/heads/main",
        ],
    )
    def test_who_acts_after_the_review_can(self, member: str) -> None:
        assert parse(values("outer", attestors=[member]), "x").attestors == (member,)

    def test_nobody_can_unless_it_is_said(self) -> None:
        assert parse(values("outer"), "x").attestors == ()


def test_no_more_than_a_line_of_foreign_text_is_shown() -> None:
    line = refusal("outer", project="a\nb\x1b[31m" + "c" * 10_000)
    assert "\x1b" not in line
    assert len(line) < 500


class TestZones:
    def test_a_zone_of_another_size_is_not_enough(self) -> None:
        line = refusal("outer", acceleratorType="v3-32")
        assert "europe-west4-a" in line

    def test_an_unlisted_zone_can_be_insisted_on(self) -> None:
        settings = parse(values("outer", zone="us-central1-f", allowUnlistedZone=True), "x")
        assert settings.zone == "us-central1-f"

    def test_insisting_does_not_move_a_zone_into_another_region(self) -> None:
        assert "dmz:location" in refusal("outer", zone="europe-west4-a", allowUnlistedZone=True)

    def test_generations_with_the_same_zones_for_every_size(self) -> None:
        assert zones("v6e-1") == zones("v6e-256") != frozenset()
        assert zones("v9-8") == frozenset()


def test_probes_cover_every_way_out() -> None:
    settings = parse(values("inner", probes=PROBES), "x")
    assert settings.probes is not None
    assert {probe["name"]: probe["target"] for probe in settings.probes.targets()} == {
        "tcp": "203.0.113.1:7",
        "udp": "203.0.113.1:7",
        "icmp": "203.0.113.1",
        "dns-a": "probe.example.com",
        "dns-aaaa": "probe.example.com",
        "dns-txt": "probe.example.com",
        "ipv6": "[2001:db8::1]:7",
        "metadata-name": "probe.example.com",
    }
