"""PackageSync's provider against a real server: what it copies, refuses, withdraws and reports."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
import sys
import types
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dill  # type: ignore[import-untyped]
import pytest
from pulumi.output import UNKNOWN
from pulumi.runtime.proto import provider_pb2

from dmz.artifact import Artifact, Kind
from dmz.attestations import inside, line
from dmz.errors import DmzError, InputError, RefusedError, TransferError
from dmz.promotion import lines
from dmz.promotion import release as releases
from dmz.promotion.dsse import Envelope
from dmz.promotion.entry import Entry
from dmz.promotion.release import Release
from dmz.promotion.statement import Input, Role, resource_uri, verifier_id
from dmz.sync import PackageSyncProvider
from tests.attestations import ATTESTOR, POLICY, attest, envelope, pem, signature
from tests.registries.counterpart import SYNC, Counterpart, Fault, deb, running, wheel
from tests.registries.support import artifact

JAX = wheel("jax", "0.10.2")
FLAX = wheel("flax", "0.12.8")
BUILT = wheel("made-here", "1.0")
HELLO = deb("hello", "1:2.10-3")
MODEL = b"weights"

PYTHON = {
    "jax": artifact(Kind.PYPI, "jax", "0.10.2", *JAX),
    "flax": artifact(Kind.PYPI, "flax", "0.12.8", *FLAX),
    "built": artifact(Kind.PYPI, "made-here", "1.0", *BUILT, origin="python-built"),
}
APT = artifact(
    Kind.APT,
    "hello",
    "1:2.10-3",
    "hello_2.10-3_amd64.deb",
    HELLO,
    architecture="amd64",
    origin="apt-bookworm",
)
FILE = artifact(Kind.FILE, "model.bin", hashlib.sha256(MODEL).hexdigest(), "model.bin", MODEL, origin="files")
ALL = (*PYTHON.values(), APT, FILE)


TRUST: dict[str, Any] = {
    "key": pem(),
    "verifier": verifier_id(ATTESTOR),
    "bucket": "outer-attestations",
    "policyDigest": POLICY,
    "maxAgeSeconds": 604800.0,
}
Attested = Callable[..., dict[str, Any]]


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Counterpart]:
    """The outer project with everything that releases name, an empty inner one, and a checkout."""
    counterpart = Counterpart()
    counterpart.add("outer/python-remote", "PYTHON", dict([JAX, FLAX]))
    counterpart.add("outer/python-built", "PYTHON", dict([BUILT]))
    counterpart.add("outer/apt-bookworm", "APT", {APT.filename: HELLO})
    counterpart.add("inner/python", "PYTHON")
    counterpart.add("inner/apt", "APT")
    counterpart.buckets = {
        "outer-files": {f"files/{FILE.sha256}/model.bin": MODEL},
        "outer-attestations": {},
        "outer-archive": {},
        "inner-release": {},
        "inner-staging": {},
    }
    monkeypatch.chdir(tmp_path)
    with running(counterpart):
        for name, value in counterpart.environment().items():
            monkeypatch.setenv(name, value)
        yield counterpart


def released(*artifacts: Artifact, workload: str = "small") -> dict[str, Any]:
    """Write a release into the checkout; the inputs that a program makes from it."""
    return inputs(write(*artifacts, workload=workload))


def write(*artifacts: Artifact, workload: str = "small") -> Release:
    """Write a release into the checkout."""
    entries = tuple(
        Entry(one, "src-hello", one.version) if one.kind is Kind.APT else Entry(one) for one in artifacts
    )
    release = Release(workload, "0" * 64, "sandbox-debian-12", "1" * 64, "3.11", entries)
    releases.write(release, Path("releases"))
    return release


def inputs(release: Release) -> dict[str, Any]:
    """The inputs that a program makes from a release that nobody attested."""
    return {
        "packages": lines.render(releases.union([release])),
        "releases": {release.workload: release.digest},
        "attestation": TRUST,
        "attestations": {release.workload: "not attested yet"},
        "releaseFolder": "releases",
        "project": "inner",
        "location": "us-central1",
        "aptRepository": "apt",
        "pythonRepository": "python",
        "releaseBucket": "inner-release",
        "stagingBucket": "inner-staging",
        "outerProject": "outer",
        "filesBucket": "outer-files",
        "archiveBucket": "outer-archive",
        "syncServiceAccount": SYNC,
        "adopt": False,
        "withdrawOnDelete": False,
        "providerVersion": "3",
        "__provider": "opaque",
    }


@pytest.fixture
def attested(cloud: Counterpart) -> Attested:
    """Writes a release, has it attested, and gives the inputs that a program makes of it then."""
    bucket = cloud.buckets["outer-attestations"]

    def make(*artifacts: Artifact, workload: str = "small") -> dict[str, Any]:
        release = write(*artifacts, workload=workload)
        found = [body for name, body in sorted(bucket.items()) if release.digest in name]
        envelope = found[-1] if found else attest(bucket, release)
        return {**inputs(release), "attestations": {workload: line(envelope)}}

    return make


def create(props: dict[str, Any]) -> dict[str, Any]:
    outs = PackageSyncProvider().create(props).outs
    assert outs is not None
    return {**outs, "__provider": "opaque"}


def update(olds: dict[str, Any], news: dict[str, Any]) -> dict[str, Any]:
    outs = PackageSyncProvider().update("id", olds, news).outs
    assert outs is not None
    return {**outs, "__provider": "opaque"}


def held(cloud: Counterpart) -> set[str]:
    """SHA-256 of everything that can be read in inner but for the releases themselves."""
    kept = {
        one.sha256
        for name, files in cloud.repositories.items()
        if name.startswith("inner/")
        for one in files.values()
    }
    return kept | {
        hashlib.sha256(data).hexdigest()
        for name, data in cloud.buckets["inner-release"].items()
        if name.startswith("files/")
    }


def digests(*artifacts: Artifact) -> set[str]:
    return {one.sha256 for one in artifacts}


class TestCreate:
    def test_inner_holds_the_release(self, cloud: Counterpart, attested: Attested) -> None:
        outs = create(attested(*ALL))
        assert held(cloud) == digests(*ALL)
        assert (outs["copied"], outs["kept"], outs["withdrawn"]) == (5, 0, 0)
        assert outs["bytes"] == sum(one.size for one in ALL)

    def test_machines_find_the_release(self, cloud: Counterpart, attested: Attested) -> None:
        props = attested(*ALL)
        create(props)
        box = cloud.buckets["inner-release"]
        digest = props["releases"]["small"]
        assert json.loads(box["current/small.json"]) == {"workload": "small", "digest": digest}
        for file in Path("releases").iterdir():
            assert box[f"releases/{digest}/{file.name}"] == file.read_bytes()

    def test_everything_is_done_as_the_sync(self, cloud: Counterpart, attested: Attested) -> None:
        create(attested(*ALL))
        # But for whom it may act as, and who asks for that.
        asked = [each for each in cloud.requests if not each[1].startswith(("/iam/", "/oauth2/"))]
        assert {identity for _, _, identity in asked} == {"sync"}

    def test_a_second_time_copies_nothing(self, cloud: Counterpart, attested: Attested) -> None:
        create(attested(*ALL))
        before = len([1 for method, path, _ in cloud.requests if method == "POST"])
        outs = create(attested(*ALL))
        assert (outs["copied"], outs["kept"], outs["withdrawn"]) == (0, 5, 0)
        posts = [path for method, path, _ in cloud.requests if method == "POST"][before:]
        # Tokens, the lease and the journal.
        assert not [
            path for path in posts if not re.search("AccessToken|tokeninfo|/b/inner-release/o$", path)
        ]

    def test_what_is_there_and_right_is_adopted(self, cloud: Counterpart, attested: Attested) -> None:
        cloud.keep("inner/python", *JAX)
        outs = create(attested(*ALL))
        assert (outs["copied"], outs["kept"]) == (4, 1)

    def test_what_was_there_before_is_named_and_stays(self, cloud: Counterpart, attested: Attested) -> None:
        name, data = wheel("theirs", "3.0")
        cloud.keep("inner/python", name, data)
        with pytest.raises(RefusedError, match=rf"{name}.*dmz:adopt"):
            create(attested(*ALL))
        assert held(cloud) == {hashlib.sha256(data).hexdigest()}

    def test_what_was_there_before_goes_when_told(self, cloud: Counterpart, attested: Attested) -> None:
        cloud.keep("inner/python", *wheel("theirs", "3.0"))
        outs = create({**attested(*ALL), "adopt": True})
        assert outs["withdrawn"] == 1
        assert held(cloud) == digests(*ALL)

    def test_what_a_failed_one_put_there_is_known_when_another_release_follows(
        self, cloud: Counterpart, attested: Attested
    ) -> None:
        cloud.faults.append(Fault("GET", "/apt/projects/inner/dists", status=403))
        with pytest.raises(TransferError):
            create(attested(*ALL))
        assert held(cloud) == digests(*ALL)
        cloud.faults.clear()
        name, data = wheel("theirs", "3.0")
        cloud.keep("inner/python", name, data)
        with pytest.raises(RefusedError, match=rf"hold 1 files .*{name}.*dmz:adopt"):
            create(attested(ALL[0]))
        cloud.repositories["inner/python"].pop(f"theirs/{name}")
        outs = create(attested(ALL[0]))
        assert (outs["kept"], outs["withdrawn"]) == (1, 4)
        assert held(cloud) == digests(ALL[0])

    def test_it_waits_for_the_apt_index(self, cloud: Counterpart, attested: Attested) -> None:
        cloud.index_delay["inner/apt"] = 4
        create(attested(*ALL))
        assert cloud.index_delay["inner/apt"] == 0

    def test_a_service_that_stumbles(self, cloud: Counterpart, attested: Attested) -> None:
        cloud.faults += [
            Fault("POST", "/python/inner", status=500),
            Fault("GET", "/files", status=503, headers={"Retry-After": "0"}),
            Fault("GET", JAX[0], truncate=True),
        ]
        create(attested(*ALL))
        assert held(cloud) == digests(*ALL)


class TestRefusals:
    @pytest.mark.parametrize("name", [JAX[0], "hello_2.10-3_amd64", "model.bin"])
    def test_one_byte_changed_on_the_way(self, cloud: Counterpart, attested: Attested, name: str) -> None:
        cloud.faults.append(Fault("GET", name, other_bytes=True, times=99))
        with pytest.raises(TransferError) as caught:
            create(attested(*ALL))
        [wanted] = [one for one in ALL if one.filename.startswith(name)]
        [data] = [data for data in (JAX[1], HELLO, MODEL) if len(data) == wanted.size]
        served = hashlib.sha256(bytes(byte ^ 1 for byte in data)).hexdigest()
        for part in (wanted.filename, wanted.sha256, served):
            assert part in str(caught.value)
        assert "\n" not in str(caught.value)
        assert held(cloud) <= digests(*ALL) - {wanted.sha256}
        assert not [
            name for name in cloud.buckets["inner-release"] if name.startswith(("current", "releases"))
        ]

    def test_one_byte_changed_in_outers_apt_index(self, cloud: Counterpart, attested: Attested) -> None:
        changed = deb("hello", "1:2.10-3", payload=b"Payload")
        cloud.repositories["outer/apt-bookworm"].clear()
        cloud.keep("outer/apt-bookworm", APT.filename, changed)
        with pytest.raises(RefusedError) as caught:
            create(attested(APT))
        for part in (APT.filename, APT.sha256, hashlib.sha256(changed).hexdigest()):
            assert part in str(caught.value)
        assert held(cloud) == set()

    def test_other_bytes_in_inner(self, cloud: Counterpart, attested: Attested) -> None:
        cloud.keep("inner/python", JAX[0], JAX[1][:-1] + b"?")
        with pytest.raises(DmzError, match=JAX[0]):
            create(attested(*ALL))
        assert not cloud.repositories["inner/apt"], "something was copied before the conflict was seen"

    def test_the_checkout_changed(self, cloud: Counterpart, attested: Attested) -> None:
        props = attested(PYTHON["jax"])
        attested(PYTHON["jax"], PYTHON["flax"])
        with pytest.raises(InputError, match="changed meanwhile"):
            create(props)
        assert held(cloud) == set()

    def test_packages_that_no_release_has(self, cloud: Counterpart, attested: Attested) -> None:
        props = attested(PYTHON["jax"])
        props["packages"] = lines.render([PYTHON["jax"], PYTHON["flax"]])
        with pytest.raises(InputError, match="not what the releases"):
            create(props)
        assert held(cloud) == set()

    def test_nobody_may_impersonate(self, cloud: Counterpart, attested: Attested) -> None:
        cloud.may_impersonate = False
        with pytest.raises(InputError, match="may not act as"):
            create(attested(*ALL))


WAIVED = Input(Role.WAIVER, "CVE-2026-1", "0" * 64, "waivers", until=datetime.now(UTC) - timedelta(days=1))


class TestAttestation:
    """What is not attested does not enter, and what attests it travels with it."""

    def refused(self, cloud: Counterpart, release: Release) -> str:
        with pytest.raises(RefusedError) as caught:
            create(inputs(release))
        assert held(cloud) == set()
        assert cloud.buckets["inner-release"] == {}
        asked = [path for method, path, _ in cloud.requests if method != "GET"]
        assert all("generateAccessToken" in path for path in asked), "nothing but the token was asked for"
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def test_what_nobody_attested(self, cloud: Counterpart) -> None:
        assert "not attested yet; after the merge" in self.refused(cloud, write(*ALL))

    def test_nor_an_empty_release(self, cloud: Counterpart, attested: Attested) -> None:
        olds = create(attested(*ALL))
        with pytest.raises(RefusedError, match="not attested yet"):
            update(olds, released())
        assert held(cloud) == digests(*ALL)

    @pytest.mark.parametrize(
        ("changes", "condition"),
        [
            ({"release_digest": "0" * 64}, "subject"),
            ({"verifier": verifier_id(SYNC)}, "verifier"),
            ({"resource_uri": resource_uri("prod-inner", "us-central1", "small")}, "resourceUri"),
            ({"policy_digest": "0" * 64}, "policy"),
            ({"time_verified": datetime.now(UTC) - timedelta(days=8)}, "timeVerified"),
            ({"time_verified": datetime.now(UTC) + timedelta(hours=1)}, "timeVerified"),
            ({"inputs": (WAIVED,)}, "waiver"),
            ({"inputs": ()}, "locks"),
        ],
    )
    def test_what_the_attestor_said_otherwise(
        self, cloud: Counterpart, changes: dict[str, Any], condition: str
    ) -> None:
        release = write(*ALL)
        attest(cloud.buckets["outer-attestations"], release, **changes)
        assert f"attestation: {condition}: found " in self.refused(cloud, release)

    @pytest.mark.parametrize(
        ("what", "by", "condition"),
        [(b"PASSED", b"FAILED", "verificationResult"), (b"DMZ_SCREENED", b"SOMETHING", "verifiedLevels")],
    )
    def test_what_the_attestor_did_not_pass(
        self, cloud: Counterpart, what: bytes, by: bytes, condition: str
    ) -> None:
        release = write(*ALL)
        bucket = cloud.buckets["outer-attestations"]
        payload = Envelope.parse(attest(bucket, release)).payload
        [name] = bucket
        bucket[name] = envelope(payload.replace(what, by))
        assert f"attestation: {condition}: found " in self.refused(cloud, release)

    @pytest.mark.parametrize("body", [b"", b"\xff", b"{}", b" " * (1 << 21)])
    def test_what_is_no_attestation(self, cloud: Counterpart, body: bytes) -> None:
        release = write(*ALL)
        attest(cloud.buckets["outer-attestations"], release)
        [name] = cloud.buckets["outer-attestations"]
        cloud.buckets["outer-attestations"][name] = body
        assert "attestation: envelope: found " in self.refused(cloud, release)

    def test_what_somebody_else_signed(self, cloud: Counterpart) -> None:
        release = write(*ALL)
        bucket = cloud.buckets["outer-attestations"]
        payload = Envelope.parse(attest(bucket, release)).payload
        [name] = bucket
        bucket[name] = envelope(payload, signatures=[signature(payload, which="somebody's")])
        assert "attestation: signature: found " in self.refused(cloud, release)

    def test_the_newest_counts(self, cloud: Counterpart) -> None:
        release = write(*ALL)
        bucket = cloud.buckets["outer-attestations"]
        attest(bucket, release)
        attest(bucket, release, policy_digest="0" * 64)
        assert "attestation: policy: " in self.refused(cloud, release)
        attest(bucket, release)
        assert create(inputs(release))["copied"] == 5

    def test_one_by_a_clock_ahead_of_time_does_not_hide_those_after_it(self, cloud: Counterpart) -> None:
        release, ahead = write(*ALL), datetime.now(UTC) + timedelta(days=300)
        bucket = cloud.buckets["outer-attestations"]
        attest(bucket, release, time_verified=ahead)
        [name] = bucket
        folder, _, stamp = name.rpartition("/")
        bucket[f"{folder}/9{stamp[1:]}"] = bucket.pop(name)
        assert "attestation: timeVerified: " in self.refused(cloud, release)
        attest(bucket, release)
        assert create(inputs(release))["copied"] == 5

    def test_another_workloads_is_not_this_ones(self, cloud: Counterpart, attested: Attested) -> None:
        attested(*ALL, workload="other")
        assert "small" in self.refused(cloud, write(*ALL))

    def test_it_is_there_before_the_machines_are_told(self, cloud: Counterpart, attested: Attested) -> None:
        props = attested(*ALL)
        outs = create(props)
        names = list(cloud.buckets["inner-release"])
        digest = props["releases"]["small"]
        assert names.index(inside(digest)) < names.index("current/small.json")
        [envelope] = cloud.buckets["outer-attestations"].values()
        assert cloud.buckets["inner-release"][inside(digest)] == envelope
        assert outs["attestations"] == {"small": line(envelope)} == props["attestations"]

    def test_a_new_one_of_an_unchanged_release_travels_and_copies_nothing(
        self, cloud: Counterpart, attested: Attested
    ) -> None:
        props = attested(*ALL)
        olds = create(props)
        renewed = attest(cloud.buckets["outer-attestations"], releases.read(Path("releases"), "small"))
        news = {**props, "attestations": {"small": line(renewed)}}
        assert PackageSyncProvider().diff("id", olds, news).changes
        outs = update(olds, news)
        assert (outs["copied"], outs["kept"], outs["withdrawn"]) == (0, 5, 0)
        assert outs["packages"] == olds["packages"]
        assert cloud.buckets["inner-release"][inside(props["releases"]["small"])] == renewed

    def test_one_that_was_changed_or_lost_inside_is_drift(
        self, cloud: Counterpart, attested: Attested
    ) -> None:
        props = attested(*ALL)
        outs = create(props)
        name = inside(props["releases"]["small"])
        cloud.buckets["inner-release"][name] += b" "
        found = PackageSyncProvider().read("id", outs)
        assert found.inputs is not None
        assert found.inputs["attestations"] != props["attestations"]
        del cloud.buckets["inner-release"][name]
        found = PackageSyncProvider().read("id", outs)
        assert found.inputs is not None
        assert found.inputs["attestations"] == {}
        assert found.inputs["releases"] == props["releases"]
        update(found.outs or {}, props)
        assert PackageSyncProvider().read("id", outs).outs == outs


class TestStateOfVersion1:
    """What stood in a state before there were attestations."""

    def before(self, props: dict[str, Any]) -> dict[str, Any]:
        later = {"attestation", "attestations", "archiveBucket", "stagingBucket"}
        without = {key: value for key, value in props.items() if key not in later}
        return {**without, "providerVersion": "1", "copied": 5, "kept": 0, "withdrawn": 0}

    def test_it_reads(self, cloud: Counterpart, attested: Attested) -> None:
        props = attested(*ALL)
        create(props)
        found = PackageSyncProvider().read("id", self.before(props))
        assert found.inputs is not None
        assert found.inputs["packages"] == props["packages"]

    def test_it_deletes(self, cloud: Counterpart, attested: Attested) -> None:
        props = attested(*ALL)
        create(props)
        PackageSyncProvider().delete("id", {**self.before(props), "withdrawOnDelete": True})
        found = PackageSyncProvider().read("id", props)
        assert found.inputs is not None
        assert found.inputs["packages"] == {}

    def test_it_asks_for_an_update_that_copies_nothing(self, cloud: Counterpart, attested: Attested) -> None:
        props = attested(*ALL)
        create(props)
        result = PackageSyncProvider().diff("id", self.before(props), props)
        assert (result.changes, result.replaces) == (True, [])
        assert update(self.before(props), props)["copied"] == 0

    def test_its_deletion_is_harmless(self, cloud: Counterpart, attested: Attested) -> None:
        props = attested(*ALL)
        create(props)
        PackageSyncProvider().delete("id", self.before(props))
        assert held(cloud) == digests(*ALL)

    def test_and_possible_where_it_withdraws(self, cloud: Counterpart, attested: Attested) -> None:
        props = attested(*ALL)
        create(props)
        PackageSyncProvider().delete("id", {**self.before(props), "withdrawOnDelete": True})
        assert held(cloud) == set()


class TestUpdate:
    def test_copies_what_is_new_and_withdraws_what_is_gone(
        self, cloud: Counterpart, attested: Attested
    ) -> None:
        olds = create(attested(PYTHON["jax"], APT, FILE))
        outs = update(olds, attested(PYTHON["jax"], PYTHON["flax"]))
        assert (outs["copied"], outs["kept"], outs["withdrawn"]) == (1, 1, 2)
        assert held(cloud) == digests(PYTHON["jax"], PYTHON["flax"])

    def test_copies_before_it_withdraws(self, cloud: Counterpart, attested: Attested) -> None:
        olds = create(attested(PYTHON["jax"]))
        cloud.faults.append(Fault("GET", FLAX[0], other_bytes=True, times=99))
        with pytest.raises(TransferError):
            update(olds, attested(PYTHON["flax"]))
        assert held(cloud) == digests(PYTHON["jax"])

    def test_what_came_behind_our_back_goes(self, cloud: Counterpart, attested: Attested) -> None:
        olds = create(attested(*ALL))
        cloud.keep("inner/python", *wheel("intruder", "6.6.6"))
        outs = update(olds, attested(*ALL))
        assert outs["withdrawn"] == 1
        assert held(cloud) == digests(*ALL)

    def test_an_empty_release_withdraws_everything(self, cloud: Counterpart, attested: Attested) -> None:
        olds = create(attested(*ALL))
        assert update(olds, attested())["withdrawn"] == 5
        assert held(cloud) == set()

    def test_a_workload_that_left_is_no_longer_current(self, cloud: Counterpart, attested: Attested) -> None:
        olds = create(attested(PYTHON["jax"], workload="old"))
        update(olds, attested(PYTHON["jax"], workload="new"))
        current = [name for name in cloud.buckets["inner-release"] if name.startswith("current/")]
        assert current == ["current/new.json"]

    def test_what_was_approved_and_shares_its_version_lingers_until_it_can_go(
        self, cloud: Counterpart, attested: Attested
    ) -> None:
        name, data = wheel("jax", "0.10.2", tag="py2-none-any")
        other = artifact(Kind.PYPI, "jax", "0.10.2", name, data)
        cloud.keep("outer/python-remote", name, data)
        outs = create(attested(other))
        outs = update(outs, attested(PYTHON["jax"]))
        assert outs["lingering"] == [f"{name} sha256:{other.sha256}"]
        assert outs["withdrawn"] == 0
        # A refresh calls it a stranger; what the last sync called lingering is known all the same.
        found = PackageSyncProvider().read("id", outs)
        assert found.outs is not None
        outs = update(found.outs, attested(PYTHON["jax"]))
        assert outs["lingering"] == [f"{name} sha256:{other.sha256}"]
        outs = update(outs, attested())
        assert (outs["lingering"], held(cloud)) == ([], set())

    def test_what_nobody_approved_goes_at_once_with_its_version_which_comes_again(
        self, cloud: Counterpart, attested: Attested
    ) -> None:
        outs = create(attested(PYTHON["jax"]))
        cloud.keep("inner/python", *wheel("jax", "0.10.2", tag="py2-none-any"))
        outs = update(outs, attested(PYTHON["jax"]))
        assert (outs["withdrawn"], outs["copied"], outs["lingering"]) == (2, 1, [])
        assert held(cloud) == digests(PYTHON["jax"])


class TestTwoWorkloads:
    """Both releases lie in one set of repositories, and each is attested by itself."""

    SMALL = (PYTHON["jax"], APT)
    LARGE = (PYTHON["jax"], PYTHON["flax"], FILE)

    def both(self, small: dict[str, Any], large: dict[str, Any]) -> dict[str, Any]:
        union = releases.union(releases.read(Path("releases"), workload) for workload in ("small", "large"))
        return {
            **small,
            "packages": lines.render(union),
            **{key: small[key] | large[key] for key in ("releases", "attestations")},
        }

    @pytest.fixture
    def props(self, attested: Attested) -> dict[str, Any]:
        return self.both(attested(*self.SMALL), attested(*self.LARGE, workload="large"))

    def test_what_both_need_is_copied_once_and_each_machine_finds_its_own(
        self, cloud: Counterpart, props: dict[str, Any]
    ) -> None:
        outs = create(props)
        assert outs["copied"] == 4
        assert held(cloud) == digests(*self.SMALL, *self.LARGE)
        box = cloud.buckets["inner-release"]
        for workload, digest in props["releases"].items():
            assert json.loads(box[f"current/{workload}.json"])["digest"] == digest
            assert line(box[inside(digest)]) == props["attestations"][workload]
        found = PackageSyncProvider().read("id", outs).outs
        assert found is not None
        assert (found["releases"], found["attestations"]) == (props["releases"], props["attestations"])

    def test_one_that_nobody_attested_keeps_both_out_and_is_named(
        self, cloud: Counterpart, attested: Attested
    ) -> None:
        small, large = attested(*self.SMALL), inputs(write(*self.LARGE, workload="large"))
        with pytest.raises(RefusedError, match=r"large.*not attested yet"):
            create(self.both(small, large))
        assert held(cloud) == set()
        assert cloud.buckets["inner-release"] == {}

    def test_when_one_leaves_the_other_keeps_what_it_needs(
        self, cloud: Counterpart, attested: Attested, props: dict[str, Any]
    ) -> None:
        outs = update(create(props), attested(*self.SMALL))
        assert (outs["copied"], outs["kept"], outs["withdrawn"]) == (0, 2, 2)
        assert held(cloud) == digests(*self.SMALL)
        current = {name for name in cloud.buckets["inner-release"] if name.startswith("current/")}
        assert current == {"current/small.json"}


class TestRead:
    def test_nothing_changed(self, cloud: Counterpart, attested: Attested) -> None:
        props = attested(*ALL)
        outs = create(props)
        found = PackageSyncProvider().read("id", outs)
        assert found.inputs is not None
        assert found.outs == outs
        assert {**found.inputs, "__provider": "opaque"} == props

    def test_drift_is_shown_by_package(self, cloud: Counterpart, attested: Attested) -> None:
        props = attested(*ALL)
        outs = create(props)
        name, data = wheel("intruder", "6.6.6")
        cloud.keep("inner/python", name, data)
        cloud.repositories["inner/apt"].clear()
        found = PackageSyncProvider().read("id", outs)
        assert found.inputs is not None
        packages = found.inputs["packages"]
        assert packages.keys() - props["packages"].keys() == {"pypi/intruder"}
        assert name in packages["pypi/intruder"]
        assert hashlib.sha256(data).hexdigest() in packages["pypi/intruder"]
        assert props["packages"].keys() - packages.keys() == {"apt/hello:amd64"}
        assert PackageSyncProvider().diff("id", found.outs or {}, props).changes

    def test_after_drift_an_update_mends(self, cloud: Counterpart, attested: Attested) -> None:
        props = attested(*ALL)
        outs = create(props)
        cloud.keep("inner/python", *wheel("intruder", "6.6.6"))
        cloud.repositories["inner/apt"].clear()
        found = PackageSyncProvider().read("id", outs)
        assert update(found.outs or {}, props)["withdrawn"] == 1
        assert held(cloud) == digests(*ALL)

    @pytest.mark.parametrize("changed", [b"Weights", b"more weights"], ids=["as long", "longer"])
    @pytest.mark.parametrize("archived", [True, False], ids=["archived", "lost"])
    def test_bytes_that_changed_under_a_files_name_are_shown_and_mended(
        self, cloud: Counterpart, attested: Attested, archived: bool, changed: bytes
    ) -> None:
        props = attested(*ALL)
        outs = create(props)
        place = f"files/{FILE.sha256}/model.bin"
        cloud.buckets["inner-release"][place] = changed
        if not archived:
            del cloud.buckets["outer-archive"][f"sha256/{FILE.sha256}"]
        found = PackageSyncProvider().read("id", outs)
        assert found.inputs is not None
        assert hashlib.sha256(changed).hexdigest() in found.inputs["packages"]["files/model.bin"]
        mended = update(found.outs or {}, props)
        assert (mended["copied"], mended["withdrawn"]) == (1, 1)
        assert cloud.buckets["inner-release"][place] == MODEL
        assert cloud.buckets["outer-archive"][f"sha256/{FILE.sha256}"] == MODEL
        assert held(cloud) == digests(*ALL)

    def test_a_file_is_not_read_to_know_it(self, cloud: Counterpart, attested: Attested) -> None:
        outs = create(attested(*ALL))
        cloud.requests.clear()
        PackageSyncProvider().read("id", outs)
        assert not [path for _, path, _ in cloud.requests if "/o/files/" in path]

    def test_a_tampered_release_is_drift(self, cloud: Counterpart, attested: Attested) -> None:
        props = attested(*ALL)
        outs = create(props)
        digest = props["releases"]["small"]
        cloud.buckets["inner-release"][f"releases/{digest}/apt.small.lock"] += b" "
        found = PackageSyncProvider().read("id", outs)
        assert found.inputs is not None
        assert found.inputs["releases"] == {}
        update(found.outs or {}, props)
        again = PackageSyncProvider().read("id", outs)
        assert again.inputs is not None
        assert again.inputs["releases"] == props["releases"]

    @pytest.mark.parametrize("body", [b"[" * 100_000, b"[]", b"7", b"{}", b"\xff", b'{"digest": 7}'], ids=len)
    def test_a_pointer_that_is_none_is_drift(
        self, cloud: Counterpart, attested: Attested, body: bytes
    ) -> None:
        outs = create(attested(*ALL))
        cloud.buckets["inner-release"]["current/small.json"] = body
        found = PackageSyncProvider().read("id", outs)
        assert found.inputs is not None
        assert found.inputs["releases"] == {}

    def test_an_object_put_among_the_files(self, cloud: Counterpart, attested: Attested) -> None:
        props = attested(*ALL)
        outs = create(props)
        cloud.buckets["inner-release"]["files/notes"] = b"hidden"
        found = PackageSyncProvider().read("id", outs)
        assert found.inputs is not None
        assert hashlib.sha256(b"hidden").hexdigest() in found.inputs["packages"]["files/notes"]
        update(found.outs or {}, props)
        assert "files/notes" not in cloud.buckets["inner-release"]

    def test_a_repository_that_is_gone(self, cloud: Counterpart, attested: Attested) -> None:
        outs = create(attested(*ALL))
        del cloud.repositories["inner/python"]
        assert PackageSyncProvider().read("id", outs).id == ""


class TestDelete:
    def test_nothing_is_withdrawn(self, cloud: Counterpart, attested: Attested) -> None:
        PackageSyncProvider().delete("id", create(attested(*ALL)))
        assert held(cloud) == digests(*ALL)

    def test_unless_told(self, cloud: Counterpart, attested: Attested) -> None:
        outs = create({**attested(*ALL), "withdrawOnDelete": True})
        name, data = wheel("theirs", "3.0")
        cloud.keep("inner/python", name, data)
        PackageSyncProvider().delete("id", outs)
        assert held(cloud) == {hashlib.sha256(data).hexdigest()}


class TestCheck:
    def failures(self, **changed: Any) -> list[tuple[str, str]]:
        found = PackageSyncProvider().check({}, {**released(*ALL), **changed}).failures
        return [(failure.property, failure.reason) for failure in found]

    @pytest.fixture(autouse=True)
    def checkout(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.chdir(tmp_path)

    def test_good_inputs_pass_as_they_are(self) -> None:
        props = released(*ALL)
        result = PackageSyncProvider().check({}, props)
        assert (result.inputs, result.failures) == (props, [])

    @pytest.mark.parametrize(
        ("changed", "where"),
        [
            ({"packages": {"pypi/jax": "0.10.2"}}, "packages"),
            ({"packages": {"npm/left-pad": "1.0 a.tgz sha256:" + "0" * 64 + " 1 from x; y"}}, "packages"),
            ({"packages": None}, "packages"),
            ({"releases": {"small": "latest"}}, "releases"),
            ({"releaseFolder": "../elsewhere"}, "releaseFolder"),
            ({"releaseFolder": "/elsewhere"}, "releaseFolder"),
            ({"project": ""}, "project"),
            ({"syncServiceAccount": None}, "syncServiceAccount"),
            ({"archiveBucket": ""}, "archiveBucket"),
            ({"stagingBucket": None}, "stagingBucket"),
            ({"adopt": "yes"}, "adopt"),
            ({"attestation": None}, "attestation"),
            ({"attestation": TRUST | {"key": ""}}, "attestation"),
            ({"attestation": TRUST | {"maxAgeSeconds": 0}}, "attestation"),
            ({"attestation": TRUST | {"maxAgeSeconds": True}}, "attestation"),
            ({"attestations": {"small": 3}}, "attestations"),
        ],
    )
    def test_bad_inputs_are_named(self, changed: dict[str, Any], where: str) -> None:
        [(property_, reason)] = self.failures(**changed)
        assert property_ == where
        assert "\n" not in reason

    def test_what_a_preview_does_not_know_passes(self) -> None:
        assert self.failures(project=UNKNOWN, packages=UNKNOWN, aptRepository=UNKNOWN) == []
        assert self.failures(packages={"pypi/jax": UNKNOWN}) == []
        assert self.failures(attestation=UNKNOWN, attestations=UNKNOWN) == []
        assert self.failures(attestation=TRUST | {"key": UNKNOWN, "maxAgeSeconds": UNKNOWN}) == []


class TestDiff:
    @pytest.fixture(autouse=True)
    def checkout(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.chdir(tmp_path)

    def diff(self, **changed: Any) -> tuple[bool | None, list[str] | None]:
        olds = {**released(*ALL), "copied": 5, "seconds": 1.5, "lingering": []}
        result = PackageSyncProvider().diff("id", olds, {**released(*ALL), **changed})
        return result.changes, result.replaces

    def test_outputs_make_no_difference(self) -> None:
        assert self.diff() == (False, [])

    @pytest.mark.parametrize(
        "key", ["project", "location", "aptRepository", "pythonRepository", "releaseBucket"]
    )
    def test_another_target_replaces(self, key: str) -> None:
        assert self.diff(**{key: "another"}) == (True, [key])

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("packages", {}),
            ("releases", {}),
            ("outerProject", "x"),
            ("filesBucket", "x"),
            ("archiveBucket", "x"),
            ("stagingBucket", "x"),
            ("providerVersion", "4"),
            ("attestation", {}),
            ("attestations", {"small": "2026-11-22T12:00:00Z sha256:0"}),
            ("adopt", True),
            ("withdrawOnDelete", True),
        ],
    )
    def test_any_other_input_updates(self, key: str, value: Any) -> None:
        assert self.diff(**{key: value}) == (True, [])

    def test_an_unknown_target_does_not_replace(self) -> None:
        assert self.diff(aptRepository=UNKNOWN) == (True, [])


class TestProvider:
    def test_is_kept_by_reference(self) -> None:
        assert len(dill.dumps(PackageSyncProvider(), protocol=pickle.DEFAULT_PROTOCOL, recurse=True)) < 200
        assert PackageSyncProvider.serialize_as_secret_always is False

    def test_outputs_hold_no_token(self, cloud: Counterpart, attested: Attested) -> None:
        assert "token-of" not in json.dumps(create(attested(*ALL)))


class TestOneLine:
    """The SDK's own server for dynamic resources, with our provider in it."""

    @pytest.fixture
    def server(self, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
        import pulumi.dynamic

        path = Path(pulumi.dynamic.__path__[0]) / "__main__.py"
        module = types.ModuleType("__main__")
        # All of it but the last line, which would start to serve.
        source = path.read_text().rstrip().removesuffix("main()")
        exec(compile(source, str(path), "exec"), module.__dict__)
        monkeypatch.setitem(sys.modules, "__main__", module)
        return module

    def call(self, server: types.ModuleType, props: dict[str, Any]) -> str:
        import base64

        from google.protobuf import struct_pb2

        class Context:
            details = ""

            def abort(self, _code: object, details: str) -> None:
                self.details = details

        context = Context()
        fields = struct_pb2.Struct()
        provider = base64.b64encode(dill.dumps(PackageSyncProvider(), recurse=True)).decode()
        fields.update({**props, "__provider": provider})
        request = provider_pb2.CreateRequest(properties=fields)
        server.DynamicResourceProviderServicer().Create(request, context)
        return context.details

    def test_a_refusal_has_no_traceback(
        self, cloud: Counterpart, attested: Attested, server: types.ModuleType
    ) -> None:
        cloud.keep("inner/python", *wheel("theirs", "3.0"))
        details = self.call(server, attested(*ALL))
        assert "dmz:adopt" in details
        assert "\n" not in details
        assert "Traceback" not in details

    def test_a_release_that_nobody_attested(self, cloud: Counterpart, server: types.ModuleType) -> None:
        details = self.call(server, released(*ALL))
        assert "not attested yet" in details
        assert "\n" not in details
        assert "Traceback" not in details

    def test_a_fault_of_ours_keeps_it(self, server: types.ModuleType, tmp_path: Path) -> None:
        details = self.call(server, {})
        assert "\n" not in details, "a missing input is for people"
        server.__dict__["get_provider"] = None
        assert "Traceback" in self.call(server, {})
