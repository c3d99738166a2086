"""The sealed machine installs nothing that is not attested for it, and says why in its report."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from dmz.attestations import inside
from dmz.machine.agent import base, inner, probes, storage
from dmz.promotion.dsse import Envelope
from dmz.promotion.release import Release
from dmz.promotion.statement import Input, Role, resource_uri, verifier_id
from tests.attestations import attest, envelope, place, signature
from tests.promotion.builders import deb, release, wheel

RELEASE = release(wheel(), deb())


class Machine:
    """A machine whose buckets are in memory, and that notes what it installs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bucket: dict[str, bytes] = {}
        self.installed: list[str] = []
        there = place()
        self.settings: dict[str, Any] = {
            "machine": "dmz-inner",
            "workload": RELEASE.workload,
            "runtime": RELEASE.runtime,
            "release_bucket": "inner-release",
            "check": "true",
            "probes": [],
            "attestation": {
                "key": there.trust.key,
                "verifier": there.trust.verifier,
                "resource_uri": resource_uri("inner", "us-central1", RELEASE.workload),
                "policy_digest": there.trust.policy_digest,
                "max_age_seconds": there.trust.max_age.total_seconds(),
            },
        }
        monkeypatch.setattr(storage, "read", lambda _, name: self.bucket.get(name))
        monkeypatch.setattr(base, "image", lambda _: {"dpkg_digest": RELEASE.dpkg_digest})
        monkeypatch.setattr(probes, "run", lambda _: [])
        monkeypatch.setattr(inner, "_check", lambda _: None)
        monkeypatch.setattr(inner, "_TRIES", 1)
        for part in ("_apt", "_pypi", "_files"):
            monkeypatch.setattr(inner, part, partial(self.note, part))
        for name, body in RELEASE.files.items():
            self.bucket[f"releases/{RELEASE.digest}/{name}"] = body

    def note(self, part: str, *_: object) -> list[object]:
        self.installed.append(part)
        return []

    def attested(self, made: Release = RELEASE, **changes: Any) -> bytes:
        self.bucket[inside(RELEASE.digest)] = attest({}, made, **changes)
        return self.bucket[inside(RELEASE.digest)]

    def error(self) -> str:
        """What it reports after it refused."""
        told = inner.report(self.settings, RELEASE.digest)["error"]
        assert self.installed == []
        assert isinstance(told, str)
        assert "\n" not in told
        return told


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_what_is_attested_is_installed(machine: Machine) -> None:
    machine.attested()
    assert inner.report(machine.settings, RELEASE.digest)["error"] is None
    assert machine.installed == ["_apt", "_pypi", "_files"]


def test_what_nobody_attested(machine: Machine) -> None:
    assert f"has no releases/{RELEASE.digest}/attestation.dsse.json" in machine.error()


def test_a_machine_that_was_not_told_whose_attestations_count(machine: Machine) -> None:
    machine.attested()
    del machine.settings["attestation"]
    assert "whose attestations count" in machine.error()


@pytest.mark.parametrize(
    ("changes", "condition"),
    [
        ({"release_digest": "0" * 64}, "subject"),
        ({"verifier": verifier_id("dmz-sync@outer.iam.gserviceaccount.com")}, "verifier"),
        ({"resource_uri": resource_uri("prod-inner", "us-central1", RELEASE.workload)}, "resourceUri"),
        ({"policy_digest": "0" * 64}, "policy"),
        ({"time_verified": datetime.now(UTC) - timedelta(days=8)}, "timeVerified"),
        ({"time_verified": datetime.now(UTC) + timedelta(hours=1)}, "timeVerified"),
        ({"inputs": ()}, "locks"),
        (
            {
                "inputs": (
                    Input(Role.WAIVER, "CVE-2026-1", "0" * 64, "", until=datetime(2026, 1, 1, tzinfo=UTC)),
                )
            },
            "waiver",
        ),
    ],
)
def test_what_the_attestor_said_otherwise(machine: Machine, changes: dict[str, Any], condition: str) -> None:
    machine.attested(**changes)
    assert machine.error().startswith(f"attestation: {condition}: found ")


@pytest.mark.parametrize(
    ("what", "by", "condition"),
    [
        (b"verification_summary/v1", b"verification_summary/v2", "predicateType"),
        (b"PASSED", b"FAILED", "verificationResult"),
        (b"DMZ_SCREENED", b"SLSA_BUILD_LEVEL_3", "verifiedLevels"),
    ],
)
def test_what_the_attestor_did_not_pass(machine: Machine, what: bytes, by: bytes, condition: str) -> None:
    payload = Envelope.parse(machine.attested()).payload
    machine.bucket[inside(RELEASE.digest)] = envelope(payload.replace(what, by))
    assert machine.error().startswith(f"attestation: {condition}: found ")


def test_what_somebody_else_signed(machine: Machine) -> None:
    payload = Envelope.parse(machine.attested()).payload
    machine.bucket[inside(RELEASE.digest)] = envelope(
        payload, signatures=[signature(payload, which="somebody's")]
    )
    assert machine.error().startswith("attestation: signature: found ")


def test_a_lock_that_was_changed_with_its_checksums(machine: Machine) -> None:
    """Who can write the bucket can write all of its files; but not sign."""
    machine.attested()
    name = f"releases/{RELEASE.digest}/apt.{RELEASE.workload}.lock"
    machine.bucket[name] = machine.bucket[name].replace(b"jq", b"jp")
    assert machine.error().startswith("attestation: locks: found ")


def test_another_policy_or_key_installs_nothing_anew(machine: Machine) -> None:
    before = inner._asked(machine.settings, RELEASE.digest)
    machine.settings["attestation"] = {**machine.settings["attestation"], "policy_digest": "0" * 64}
    assert inner._asked(machine.settings, RELEASE.digest) == before
    assert json.loads(before)["release"] == RELEASE.digest
    machine.settings["check"] = "false"
    assert inner._asked(machine.settings, RELEASE.digest) != before
