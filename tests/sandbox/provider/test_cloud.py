"""The provider against the sandbox's own cloud: every type but the machine, which the flow's tests boot."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.cloud.endpoints import variables
from sandbox.provider.table import TABLE
from tests.sandbox.provider import engine as engines
from tests.sandbox.provider.cases import CASES, MORE, Props
from tests.sandbox.provider.engine import Engine

pytestmark = pytest.mark.sandbox

NETWORK = "projects/inner/global/networks/vpc-inner-loop"
ACCOUNT = "serviceAccount:tpu-inner@inner.iam.gserviceaccount.com"
ORDER: dict[str, tuple[Props, Props]] = {
    "service": ({}, {"disableDependentServices": True}),
    "network": ({"mtu": 1460}, {"mtu": 1500, "routingMode": "GLOBAL"}),
    "subnetwork": ({"network": NETWORK}, {"logConfig": None}),
    "router": ({"network": NETWORK}, {"description": "d"}),
    "router-nat": ({}, {"udpIdleTimeoutSec": 40, "logConfig": None}),
    "route": ({"network": NETWORK}, {}),
    "firewall-deny": ({"network": NETWORK}, {"logConfig": None, "denies": [{"protocol": "udp"}]}),
    "firewall-allow": (
        {"network": NETWORK, "targetServiceAccounts": None},
        {"sourceRanges": ["10.0.0.0/8"], "description": "d"},
    ),
    "managed-zone": (
        {"privateVisibilityConfig": {"networks": [{"networkUrl": NETWORK}]}},
        {"description": "e", "labels": {"a": "b"}},
    ),
    "record-set": ({}, {"ttl": 60}),
    "response-policy": ({"networks": [{"networkUrl": NETWORK}]}, {"description": "d"}),
    "response-policy-rule": ({}, {"localData": None, "behavior": "bypassResponsePolicy"}),
    "policy": ({"networks": [{"networkUrl": NETWORK}]}, {"enableLogging": False}),
    "account": ({}, {"displayName": "N", "description": "d"}),
    "repository-apt-outer-loop": (
        {
            "remoteRepositoryConfig": {
                "aptRepository": {
                    "publicRepository": {
                        "repositoryBase": "DEBIAN",
                        "repositoryPath": "debian/dists/bookworm",
                    }
                }
            }
        },
        {"description": "e"},
    ),
    "repository-pip-inner-loop": ({}, {"labels": {"c": "d"}, "cleanupPolicies": None}),
    "repository-apt-inner-loop": ({}, {"description": "d"}),
    "repository-pip-remote": ({}, {"labels": {"a": "b"}}),
    "vpcsc-config": ({}, {"vpcscPolicy": "ALLOW"}),
    "bucket": (
        {"project": "inner", "forceDestroy": True},
        {
            "labels": {"a": "b"},
            "versioning": {"enabled": False},
            "lifecycleRules": [{"action": {"type": "Delete"}, "condition": {"age": 7}}],
            "softDeletePolicy": {"retentionDurationSeconds": 0},
        },
    ),
    "key-ring": ({}, {}),
    "signing-key": (
        {"versionTemplate": {"algorithm": "EC_SIGN_P256_SHA256"}},
        {"labels": {"a": "b"}, "versionTemplate": {"algorithm": "EC_SIGN_P384_SHA384"}},
    ),
    "project-member": ({"member": ACCOUNT}, {}),
    "repository-member": ({"member": ACCOUNT}, {}),
    "bucket-member": ({"member": ACCOUNT}, {}),
    "key-member": ({"member": ACCOUNT}, {}),
    "account-member": (
        {"serviceAccountId": "projects/inner/serviceAccounts/tpu-inner@inner.iam.gserviceaccount.com"},
        {},
    ),
}
"""Cases in the order in which they stand on each other: what differs here, and what an update changes."""
STAYS = {"vpcsc-config", "key-ring", "signing-key"}
"""What Google has no deletion for, or none that the real provider asks for."""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("cloud")
    root = folder / "root"
    command = [sys.executable, "-m", "sandbox.cloud", "--root", str(root), "--cache", str(folder / "cache")]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stderr=log, stdout=log) as daemon:
        try:
            yield variables(root, _ports(root / "daemon.json", daemon, folder / "log"))
        finally:
            daemon.terminate()


def _ports(record: Path, daemon: subprocess.Popen[bytes], log: Path) -> dict[str, int]:
    while not record.exists():
        assert daemon.poll() is None, log.read_text()
        time.sleep(0.1)
    ports: dict[str, int] = json.loads(record.read_text())["ports"]
    return ports


def changed(given: Props, change: Props) -> Props:
    return {key: value for key, value in (given | change).items() if value is not None}


def assert_unchanged(engine: Engine, made: engines.Resource, given: Props) -> None:
    answer = engine.diff(made, given)
    assert answer.changes == answer.DIFF_NONE, (made.type, dict(answer.detailedDiff))


def test_every_type_is_here() -> None:
    assert {(CASES | MORE)[case][0] for case in ORDER} == set(TABLE) - {"gcp:tpu/v2Vm:V2Vm"}


def test_the_whole_estate(cloud: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", cloud["GOOGLE_OAUTH_ACCESS_TOKEN"])
    with engines.serve(cloud) as engine:
        made = {}
        for case, (difference, _) in ORDER.items():
            kind, given = (CASES | MORE)[case]
            given = changed(given, difference)
            made[case] = engine.create(kind, case, given)
            assert_unchanged(engine, made[case], given)
        for case, (difference, change) in ORDER.items():
            given = changed((CASES | MORE)[case][1], difference)
            assert engine.refresh(made[case]), case
            assert_unchanged(engine, made[case], given)
            if change:
                given = changed(given, change)
                assert not engine.diff(made[case], given).replaces, case
                engine.update(made[case], given)
                assert engine.refresh(made[case])
                assert_unchanged(engine, made[case], given)
        for case, resource in reversed(made.items()):
            engine.delete(resource)
            assert engine.refresh(resource) is (case in STAYS), case
