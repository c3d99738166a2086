"""Attesting: what is judged again before it is signed, and what comes of it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dmz.artifact import Kind
from dmz.errors import InputError, RefusedError, TransferError
from dmz.promotion import release as releases
from dmz.promotion.attestation import verify
from dmz.promotion.dsse import Envelope
from dmz.promotion.entry import Build, Entry
from dmz.promotion.release import Release
from dmz.promotion.retention import Stack, name_of, render
from dmz.promotion.statement import Role
from dmz.promotion.withdrawal import Withdrawal, object_name
from dmz.registries.bucket import Bucket
from dmz.workflow.attest import Attested, attest
from dmz.workflow.estate import Estate
from dmz.workflow.refused import ScreeningRefusedError
from tests.attestations import KEY_VERSION, pem, place, private_key
from tests.policies import POLICY
from tests.registries.counterpart import ATTESTOR, Counterpart, Fault, deb, running, serving, wheel
from tests.registries.support import artifact
from tests.test_outer import Upstream

ROOT = Path(__file__).parents[1]
HELLO = deb("hello", "1:2.10-3")
DEB = artifact(
    Kind.APT,
    "hello",
    "1:2.10-3",
    "hello_2.10-3_amd64.deb",
    HELLO,
    architecture="amd64",
    origin="apt-bookworm",
)
MODEL = b"weights"
FILE = artifact(Kind.FILE, "model.bin", hashlib.sha256(MODEL).hexdigest(), "model.bin", MODEL, origin="files")


def record(id_: str, fixed: str) -> dict[str, Any]:
    """An OSV record about the source package of the deb."""
    return {
        "id": id_,
        "modified": "2026-11-01T00:00:00Z",
        "affected": [
            {
                "package": {"ecosystem": "Debian:12", "name": "src-hello"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}],
            }
        ],
    }


def waiver(until: str) -> dict[str, Any]:
    """An OpenVEX document that accepts the finding of the deb."""
    return {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": "https://example.com/waivers/1",
        "author": "Somebody <somebody@example.com>",
        "timestamp": "2026-11-01T00:00:00Z",
        "version": 1,
        "statements": [
            {
                "vulnerability": {"name": "CVE-2026-1"},
                "products": [
                    {
                        "identifiers": {"purl": "pkg:deb/debian/hello@1:2.10-3?arch=amd64&distro=bookworm"},
                        "hashes": {"sha-256": DEB.sha256},
                    }
                ],
                "status": "not_affected",
                "status_notes": f"until {until}",
                "justification": "vulnerable_code_not_present",
            }
        ],
    }


class Upper(Estate):
    """An estate whose stacks are up."""

    def outer_outputs(self) -> Mapping[str, Any]:
        return {
            "project": "outer",
            "location": "us-central1",
            "aptRepositories": [{"repository": "apt-bookworm", "suite": "bookworm"}],
            "pythonRepository": "python-remote",
            "pythonBuiltRepository": "python-built",
            "filesBucket": "outer-files",
            "buildsBucket": "outer-builds",
            "attestationKey": KEY_VERSION,
            "attestationPublicKey": pem(),
            "attestationsBucket": "outer-attestations",
            "attestorServiceAccount": ATTESTOR,
        }

    def inner_outputs(self) -> Mapping[str, Any]:
        return {
            "project": "inner",
            "location": "us-central1",
            "aptRepository": "apt",
            "pythonRepository": "python",
            "releaseBucket": "inner-release",
        }


LOOKALIKES = """
[rules.lookalikes]
sentence = "No name that looks like another."
effect = "refuse"
names = "names.txt"
"""


class Checkout:
    """A checkout with a release, beside services that have what it names."""

    def __init__(self, folder: Path, cloud: Counterpart) -> None:
        self.folder = folder
        self.cloud = cloud
        for name in ("Pulumi.yaml", "Pulumi.outer.yaml", "Pulumi.inner.yaml"):
            shutil.copy(ROOT / name, folder)
        shutil.copytree(ROOT / "workloads", folder / "workloads")
        (folder / "policy.toml").write_text(POLICY)
        (folder / "advisories").mkdir()
        self.advisory("CVE-2025-1", "1:1.0-1")
        self.release = self.released(Entry(DEB, "src-hello", "1:2.10-3"), Entry(FILE))

    @property
    def bucket(self) -> dict[str, bytes]:
        return self.cloud.buckets["outer-attestations"]

    def advisory(self, id_: str, fixed: str) -> None:
        (self.folder / "advisories" / f"{id_}.json").write_text(json.dumps(record(id_, fixed)))

    def waive(self, until: str) -> None:
        (self.folder / "waivers").mkdir(exist_ok=True)
        (self.folder / "waivers" / "hello.json").write_text(json.dumps(waiver(until)))

    def names(self, text: str) -> Path:
        """Well-known names of one's own, which a rule of the policy reads."""
        (self.folder / "policy.toml").write_text(POLICY + LOOKALIKES)
        (self.folder / "names.txt").write_text(text)
        return self.folder / "names.txt"

    def released(self, *entries: Entry, workload: str = "small") -> Release:
        made = Release(workload, "0" * 64, "sandbox-debian-12", "1" * 64, "3.11", entries)
        releases.write(made, self.folder / "releases")
        return made

    def attest(self, **options: bool) -> tuple[Attested, ...]:
        estate = Upper(self.folder)
        chosen = {"unmerged": not (self.folder / ".git").exists(), **options}
        return asyncio.run(attest(estate, lambda line: None, **chosen))

    def refused(self) -> None:
        """Nothing was signed, and nothing was stored."""
        assert self.bucket == {}
        assert not [path for _, path, _ in self.cloud.requests if "asymmetricSign" in path]

    def git(self, *arguments: str) -> None:
        who = ("-c", "user.name=n", "-c", "user.email=e@example.com")
        subprocess.run(["git", *who, *arguments], cwd=self.folder, check=True, capture_output=True)

    def commit(self) -> None:
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=A release")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Checkout]:
    cloud = Counterpart()
    cloud.add("outer/apt-bookworm", "APT", {DEB.filename: HELLO})
    cloud.add("outer/python-remote", "PYTHON")
    cloud.add("outer/python-built", "PYTHON")
    cloud.add("inner/apt", "APT")
    cloud.add("inner/python", "PYTHON")
    cloud.buckets = {
        "outer-files": {f"files/{FILE.sha256}/model.bin": MODEL},
        "outer-attestations": {},
        "outer-builds": {},
        "inner-release": {},
    }
    cloud.remote = {"pythonRepository": {"customRepository": {"uri": "http://127.0.0.1:9"}}}
    cloud.keys[KEY_VERSION] = private_key()
    with running(cloud):
        for name, value in cloud.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        (tmp_path / "checkout").mkdir()
        yield Checkout(tmp_path / "checkout", cloud)


