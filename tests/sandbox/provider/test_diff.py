"""Which changes are made in place, which replace, and how they are shown."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi.runtime.proto import provider_pb2

from sandbox.provider.diff import changes, parse_path
from sandbox.provider.table import TABLE
from sandbox.provider.values import UNKNOWN
from tests.sandbox.provider.cases import CASES, MORE, Props
from tests.sandbox.provider.engine import Engine, Resource

ALL = CASES | MORE
LINK = "https://www.googleapis.com/compute/v1/projects/inner/global/networks/vpc-inner-loop"


def existing(case: str, engine: Engine) -> Resource:
    kind, given = ALL[case]
    checked = engine.check(kind, case, given)
    return Resource(kind, case, id="id", inputs=checked, state=checked)


@pytest.mark.parametrize(
    ("case", "change", "paths"),
    [
        ("network", {"mtu": 1460}, ["mtu"]),
        ("network", {"routingMode": "GLOBAL"}, ["routingMode"]),
        ("subnetwork", {"privateIpGoogleAccess": False}, ["privateIpGoogleAccess"]),
        ("subnetwork", {"ipCidrRange": "10.0.0.0/23"}, ["ipCidrRange"]),
        ("subnetwork", {"logConfig": {"flowSampling": 0.25}}, ["logConfig.flowSampling"]),
        ("subnetwork", {"logConfig": None}, ["logConfig"]),
        ("router-nat", {"logConfig": None, "minPortsPerVm": 128}, ["logConfig", "minPortsPerVm"]),
        ("firewall-allow", {"sourceRanges": ["10.0.0.0/8"]}, ["sourceRanges[0]"]),
        (
            "firewall-allow",
            {"sourceRanges": ["10.0.0.0/8", "35.235.240.0/20"]},
            ["sourceRanges[0]"],
        ),
        ("firewall-deny", {"disabled": True}, ["disabled"]),
        ("managed-zone", {"description": "new"}, ["description"]),
        ("record-set", {"ttl": 60, "rrdatas": ["gcr.io."]}, ["rrdatas[0]", "ttl"]),
        ("response-policy-rule", {"dnsName": "*.com."}, ["dnsName"]),
        ("policy", {"enableLogging": False}, ["enableLogging"]),
        ("vpcsc-config", {"vpcscPolicy": "ALLOW"}, ["vpcscPolicy"]),
        (
            "repository-pip-inner-loop",
            {"description": "x", "labels": {"a": "c", "d": "e"}, "cleanupPolicies": None},
            ["cleanupPolicies", "description", "labels.a", "labels.d"],
        ),
        (
            "repository-pip-custom",
            {
                "remoteRepositoryConfig": {
                    "commonRepository": {"uri": "https://storage.googleapis.com/jax-releases"}
                }
            },
            ["remoteRepositoryConfig.disableUpstreamValidation"],
        ),
        ("bucket", {"versioning": {"enabled": False}}, ["versioning.enabled"]),
        ("bucket", {"lifecycleRules": []}, ["lifecycleRules"]),
        ("account", {"displayName": "N", "description": "d"}, ["description", "displayName"]),
        (
            "vm",
            {
                "description": "x",
                "tags": ["other"],
                "labels": {},
                "metadata": {"startup-script": "#!/bin/bash\n"},
            },
            ["description", "labels", 'metadata["startup-script"]', "tags[0]"],
        ),
        ("service", {"disableOnDestroy": False}, ["disableOnDestroy"]),
    ],
)
def test_in_place(case: str, change: Props, paths: list[str], engine: Engine) -> None:
    answer = engine.diff(existing(case, engine), ALL[case][1] | change)
    assert answer.changes == answer.DIFF_SOME
    assert sorted(answer.detailedDiff) == paths
    assert not answer.replaces
    assert not answer.deleteBeforeReplace


@pytest.mark.parametrize(
    ("case", "change", "replaces", "delete_first"),
    [
        ("network", {"name": "other"}, ["name"], False),
        ("network", {"autoCreateSubnetworks": True}, ["autoCreateSubnetworks"], True),
        ("network", {"project": "other"}, ["project"], False),
        ("subnetwork", {"ipCidrRange": "10.0.1.0/25"}, ["ipCidrRange"], True),
        ("subnetwork", {"ipCidrRange": "10.0.2.0/24"}, ["ipCidrRange"], True),
        ("router", {"region": "us-east1"}, ["region"], False),
        ("router-nat", {"type": "PRIVATE"}, ["type"], True),
        ("firewall-deny", {"direction": "INGRESS"}, ["direction"], True),
        ("route", {"priority": 900}, ["priority"], True),
        ("managed-zone", {"dnsName": "gcr.io."}, ["dnsName"], True),
        ("record-set", {"name": "x.pkg.dev."}, ["name"], False),
        ("response-policy", {"responsePolicyName": "other"}, ["responsePolicyName"], False),
        ("repository-apt-inner-loop", {"repositoryId": "other"}, ["repositoryId"], False),
        ("repository-apt-inner-loop", {"format": "PYTHON"}, ["format"], True),
        (
            "repository-pip-remote",
            {"remoteRepositoryConfig": {"commonRepository": {"uri": "https://x/"}}},
            ["remoteRepositoryConfig"],
            True,
        ),
        ("bucket", {"location": "EU"}, ["location"], True),
        ("account", {"accountId": "another"}, ["accountId"], False),
        ("project-member", {"role": "roles/viewer"}, ["role"], False),
        ("vm", {"acceleratorType": "v2-8"}, ["acceleratorType"], True),
        ("vm", {"schedulingConfig": {"spot": False}}, ["schedulingConfig"], True),
        ("vm", {"runtimeVersion": "x", "description": "y"}, ["runtimeVersion"], True),
    ],
)
def test_replaced(case: str, change: Props, replaces: list[str], delete_first: bool, engine: Engine) -> None:
    answer = engine.diff(existing(case, engine), ALL[case][1] | change)
    assert list(answer.replaces) == replaces
    assert answer.deleteBeforeReplace is delete_first
    kinds = {
        answer.detailedDiff[path].kind for path in answer.detailedDiff if parse_path(path)[0] in replaces
    }
    replacing = provider_pb2.PropertyDiff.Kind
    assert kinds <= {replacing.ADD_REPLACE, replacing.DELETE_REPLACE, replacing.UPDATE_REPLACE}


@pytest.mark.parametrize(
    ("case", "change"),
    [
        ("subnetwork", {"network": LINK}),
        ("subnetwork", {"network": "vpc-inner-loop"}),
        ("firewall-allow", {"network": "projects/inner/global/networks/vpc-inner-loop"}),
        ("firewall-allow", {"direction": None, "disabled": False}),
        ("bucket", {"location": "US-CENTRAL1"}),
        ("bucket", {"softDeletePolicy": None, "versioning": None}),
        ("record-set", {"rrdatas": ["PKG.dev."]}),
        ("project-member", {"member": "serviceAccount:VM@inner.iam.gserviceaccount.com"}),
        ("repository-apt-inner-loop", {"mode": None, "labels": {}}),
        ("vm", {"networkConfig": {"enableExternalIps": False}}),
        ("vm", {"zone": None}),
    ],
)
def test_other_words_for_the_same(case: str, change: Props, engine: Engine) -> None:
    kind, given = ALL[case]
    news = (
        engine.check(kind, case, given | change)
        if change.get("zone", "") is not None
        else {name: value for name, value in existing(case, engine).inputs.items() if name != "zone"}
    )
    assert changes(TABLE[kind].fields, existing(case, engine).inputs, news) == []


def test_an_unknown_is_a_change(engine: Engine) -> None:
    answer = engine.diff(existing("route", engine), ALL["route"][1] | {"network": UNKNOWN})
    assert list(answer.replaces) == ["network"]


def test_changes_to_ignore_are_not_seen(engine: Engine) -> None:
    vm = existing("vm", engine)
    new = ALL["vm"][1] | {"metadata": {"startup-script": "x"}, "labels": {"a": "c"}, "tags": ["t"]}
    answer = engine.diff(vm, new, ignore=('metadata["startup-script"]', "labels.a", "tags[*]"))
    assert answer.changes == answer.DIFF_NONE
    assert list(engine.diff(vm, new, ignore=("metadata", "labels")).diffs) == ["tags"]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a.b", ("a", "b")),
        ("a[0].b", ("a", 0, "b")),
        ('a["b.c"]', ("a", "b.c")),
        (r'a["b\"c"]', ("a", 'b"c')),
        ("a[*]", ("a", "*")),
        ("*", ("*",)),
    ],
)
def test_paths(text: str, path: tuple[Any, ...]) -> None:
    assert parse_path(text) == path
