"""What must hold for the inner side, by invariant."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from dmz.attestations import Place, line
from dmz.promotion import lockfiles
from dmz.promotion.attestation import Trust
from dmz.promotion.policy import Policy
from dmz.promotion.release import Release
from dmz.promotion.statement import verifier_id
from tests.attestations import attest
from tests.program.program import OUTER_OUTPUTS, PEM, ROOT, Declared, Run, run
from tests.program.releases import ENTRIES, WHEEL, write_release
from tests.registries.counterpart import Counterpart

MACHINE = "serviceAccount:dmz-machine@dmz-inner.iam.gserviceaccount.com"
SYNC = "serviceAccount:dmz-sync@dmz-outer.iam.gserviceaccount.com"
ATTESTOR = OUTER_OUTPUTS["attestorServiceAccount"]
POLICY = Policy.read(ROOT / "policy.toml")
SYNC_TYPE = "pulumi-python:dynamic/dmz:PackageSync"
RESTRICTED = {"199.36.153.4", "199.36.153.5", "199.36.153.6", "199.36.153.7"}


@pytest.fixture
def released(checkout: Path) -> Release:
    """A release in a checkout of its own."""
    return write_release(checkout / "releases", *ENTRIES)


def members(resources: list[Declared], key: str) -> set[tuple[str, str, str]]:
    return {(each.inputs[key], each.inputs["role"], each.inputs["member"]) for each in resources}


class TestNoWayOut:
    def test_the_network_starts_without_routes(self, inner: Run) -> None:
        [network] = inner.of("gcp:compute/network:Network")
        assert network.inputs["deleteDefaultRoutesOnCreate"] is True
        assert network.inputs["autoCreateSubnetworks"] is False

    def test_the_only_route_is_to_the_restricted_addresses(self, inner: Run) -> None:
        [route] = inner.of("gcp:compute/route:Route")
        assert route.inputs["destRange"] == "199.36.153.4/30"
        assert route.inputs["nextHopGateway"] == "default-internet-gateway"

    def test_nothing_translates_or_forwards(self, inner: Run) -> None:
        types = {resource.type for resource in inner.resources}
        assert not types & {"gcp:compute/router:Router", "gcp:compute/routerNat:RouterNat"}
        [machine] = inner.of("gcp:tpu/v2Vm:V2Vm")
        assert machine.inputs["networkConfig"]["canIpForward"] is False

    def test_nothing_has_an_external_address(self, inner: Run) -> None:
        [machine] = inner.of("gcp:tpu/v2Vm:V2Vm")
        assert machine.inputs["networkConfig"]["enableExternalIps"] is False
        [subnet] = inner.of("gcp:compute/subnetwork:Subnetwork")
        assert subnet.inputs["stackType"] == "IPV4_ONLY"
        assert "ipv6AccessType" not in subnet.inputs
        assert subnet.inputs["privateIpGoogleAccess"] is True

    def test_egress_is_denied_last_and_logged_for_both_families(self, inner: Run) -> None:
        rules = inner.of("gcp:compute/firewall:Firewall")
        denied = [rule for rule in rules if rule.inputs.get("denies")]
        assert {each for rule in denied for each in rule.inputs["destinationRanges"]} == {"0.0.0.0/0", "::/0"}
        for rule in denied:
            assert rule.inputs["direction"] == "EGRESS"
            assert rule.inputs["denies"] == [{"protocol": "all"}]
            assert rule.inputs["logConfig"]["metadata"] == "INCLUDE_ALL_METADATA"
            # The implied rules, which allow egress, have 65535.
            assert max(each.inputs["priority"] for each in rules) == rule.inputs["priority"] < 65535
            assert not any(key.startswith("target") or key == "disabled" for key in rule.inputs)

    def test_only_https_to_the_restricted_addresses_may_leave(self, inner: Run) -> None:
        allowed = [
            (rule.inputs["destinationRanges"], rule.inputs["allows"])
            for rule in inner.of("gcp:compute/firewall:Firewall")
            if rule.inputs["direction"] == "EGRESS" and rule.inputs.get("allows")
        ]
        assert allowed == [(["199.36.153.4/30"], [{"protocol": "tcp", "ports": ["443"]}])]

    def test_only_ssh_from_iap_may_enter(self, inner: Run) -> None:
        allowed = [
            (rule.inputs["sourceRanges"], rule.inputs["allows"])
            for rule in inner.of("gcp:compute/firewall:Firewall")
            if rule.inputs["direction"] == "INGRESS"
        ]
        assert allowed == [(["35.235.240.0/20"], [{"protocol": "tcp", "ports": ["22"]}])]

    def test_upstreams_are_denied(self, inner: Run) -> None:
        [config] = inner.of("gcp:artifactregistry/vpcscConfig:VpcscConfig")
        assert config.inputs["vpcscPolicy"] == "DENY"
        assert {
            repository.inputs["mode"] for repository in inner.of("gcp:artifactregistry/repository:Repository")
        } == {"STANDARD_REPOSITORY"}


class TestNames:
    def test_each_zone_leads_to_the_restricted_addresses(self, inner: Run) -> None:
        zones = {
            zone.inputs["name"]: zone.inputs["dnsName"]
            for zone in inner.of("gcp:dns/managedZone:ManagedZone")
        }
        assert set(zones.values()) == {"googleapis.com.", "pkg.dev.", "gcr.io."}
        for zone, suffix in zones.items():
            records = {
                record.inputs["type"]: record.inputs
                for record in inner.of("gcp:dns/recordSet:RecordSet")
                if record.inputs["managedZone"] == zone
            }
            assert records.keys() == {"A", "CNAME"}
            assert set(records["A"]["rrdatas"]) == RESTRICTED
            assert records["A"]["name"] == ("restricted." if "google" in suffix else "") + suffix
            assert records["CNAME"]["name"] == f"*.{suffix}"
            assert records["CNAME"]["rrdatas"] == [records["A"]["name"]]

    def test_zones_are_private_to_the_network(self, inner: Run) -> None:
        for zone in inner.of("gcp:dns/managedZone:ManagedZone"):
            assert zone.inputs["visibility"] == "private"
            assert zone.inputs["privateVisibilityConfig"]["networks"] == [
                {"networkUrl": "projects/dmz-inner/global/networks/dmz"}
            ]
            assert not zone.inputs.keys() & {"forwardingConfig", "peeringConfig"}

    def test_every_other_name_is_answered_locally(self, inner: Run) -> None:
        local = [
            rule
            for rule in inner.of("gcp:dns/responsePolicyRule:ResponsePolicyRule")
            if "localData" in rule.inputs
        ]
        [rule] = local
        assert rule.inputs["dnsName"] == "*."
        answers = {data["type"]: data["rrdatas"] for data in rule.inputs["localData"]["localDatas"]}
        assert answers == {"A": ["0.0.0.0"], "AAAA": ["::"]}

    def test_only_names_with_a_private_zone_and_computes_own_pass(self, inner: Run) -> None:
        passing = {
            rule.inputs["dnsName"]
            for rule in inner.of("gcp:dns/responsePolicyRule:ResponsePolicyRule")
            if rule.inputs.get("behavior") == "bypassResponsePolicy"
        }
        zones = {zone.inputs["dnsName"] for zone in inner.of("gcp:dns/managedZone:ManagedZone")}
        assert passing == {pattern for name in (*zones, "internal.") for pattern in (name, f"*.{name}")}

    def test_the_policy_is_on_the_network(self, inner: Run) -> None:
        [policy] = inner.of("gcp:dns/responsePolicy:ResponsePolicy")
        assert policy.inputs["networks"] == [{"networkUrl": "projects/dmz-inner/global/networks/dmz"}]
        for rule in inner.of("gcp:dns/responsePolicyRule:ResponsePolicyRule"):
            assert rule.inputs["responsePolicy"] == policy.inputs["responsePolicyName"]

    def test_queries_are_logged_and_no_other_server_is_asked(self, inner: Run) -> None:
        [policy] = inner.of("gcp:dns/policy:Policy")
        assert policy.inputs["enableLogging"] is True
        assert policy.inputs["enableInboundForwarding"] is False
        assert "alternativeNameServerConfig" not in policy.inputs
        assert policy.inputs["networks"] == [{"networkUrl": "projects/dmz-inner/global/networks/dmz"}]


class TestWhoMayWhat:
    def test_only_the_sync_writes_repositories_and_only_the_machine_reads_them(self, inner: Run) -> None:
        granted = members(
            inner.of("gcp:artifactregistry/repositoryIamMember:RepositoryIamMember"), "repository"
        )
        assert granted == {
            (repository, role, member)
            for repository in ("apt", "python")
            for role, member in (
                ("roles/artifactregistry.reader", MACHINE),
                ("roles/artifactregistry.repoAdmin", SYNC),
            )
        }

    def test_the_machine_can_overwrite_no_bucket(self, inner: Run) -> None:
        granted = members(inner.of("gcp:storage/bucketIAMMember:BucketIAMMember"), "bucket")
        assert granted == {
            ("dmz-inner-release", "roles/storage.objectViewer", MACHINE),
            ("dmz-inner-release", "roles/storage.objectAdmin", SYNC),
            ("dmz-inner-reports", "roles/storage.objectCreator", MACHINE),
            ("dmz-inner-staging", "roles/storage.objectUser", SYNC),
        }

    def test_what_was_staged_and_forgotten_goes_by_itself(self, inner: Run) -> None:
        staging = inner.one("gcp:storage/bucket:Bucket", "staging")
        assert staging.inputs["lifecycleRules"] == [{"action": {"type": "Delete"}, "condition": {"age": 7}}]
        assert staging.inputs["softDeletePolicy"] == {"retentionDurationSeconds": 0}
        for name in ("release", "reports"):
            assert "lifecycleRules" not in inner.one("gcp:storage/bucket:Bucket", name).inputs

    def test_buckets_are_closed(self, inner: Run) -> None:
        for bucket in inner.of("gcp:storage/bucket:Bucket"):
            assert bucket.inputs["uniformBucketLevelAccess"] is True
            assert bucket.inputs["publicAccessPrevention"] == "enforced"
            assert bucket.inputs.get("forceDestroy") is not True
        release_bucket = inner.one("gcp:storage/bucket:Bucket", "release")
        assert release_bucket.inputs["versioning"] == {"enabled": True}

    def test_in_the_project_the_machine_may_only_write_logs(self, inner: Run) -> None:
        granted = members(inner.of("gcp:projects/iAMMember:IAMMember"), "project")
        assert granted == {("dmz-inner", "roles/logging.logWriter", MACHINE)}

    def test_the_machine_has_its_own_account(self, inner: Run) -> None:
        [machine] = inner.of("gcp:tpu/v2Vm:V2Vm")
        assert machine.inputs["serviceAccount"]["email"] == MACHINE.removeprefix("serviceAccount:")


class TestKept:
    def test_repositories_can_neither_be_deleted_nor_renamed(self, inner: Run) -> None:
        repositories = inner.of("gcp:artifactregistry/repository:Repository")
        assert {repository.name for repository in repositories} == {"apt", "python"}
        for repository in repositories:
            assert repository.protected
            assert repository.inputs["deletionPolicy"] == "PREVENT"


class TestProject:
    def test_every_resource_names_its_project(self, inner: Run) -> None:
        for resource in inner.resources:
            if resource.type == "pulumi:pulumi:StackReference":
                continue
            if resource.type == "gcp:storage/bucketIAMMember:BucketIAMMember":
                # Buckets are global; this type has no project.
                assert resource.inputs["bucket"].startswith("dmz-inner-")
                continue
            assert resource.inputs["project"] == "dmz-inner", resource.name


class TestMachine:
    def test_it_is_what_the_configuration_says(self, inner: Run) -> None:
        [machine] = inner.of("gcp:tpu/v2Vm:V2Vm")
        assert machine.inputs["zone"] == "us-central1-a"
        assert machine.inputs["acceleratorType"] == "v3-8"
        assert machine.inputs["runtimeVersion"] == "sandbox-debian-12"
        assert machine.inputs["schedulingConfig"]["spot"] is True
        assert machine.inputs["shieldedInstanceConfig"] == {"enableSecureBoot": True}
        assert machine.inputs["networkConfig"]["network"] == "projects/dmz-inner/global/networks/dmz"
        assert machine.inputs["networkConfig"]["subnetwork"].endswith("/subnetworks/dmz")

    def test_it_waits_for_the_seal_and_the_release(self, inner: Run) -> None:
        [machine] = inner.of("gcp:tpu/v2Vm:V2Vm")
        seal = {
            resource.name
            for resource in inner.resources
            if resource.type.startswith(("gcp:compute/", "gcp:dns/"))
        }
        assert seal | {"packages"} <= machine.after

    def test_its_metadata_is_the_agent_and_its_settings(self, inner: Run) -> None:
        [machine] = inner.of("gcp:tpu/v2Vm:V2Vm")
        metadata = machine.inputs["metadata"]
        assert metadata["startup-script"].startswith("#!")
        assert metadata["enable-oslogin"] == "TRUE"
        settings = json.loads(metadata["dmz-settings"])
        assert settings.pop("probes")[0] == {"name": "tcp", "target": "203.0.113.1:7"}
        assert settings == {
            "side": "inner",
            "machine": "dmz-inner",
            "project": "dmz-inner",
            "location": "us-central1",
            "runtime": "sandbox-debian-12",
            "workload": "small",
            "check": "python -c 'import jax'",
            "apt_repository": "apt",
            "python_repository": "python",
            "release_bucket": "dmz-inner-release",
            "report_bucket": "dmz-inner-reports",
            "attestation": {
                "key": OUTER_OUTPUTS["attestationPublicKey"],
                "verifier": f"https://iam.googleapis.com/v1/projects/-/serviceAccounts/{ATTESTOR}",
                "resource_uri": "https://artifactregistry.googleapis.com/v1/projects/dmz-inner/locations/"
                "us-central1#small",
                "policy_digest": POLICY.digest,
                "max_age_seconds": int(POLICY.limits.attestation_max_age.total_seconds()),
            },
        }


class TestSync:
    def test_its_inputs_are_the_releases(self, released: Release) -> None:
        done = run("inner")
        [sync] = done.of(SYNC_TYPE)
        assert set(sync.inputs["packages"]) == {"apt/git:amd64", "pypi/jax"}
        assert sync.inputs["releases"] == {"small": released.digest}
        assert {
            key: sync.inputs[key]
            for key in ("project", "outerProject", "location", "aptRepository", "pythonRepository")
        } == {
            "project": "dmz-inner",
            "outerProject": "dmz-outer",
            "location": "us-central1",
            "aptRepository": "apt",
            "pythonRepository": "python",
        }
        assert sync.inputs["releaseBucket"] == "dmz-inner-release"
        assert sync.inputs["filesBucket"] == "dmz-outer-files"
        assert sync.inputs["archiveBucket"] == "dmz-outer-archive"
        assert sync.inputs["stagingBucket"] == "dmz-inner-staging"
        assert sync.inputs["syncServiceAccount"] == SYNC.removeprefix("serviceAccount:")
        assert sync.inputs["releaseFolder"] == "releases"
        assert (sync.inputs["adopt"], sync.inputs["withdrawOnDelete"]) == (False, False)
        assert done.outputs["packageSync"] is True
        assert done.outputs["releases"] == {"small": released.digest}

    def test_it_waits_until_it_may_write(self, inner: Run) -> None:
        [sync] = inner.of(SYNC_TYPE)
        assert {"apt", "python", "release", "apt-sync-writes", "release-sync-writes"} <= sync.after
        assert {"staging", "staging-sync-writes"} <= sync.after

    def test_other_workloads_releases_stay_in(self, checkout: Path, released: Release) -> None:
        other = write_release(checkout / "releases", WHEEL, workload="other")
        [sync] = run("inner").of(SYNC_TYPE)
        assert sync.inputs["releases"] == {"small": released.digest, "other": other.digest}

    def test_its_switches_come_from_the_configuration(self, released: Release) -> None:
        [sync] = run("inner", adopt=True, withdrawOnDelete=True).of(SYNC_TYPE)
        assert (sync.inputs["adopt"], sync.inputs["withdrawOnDelete"]) == (True, True)

    def test_an_empty_release_withdraws_everything(self, checkout: Path) -> None:
        empty = write_release(checkout / "releases")
        done = run("inner", synced())
        [sync] = done.of(SYNC_TYPE)
        assert sync.inputs["packages"] == {}
        assert sync.inputs["releases"] == {"small": empty.digest}


class TestAttestation:
    """What the program tells of attestations, and to whom."""

    def place(self) -> Place:
        trust = Trust(PEM, verifier_id(ATTESTOR), POLICY.digest, POLICY.limits.attestation_max_age)
        return Place("dmz-inner", "us-central1", "dmz-outer-attestations", trust)

    def told(self, done: Run) -> str:
        assert done.error is None, done.error
        [sync] = done.of(SYNC_TYPE)
        assert set(sync.inputs["attestations"]) == {"small"}
        return str(sync.inputs["attestations"]["small"])

    def known(self, release: Release, attested: str) -> dict[str, dict[str, Any]]:
        """The stacks after an update that carried an attestation in."""
        own = {
            "packageSync": True,
            "releases": {"small": release.digest},
            "attestations": {"small": attested},
        }
        return {"organization/dmz/outer": dict(OUTER_OUTPUTS), "organization/dmz/inner": own}

    def test_whose_attestations_count(self, inner: Run) -> None:
        [sync] = inner.of(SYNC_TYPE)
        assert sync.inputs["attestation"] == {
            "key": PEM,
            "verifier": f"https://iam.googleapis.com/v1/projects/-/serviceAccounts/{ATTESTOR}",
            "bucket": "dmz-outer-attestations",
            "policyDigest": POLICY.digest,
            "maxAgeSeconds": POLICY.limits.attestation_max_age.total_seconds(),
        }

    def test_before_the_merge_it_only_says_so(self, released: Release) -> None:
        done = run("inner")
        assert self.told(done) == "not attested yet"
        assert any("not attested yet" in line and "dmz attest" in line for line in done.warnings)

    def test_after_it_the_line_says_when(self, released: Release, attestations: dict[str, bytes]) -> None:
        envelope = attest(attestations, released, self.place())
        done = run("inner")
        assert self.told(done) == line(envelope)
        assert not any("attest" in line for line in done.warnings)

    def test_what_does_not_hold_says_why(self, released: Release, attestations: dict[str, bytes]) -> None:
        attest(attestations, released, self.place(), policy_digest="0" * 64)
        done = run("inner")
        assert self.told(done) == "not attested yet"
        assert any("attestation: policy: found " + "0" * 64 in line for line in done.warnings)

    def test_a_look_that_is_not_permitted_fails_nothing(
        self, released: Release, services: Counterpart
    ) -> None:
        services.may_impersonate = False
        done = run("inner")
        assert self.told(done) == "can't be seen from here"
        assert any("can't be seen from here" in line and "may not act as" in line for line in done.warnings)

    def test_nor_does_a_service_that_is_not_there(
        self, released: Release, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GOOGLE_IAM_CREDENTIALS_CUSTOM_ENDPOINT", "http://127.0.0.1:1/")
        assert self.told(run("inner")) == "can't be seen from here"

    def test_one_that_grew_old_is_no_change_of_an_unchanged_release(
        self, released: Release, attestations: dict[str, bytes]
    ) -> None:
        old = POLICY.limits.attestation_max_age + timedelta(days=1)
        attest(attestations, released, self.place(), time_verified=datetime.now(UTC) - old)
        done = run("inner", self.known(released, "as it was"))
        assert self.told(done) == "as it was"
        assert any("timeVerified" in line for line in done.warnings)

    def test_nor_is_one_that_can_not_be_seen(self, released: Release, services: Counterpart) -> None:
        services.may_impersonate = False
        assert self.told(run("inner", self.known(released, "as it was"))) == "as it was"

    def test_a_new_one_is(self, released: Release, attestations: dict[str, bytes]) -> None:
        envelope = attest(attestations, released, self.place())
        assert self.told(run("inner", self.known(released, "as it was"))) == line(envelope)

    def test_another_release_needs_its_own(self, checkout: Path, released: Release) -> None:
        known = self.known(released, "as it was")
        write_release(checkout / "releases", WHEEL)
        assert self.told(run("inner", known)) == "not attested yet"

    def test_the_look_is_the_syncs_and_never_the_attestors(
        self, released: Release, services: Counterpart
    ) -> None:
        services.requests.clear()
        run("inner")
        assert {identity for _, path, identity in services.requests if not path.startswith("/iam/")} == {
            "sync"
        }

    def test_without_a_policy_nothing_is_declared(self, checkout: Path, released: Release) -> None:
        (checkout / "policy.toml").unlink()
        done = run("inner")
        assert done.error is not None
        assert "policy.toml" in done.error
        assert registered(done) == []


def synced() -> dict[str, dict[str, Any]]:
    """The stacks after an update that had a release."""
    return {"organization/dmz/outer": dict(OUTER_OUTPUTS), "organization/dmz/inner": {"packageSync": True}}


class TestBeforeTheFirstLock:
    def test_everything_but_packages_and_machine_comes_up_and_says_so(self, checkout: Path) -> None:
        done = run("inner")
        assert done.error is None
        assert not done.of(SYNC_TYPE)
        assert not done.of("gcp:tpu/v2Vm:V2Vm")
        assert len(done.of("gcp:artifactregistry/repository:Repository")) == 2
        assert done.outputs["packageSync"] is False
        assert any("releases/release.small.sha256" in line and "dmz screen" in line for line in done.warnings)

    def test_another_workloads_release_is_not_enough(self, checkout: Path) -> None:
        write_release(checkout / "releases", workload="other")
        assert not run("inner").of(SYNC_TYPE)

    def test_before_it_ever_came_up_the_stack_knows_nothing_of_itself(self, checkout: Path) -> None:
        assert run("inner", {"organization/dmz/outer": OUTER_OUTPUTS}).error is None

    def test_once_synced_a_missing_lock_is_an_error(self, checkout: Path) -> None:
        done = run("inner", synced())
        assert done.error is not None
        assert "releases/release.small.sha256 is missing" in done.error
        assert registered(done) == []

    @pytest.mark.parametrize("name", lockfiles.names("small"))
    def test_a_part_of_a_lock_is_an_error_at_any_time(
        self, checkout: Path, released: Release, name: str
    ) -> None:
        (checkout / "releases" / name).unlink()
        done = run("inner")
        assert done.error is not None
        assert name in done.error
        assert registered(done) == []

    def test_a_release_for_another_base_image_is_an_error(self, checkout: Path) -> None:
        write_release(checkout / "releases", runtime="tpu-ubuntu2204-base")
        done = run("inner")
        assert done.error is not None
        assert "tpu-ubuntu2204-base" in done.error
        assert registered(done) == []

    def test_an_edited_lock_is_an_error(self, checkout: Path, released: Release) -> None:
        lock = checkout / "releases" / "apt.small.lock"
        lock.write_text(lock.read_text("utf-8").replace("a" * 64, "e" * 64), "utf-8")
        done = run("inner")
        assert done.error is not None
        assert "apt.small.lock" in done.error
        assert registered(done) == []


def registered(done: Run) -> list[str]:
    """What a run declared besides reading the outer stack, which changes nothing."""
    return [each.name for each in done.resources if each.type != "pulumi:pulumi:StackReference"]


class TestSeal:
    def test_without_a_perimeter_it_says_not_sealed(self, inner: Run) -> None:
        assert inner.outputs["seal"] == "NOT SEALED: no service perimeter"
        assert any(line.startswith("NOT SEALED: no service perimeter") for line in inner.warnings)


class TestOuterSide:
    def test_it_is_read_by_a_stack_reference(self, inner: Run) -> None:
        [reference] = inner.of("pulumi:pulumi:StackReference")
        assert reference.inputs["name"] == "organization/dmz/outer"

    def test_a_missing_outer_stack_is_one_line(self, checkout: Path) -> None:
        done = run("inner", {"organization/dmz/inner": {}})
        assert done.error is not None
        assert "organization/dmz/outer" in done.error
        assert "pulumi up -s outer" in done.error
        assert "\n" not in done.error
        assert done.resources == []

    @pytest.mark.parametrize(
        "name", ["attestationPublicKey", "attestorServiceAccount", "attestationsBucket", "archiveBucket"]
    )
    def test_an_outer_stack_of_an_earlier_version_has_to_come_up_again(
        self, checkout: Path, name: str
    ) -> None:
        rest = {key: value for key, value in OUTER_OUTPUTS.items() if key != name}
        done = run("inner", {"organization/dmz/outer": rest, "organization/dmz/inner": {}})
        assert done.error is not None
        assert "earlier version" in done.error
        assert "bring the outer side up again: pulumi up -s outer" in done.error
        assert "\n" not in done.error

    def test_what_is_no_public_key_is_refused(self, checkout: Path) -> None:
        outputs = {**OUTER_OUTPUTS, "attestationPublicKey": "-----BEGIN PRIVATE KEY-----\n"}
        done = run("inner", {"organization/dmz/outer": outputs, "organization/dmz/inner": {}})
        assert done.error is not None
        assert "no usable output 'attestationPublicKey'" in done.error

    @pytest.mark.parametrize("name", sorted(OUTER_OUTPUTS))
    def test_a_missing_output_is_one_line(self, checkout: Path, name: str) -> None:
        rest = {key: value for key, value in OUTER_OUTPUTS.items() if key != name}
        done = run("inner", {"organization/dmz/outer": rest, "organization/dmz/inner": {}})
        assert done.error is not None
        assert f"'{name}'" in done.error
        assert "pulumi up -s outer" in done.error
        assert registered(done) == []

    @pytest.mark.parametrize(
        ("changes", "key"),
        [
            ({"subnet": "10.0.0.0/25"}, "subnet"),
            ({"subnet": "10.0.0.0/16"}, "subnet"),
            ({"project": "dmz-outer"}, "project"),
            ({"location": "us-east5", "zone": "us-east5-a", "acceleratorType": "v6e-8"}, "location"),
        ],
    )
    def test_the_sides_must_stand_apart(self, checkout: Path, changes: dict[str, str], key: str) -> None:
        done = run("inner", None, **changes)
        assert done.error is not None
        assert done.error.startswith(f"Pulumi.inner.yaml: dmz:{key}: ")
        assert registered(done) == []

    def test_the_demos_ranges_are_apart(self, inner: Run) -> None:
        [subnet] = inner.of("gcp:compute/subnetwork:Subnetwork")
        assert not ip_network(subnet.inputs["ipCidrRange"]).overlaps(ip_network(OUTER_OUTPUTS["subnet"]))