def expected(release: Release, folder: Path) -> Any:
    digest = hashlib.sha256((folder / "policy.toml").read_bytes()).hexdigest()
    there = replace(place(policy_digest=digest), project="dmz-inner")
    return there.expected(release, datetime.now(UTC))


def withdraw(checkout: Checkout) -> str:
    """As `dmz withdraw --now` does it with the deb; the name of the object."""
    who, why, when = "ada@example.org", "CVE-2026-9", "2026-11-22T10:00:00Z"
    record = Withdrawal(1, DEB.sha256, DEB.key, DEB.version, DEB.filename, who, why, when, "r")
    checkout.cloud.buckets["inner-release"][object_name(DEB.sha256)] = record.render()
    return object_name(DEB.sha256)


class TestWithdrawnAtOnce:
    WORDS = r"hello.* was withdrawn by ada@example\.org at 2026-11-22T10:00:00Z: CVE-2026-9.*--undo"

    def test_a_release_that_names_it_is_not_signed(self, checkout: Checkout) -> None:
        withdraw(checkout)
        with pytest.raises(RefusedError, match=self.WORDS) as caught:
            checkout.attest()
        assert "\n" not in str(caught.value)
        checkout.refused()

    def test_nor_is_one_said_to_hold_that_was_signed_before(self, checkout: Checkout) -> None:
        checkout.attest()
        withdraw(checkout)
        with pytest.raises(RefusedError, match=self.WORDS):
            checkout.attest()

    def test_when_that_was_taken_back_it_is(self, checkout: Checkout) -> None:
        name = withdraw(checkout)
        del checkout.cloud.buckets["inner-release"][name]
        [made] = checkout.attest()
        assert made.made
        assert not made.unseen

    def test_another_release_is(self, checkout: Checkout) -> None:
        withdraw(checkout)
        checkout.released(Entry(FILE))
        assert checkout.attest()[0].made

    def test_before_there_is_an_inner_side_nothing_was_withdrawn(
        self, checkout: Checkout, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def down(_: Estate) -> Mapping[str, Any]:
            raise InputError("stack inner is not up")

        withdraw(checkout)
        monkeypatch.setattr(Upper, "inner_outputs", down)
        [made] = checkout.attest()
        assert made.made
        assert not made.unseen

    def test_who_may_not_look_is_told_so(self, checkout: Checkout) -> None:
        checkout.cloud.faults.append(Fault("GET", "b/inner-release/o", status=403, times=99))
        [made] = checkout.attest()
        assert made.made
        assert "403" in made.unseen


class TestWhatIsSigned:
    def test_the_sync_believes_it(self, checkout: Checkout) -> None:
        [made] = checkout.attest()
        [(name, envelope)] = checkout.bucket.items()
        found = verify(envelope, expected(checkout.release, checkout.folder))
        assert made.made
        assert found.release_digest == checkout.release.digest
        assert name.startswith(f"attestations/dmz-inner/small/{checkout.release.digest}/2")
        assert name.endswith("Z.dsse.json")
        [signature] = Envelope.parse(envelope).signatures
        assert signature.keyid == KEY_VERSION

    def test_it_says_what_it_rests_on(self, checkout: Checkout) -> None:
        [made] = checkout.attest()
        inputs = {each.role: each for each in made.attestation.inputs}
        assert inputs.keys() == {Role.LOCK, Role.WAIVERS, Role.ADVISORIES}
        assert inputs[Role.ADVISORIES].name == "osv"
        assert inputs[Role.ADVISORIES].as_of == datetime(2026, 11, 1, tzinfo=UTC)
        assert len([each for each in made.attestation.inputs if each.role is Role.LOCK]) == 3

    def test_only_the_attestor_signs_and_stores(self, checkout: Checkout) -> None:
        checkout.attest()
        asked = [(path, who) for method, path, who in checkout.cloud.requests if method == "POST"]
        by = {who for path, who in asked if "asymmetricSign" in path or path.startswith("/upload/")}
        assert by == {"attestor"}
        others = {who for _, path, who in checkout.cloud.requests if path.startswith("/v1/projects")}
        assert others <= {"caller"}

    def test_every_release_of_the_checkout(self, checkout: Checkout) -> None:
        checkout.released(Entry(FILE), workload="other")
        assert {each.release.workload for each in checkout.attest()} == {"small", "other"}
        assert len(checkout.bucket) == 2

    def test_an_empty_release_too(self, checkout: Checkout) -> None:
        checkout.released()
        [made] = checkout.attest()
        assert made.made

    def test_a_waiver_that_it_needs_and_its_end(self, checkout: Checkout) -> None:
        checkout.advisory("CVE-2026-1", "2:1")
        checkout.waive("2099-02-01")
        [made] = checkout.attest()
        [used] = [each for each in made.attestation.inputs if each.role is Role.WAIVER]
        assert used.until == datetime(2099, 2, 1, 23, 59, 59, tzinfo=UTC)
        assert used.name == "CVE-2026-1 of pkg:deb/debian/hello@1:2.10-3?arch=amd64&distro=bookworm"
        assert used.uri == "waivers/hello.json"
        [envelope] = checkout.bucket.values()
        later = replace(expected(checkout.release, checkout.folder), now=datetime(2099, 2, 2, tzinfo=UTC))
        with pytest.raises(RefusedError, match="attestation: timeVerified"):
            verify(envelope, later)

    def test_a_waiver_that_nothing_needs_ends_nothing(self, checkout: Checkout) -> None:
        checkout.waive("2099-02-01")
        [made] = checkout.attest()
        assert not [each for each in made.attestation.inputs if each.role is Role.WAIVER]


class TestTwice:
    def test_nothing_changed(self, checkout: Checkout) -> None:
        [first] = checkout.attest()
        [second] = checkout.attest()
        assert (first.made, second.made) == (True, False)
        assert second.line == first.line
        assert second.attestation.time_verified == first.attestation.time_verified.replace(microsecond=0)
        assert len(checkout.bucket) == 1

    def test_again_if_told(self, checkout: Checkout) -> None:
        checkout.attest()
        [again] = checkout.attest(again=True)
        assert again.made
        assert len(checkout.bucket) == 2

    @pytest.mark.parametrize("what", ["policy", "advisories", "waivers", "names"])
    def test_again_by_itself_when_something_else_decides(self, checkout: Checkout, what: str) -> None:
        if what == "names":
            checkout.names("acme-trainer\n")
        checkout.attest()
        match what:
            case "policy":
                (checkout.folder / "policy.toml").write_text(POLICY.replace("90 days", "30 days"))
            case "advisories":
                checkout.advisory("CVE-2025-2", "1:1.0-1")
            case "names":
                checkout.names("acme-trainer\nother\n")
            case _:
                checkout.waive("2099-01-01")
        [again] = checkout.attest()
        assert again.made
        said = {each.name for each in again.attestation.inputs if each.role is Role.LIST}
        assert said == ({"lookalikes: names.txt"} if what == "names" else set())

    def test_again_when_the_last_one_does_not_hold(self, checkout: Checkout) -> None:
        checkout.attest()
        [name] = checkout.bucket
        checkout.bucket[name] = b"{}"
        [again] = checkout.attest()
        assert again.made

    def test_going_back_is_attested_anew(self, checkout: Checkout) -> None:
        checkout.attest()
        checkout.released(Entry(FILE))
        [other] = checkout.attest()
        assert other.made
        assert other.release.digest != checkout.release.digest
        checkout.advisory("CVE-2025-2", "1:1.0-1")
        checkout.released(*checkout.release.entries)
        [back] = checkout.attest()
        assert back.made
        assert back.release.digest == checkout.release.digest


class TestGoingBackWithoutUpstream:
    @pytest.fixture(autouse=True)
    def forgotten(self, checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
        """A release was let in, and by now nobody offers anything of it."""
        outputs = Upper(checkout.folder).outer_outputs()
        monkeypatch.setattr(Upper, "outer_outputs", lambda _: {**outputs, "archiveBucket": "outer-archive"})
        checkout.attest()
        stack, now = Stack("dmz-inner", "us-central1", "small"), datetime.now(UTC)
        checkout.cloud.buckets["outer-archive"] = {
            name_of(stack, checkout.release.digest, now): render(checkout.release),
            f"sha256/{DEB.sha256}": HELLO,
            f"sha256/{FILE.sha256}": MODEL,
        }
        checkout.cloud.repositories["outer/apt-bookworm"].clear()
        checkout.cloud.buckets["outer-files"].clear()

    def test_the_archive_has_it_and_the_attestation_says_so(self, checkout: Checkout) -> None:
        [made] = checkout.attest(again=True)
        assert made.made
        assert made.kept == "2 files"
        [said] = [each for each in made.attestation.inputs if each.role is Role.ARCHIVE]
        digests = "".join(f"{digest}\n" for digest in sorted([DEB.sha256, FILE.sha256]))
        assert said.digest == hashlib.sha256(digests.encode()).hexdigest()
        assert said.uri == "gs://outer-archive"
        newest = list(checkout.bucket.values())[-1]
        assert said in verify(newest, expected(checkout.release, checkout.folder)).inputs

    def test_it_is_judged_all_the_same(self, checkout: Checkout) -> None:
        checkout.advisory("CVE-2026-1", "2:1")
        with pytest.raises(ScreeningRefusedError, match="CVE-2026-1"):
            checkout.attest(again=True)

    def test_what_the_archive_lacks_is_refused(self, checkout: Checkout) -> None:
        del checkout.cloud.buckets["outer-archive"][f"sha256/{DEB.sha256}"]
        with pytest.raises(RefusedError, match=r"hello_2\.10-3_amd64\.deb any more"):
            checkout.attest(again=True)
        assert len(checkout.bucket) == 1


class TestRefusals:
    def test_what_is_vulnerable_by_now(self, checkout: Checkout) -> None:
        checkout.advisory("CVE-2026-1", "2:1")
        with pytest.raises(
            ScreeningRefusedError, match=r"small is not attested: hello .*CVE-2026-1"
        ) as caught:
            checkout.attest()
        assert [each.advisory for each in caught.value.refusals] == ["CVE-2026-1"]
        said = str(caught.value)
        assert "\n" not in said
        assert said.endswith(". Screen again: dmz screen.")
        assert "No version of it passes" not in said, "nobody looked for another"
        checkout.refused()

    def test_a_waiver_that_has_ended(self, checkout: Checkout) -> None:
        checkout.advisory("CVE-2026-1", "2:1")
        checkout.waive("2026-11-02")
        with pytest.raises(ScreeningRefusedError, match="ended on 2026-11-02"):
            checkout.attest()
        checkout.refused()

    def test_one_of_several_refused_signs_none(self, checkout: Checkout) -> None:
        checkout.advisory("CVE-2026-1", "2:1")
        checkout.released(Entry(FILE), workload="another")
        with pytest.raises(ScreeningRefusedError):
            checkout.attest()
        checkout.refused()

    def test_other_bytes_in_outer(self, checkout: Checkout) -> None:
        checkout.cloud.repositories["outer/apt-bookworm"].clear()
        changed = deb("hello", "1:2.10-3", payload=b"Payload")
        checkout.cloud.keep("outer/apt-bookworm", DEB.filename, changed)
        with pytest.raises(RefusedError, match=DEB.sha256):
            checkout.attest()
        checkout.refused()

    def test_what_outer_no_longer_has(self, checkout: Checkout) -> None:
        checkout.cloud.buckets["outer-files"].clear()
        with pytest.raises(RefusedError, match=r"model\.bin"):
            checkout.attest()
        checkout.refused()

    @pytest.mark.parametrize(
        "kept", [HELLO, deb("hello", "1:2.10-3", source="other")], ids=["as approved", "other bytes"]
    )
    def test_what_its_suite_replaced_but_inner_holds(self, checkout: Checkout, kept: bytes) -> None:
        cloud = checkout.cloud
        cloud.repositories["outer/apt-bookworm"].clear()
        with pytest.raises(RefusedError, match=r"does not offer hello_2\.10-3_amd64\.deb any more"):
            checkout.attest()
        checkout.refused()
        cloud.add("inner/apt", "APT", {DEB.filename: kept})
        if kept == HELLO:
            assert checkout.attest()[0].made
            return
        with pytest.raises(RefusedError, match="any more"):
            checkout.attest()
        checkout.refused()

    def test_a_wheel_that_was_published_without_a_build(self, checkout: Checkout) -> None:
        name, data = wheel("omega", "1.0")
        checkout.cloud.keep("outer/python-built", name, data)
        claimed = Build("omega-1.0.tar.gz", "2" * 64, "3" * 64)
        omega = artifact(Kind.PYPI, "omega", "1.0", name, data, origin="python-built")
        checkout.released(Entry(omega, built=claimed))
        with pytest.raises(RefusedError, match=r"has no provenance at gs://outer-builds/builds/2222"):
            checkout.attest()
        checkout.refused()

    def test_a_lock_that_was_edited(self, checkout: Checkout) -> None:
        lock = checkout.folder / "releases/files.small.lock"
        lock.write_text(lock.read_text().replace("model", "motel"))
        with pytest.raises(InputError, match=r"files\.small\.lock"):
            checkout.attest()
        checkout.refused()

    def test_no_release(self, checkout: Checkout) -> None:
        shutil.rmtree(checkout.folder / "releases")
        with pytest.raises(InputError, match="dmz screen"):
            checkout.attest()

    def test_nobody_may_act_as_the_attestor(self, checkout: Checkout) -> None:
        checkout.cloud.may_impersonate = False
        with pytest.raises(InputError, match=r"may not act as dmz-attestor.*dmz:attestors"):
            checkout.attest()

    def test_a_key_that_the_inner_side_would_not_believe(self, checkout: Checkout) -> None:
        checkout.cloud.keys[KEY_VERSION] = private_key("another version's")
        with pytest.raises(RefusedError, match="attestation: signature"):
            checkout.attest()
        assert checkout.bucket == {}

    def test_an_object_that_is_there_already(
        self, checkout: Checkout, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def taken(*_: object, if_generation_match: int) -> bool:
            assert if_generation_match == 0
            return False

        monkeypatch.setattr(Bucket, "write", taken)
        with pytest.raises(TransferError, match="is there already"):
            checkout.attest()

    def test_an_outer_stack_of_an_earlier_version(
        self, checkout: Checkout, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Upper, "outer_outputs", lambda _: {"side": "outer", "location": "us-central1"})
        with pytest.raises(InputError, match="pulumi up -s outer"):
            checkout.attest()


COOL_DOWN = """
[rules.cool-down]
sentence = "Nothing new."
effect = "refuse"
period = { PyPI = "7 days", Debian = "none", Ubuntu = "none" }
security-fixes = "high"
unknown = { PyPI = "refuse", Debian = "pass", Ubuntu = "pass" }
"""
OLD, NEW = wheel("alpha", "1.0"), wheel("alpha", "1.2")
DAY = timedelta(days=1)


class TestAge:
    """The time of an upload is upstream's word, also where the lock has one."""

    @pytest.fixture
    def upstream(self, checkout: Checkout) -> Iterator[Upstream]:
        found = Upstream()
        with (checkout.folder / "policy.toml").open("a") as policy:
            policy.write(COOL_DOWN)
        about = {"package": {"ecosystem": "PyPI", "name": "alpha"}}
        events = [{"introduced": "0"}, {"fixed": "1.1"}]
        advisory = record("CVE-2026-9", "0") | {
            "affected": [about | {"ranges": [{"type": "ECOSYSTEM", "events": events}]}]
        }
        (checkout.folder / "advisories/CVE-2026-9.json").write_text(json.dumps(advisory))
        for name, data in (OLD, NEW):
            checkout.cloud.keep("outer/python-remote", name, data)
        with serving(found.routes()) as url:
            checkout.cloud.remote = {"pythonRepository": {"customRepository": {"uri": url}}}
            yield found

    def release(self, checkout: Checkout, made: tuple[str, bytes], uploaded: datetime) -> Release:
        _, version, *_ = made[0].split("-")
        return checkout.released(Entry(artifact(Kind.PYPI, "alpha", version, *made), uploaded=uploaded))

    def test_a_young_file_that_the_lock_makes_older(self, checkout: Checkout, upstream: Upstream) -> None:
        upstream.offer(*NEW, when=(datetime.now(UTC) - DAY).isoformat())
        self.release(checkout, NEW, datetime(2025, 1, 1, tzinfo=UTC))
        with pytest.raises(RefusedError, match=r"alpha-1\.2.*the lock has 2025-01-01 00:00:00 UTC"):
            checkout.attest()
        checkout.refused()

    @pytest.mark.parametrize("silent", [True, False])
    def test_an_age_that_nobody_else_tells(
        self, checkout: Checkout, upstream: Upstream, silent: bool
    ) -> None:
        upstream.offer(*NEW, when="")
        if silent:
            checkout.cloud.remote = {"pythonRepository": {"customRepository": {"uri": "http://127.0.0.1:9"}}}
        self.release(checkout, NEW, datetime(2025, 1, 1, tzinfo=UTC))
        with pytest.raises(ScreeningRefusedError, match="upload time not known"):
            checkout.attest()
        checkout.refused()

    def test_a_young_fix_of_what_is_inside_passes(self, checkout: Checkout, upstream: Upstream) -> None:
        young = (datetime.now(UTC) - DAY).replace(microsecond=0)
        upstream.offer(*OLD)
        upstream.offer(*NEW, when=young.isoformat())
        before = self.release(checkout, OLD, datetime(2025, 1, 1, tzinfo=UTC))
        self.release(checkout, NEW, young)
        with pytest.raises(ScreeningRefusedError, match="the cool-down is 7 days"):
            checkout.attest()
        checkout.refused()
        inside = checkout.cloud.buckets["inner-release"]
        inside["current/small.json"] = json.dumps({"workload": "small", "digest": before.digest}).encode()
        inside |= {f"releases/{before.digest}/{name}": body for name, body in before.files.items()}
        assert checkout.attest()[0].made


class TestMerged:
    def test_what_is_committed_passes_and_the_commit_is_named(self, checkout: Checkout) -> None:
        checkout.commit()
        [made] = checkout.attest()
        [commit] = [each for each in made.attestation.inputs if each.role is Role.COMMIT]
        assert len(commit.digest) == 40

    @pytest.mark.parametrize(
        "name",
        [
            "Pulumi.inner.yaml",
            "policy.toml",
            "waivers/hello.json",
            "releases/pylock.small.toml",
            "releases/release.small.sha256",
        ],
    )
    def test_what_is_not_committed_as_it_is(self, checkout: Checkout, name: str) -> None:
        checkout.waive("2099-01-01")
        checkout.commit()
        path = checkout.folder / name
        if name.startswith("releases"):
            checkout.released(Entry(FILE))
        else:
            path.write_bytes(path.read_bytes() + b"\n")
        with pytest.raises(RefusedError, match="only what was merged is attested"):
            checkout.attest()
        checkout.refused()

    def test_nor_a_list_that_a_rule_reads(self, checkout: Checkout) -> None:
        names = checkout.names("acme-trainer\n")
        checkout.commit()
        checkout.attest()
        names.write_text("acme-trainer\nsix\n")
        with pytest.raises(RefusedError, match=r"names\.txt: not as commit"):
            checkout.attest()

    @pytest.mark.parametrize("hidden", ["ignored", "assumed unchanged", "a new file", "deleted"])
    def test_nothing_hides_a_change(self, checkout: Checkout, hidden: str) -> None:
        checkout.waive("2099-01-01")
        path = checkout.folder / "waivers/hello.json"
        if hidden == "ignored":
            (checkout.folder / ".gitignore").write_text("waivers/\n")
        checkout.commit()
        match hidden:
            case "assumed unchanged":
                checkout.git("update-index", "--assume-unchanged", "waivers/hello.json")
                path.write_bytes(path.read_bytes() + b"\n")
            case "a new file":
                path.with_name("more.json").write_bytes(path.read_bytes())
            case "deleted":
                path.unlink()
        with pytest.raises(RefusedError, match=r"waivers/\w+\.json.*: not as commit"):
            checkout.attest()
        checkout.refused()

    def test_other_files_may_differ(self, checkout: Checkout) -> None:
        checkout.commit()
        (checkout.folder / "notes.txt").write_text("hello")
        (checkout.folder / "releases/review.small.md").write_text("hello")
        checkout.advisory("CVE-2025-2", "1:1.0-1")
        assert checkout.attest()[0].made

    def test_a_checkout_below_the_repositorys_root(self, checkout: Checkout, tmp_path: Path) -> None:
        deeper = tmp_path / "repository/infrastructure"
        shutil.copytree(checkout.folder, deeper)
        below = Checkout.__new__(Checkout)
        below.folder, below.cloud = deeper.parent, checkout.cloud
        below.commit()
        below.folder = deeper
        assert below.attest(unmerged=False)[0].made
        (deeper / "policy.toml").write_text(POLICY + "\n")
        with pytest.raises(RefusedError, match=r"policy\.toml: not as commit"):
            below.attest(unmerged=False)

    def test_a_folder_that_is_no_checkout_was_not_merged(self, checkout: Checkout) -> None:
        with pytest.raises(RefusedError, match="no checkout of git's"):
            checkout.attest(unmerged=False)
        checkout.refused()

    def test_another_repository_that_a_variable_names(
        self, checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        checkout.commit()
        (checkout.folder / "policy.toml").write_text(POLICY.replace('"medium"', '"critical"'))
        shutil.copytree(checkout.folder, tmp_path / "other")
        shutil.rmtree(tmp_path / "other/.git")
        other = Checkout.__new__(Checkout)
        other.folder = tmp_path / "other"
        other.commit()
        monkeypatch.setenv("GIT_DIR", str(other.folder / ".git"))
        with pytest.raises(RefusedError, match=r"policy\.toml: not as commit"):
            checkout.attest()
        checkout.refused()

    def test_a_commit_that_stands_in_for_the_one_that_was_merged(self, checkout: Checkout) -> None:
        checkout.commit()
        (checkout.folder / "policy.toml").write_text(POLICY.replace('"medium"', '"critical"'))
        checkout.git("commit", "--quiet", "--all", "--message=Not merged")
        checkout.git("replace", "HEAD~1", "HEAD")
        checkout.git("--no-replace-objects", "reset", "--soft", "HEAD~1")
        with pytest.raises(RefusedError, match=r"policy\.toml: not as commit"):
            checkout.attest()
        checkout.refused()

    def test_nothing_is_committed_yet(self, checkout: Checkout) -> None:
        checkout.git("init", "--quiet")
        with pytest.raises(RefusedError, match="nothing is committed yet"):
            checkout.attest()

    def test_unless_it_stands_for_the_merge_itself(self, checkout: Checkout) -> None:
        checkout.git("init", "--quiet")
        assert checkout.attest(unmerged=True)[0].made
