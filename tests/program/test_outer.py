"""What must hold for the outer side, by invariant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dmz.promotion import workload as workloads
from dmz.promotion.base_image import base_images
from dmz.stacks.references import OuterOutputs
from tests.program.program import PEM, Declared, Run, configuration, run

MACHINE = "serviceAccount:dmz-machine@dmz-outer.iam.gserviceaccount.com"
SYNC = "serviceAccount:dmz-sync@dmz-outer.iam.gserviceaccount.com"
ATTESTOR = "serviceAccount:dmz-attestor@dmz-outer.iam.gserviceaccount.com"
PUBLISHER = "serviceAccount:dmz-publisher@dmz-outer.iam.gserviceaccount.com"
ARCHIVIST = "serviceAccount:dmz-archivist@dmz-outer.iam.gserviceaccount.com"
KEY = "projects/dmz-outer/locations/us-central1/keyRings/dmz/cryptoKeys/attestation"
READER = "roles/artifactregistry.reader"


def members(resources: list[Declared], key: str) -> set[tuple[str, str, str]]:
    return {(each.inputs[key], each.inputs["role"], each.inputs["member"]) for each in resources}


class TestWayOut:
    def test_it_leads_through_nat_and_is_logged(self, outer: Run) -> None:
        [nat] = outer.of("gcp:compute/routerNat:RouterNat")
        assert nat.inputs["natIpAllocateOption"] == "AUTO_ONLY"
        assert nat.inputs["sourceSubnetworkIpRangesToNat"] == "ALL_SUBNETWORKS_ALL_IP_RANGES"
        assert nat.inputs["logConfig"] == {"enable": True, "filter": "ALL"}
        [router] = outer.of("gcp:compute/router:Router")
        assert nat.inputs["router"] == router.inputs["name"]

    def test_the_machine_has_internal_addresses_only(self, outer: Run) -> None:
        [machine] = outer.of("gcp:tpu/v2Vm:V2Vm")
        assert machine.inputs["networkConfig"]["enableExternalIps"] is False
        [subnet] = outer.of("gcp:compute/subnetwork:Subnetwork")
        assert subnet.inputs["privateIpGoogleAccess"] is True

    def test_only_ssh_from_iap_comes_in(self, outer: Run) -> None:
        [rule] = outer.of("gcp:compute/firewall:Firewall")
        assert rule.inputs["direction"] == "INGRESS"
        assert rule.inputs["sourceRanges"] == ["35.235.240.0/20"]
        assert rule.inputs["allows"] == [{"protocol": "tcp", "ports": ["22"]}]

    def test_external_ipv6_is_a_matter_of_configuration(self, checkout: Path, outer: Run) -> None:
        [subnet] = outer.of("gcp:compute/subnetwork:Subnetwork")
        assert (subnet.inputs["stackType"], subnet.inputs["ipv6AccessType"]) == ("IPV4_IPV6", "EXTERNAL")
        [subnet] = run("outer", externalIpv6=False).of("gcp:compute/subnetwork:Subnetwork")
        assert subnet.inputs["stackType"] == "IPV4_ONLY"
        assert "ipv6AccessType" not in subnet.inputs


class TestRepositories:
    def test_each_suite_of_the_base_image_has_its_remote(self, outer: Run) -> None:
        [image] = (
            image
            for image in base_images(json.loads(configuration("outer")["dmz:baseImages"])).values()
            if image.runtime == "sandbox-debian-12"
        )
        remotes = {
            repository.inputs["repositoryId"]: repository.inputs["remoteRepositoryConfig"]["aptRepository"][
                "publicRepository"
            ]
            for repository in outer.of("gcp:artifactregistry/repository:Repository")
            if repository.inputs["format"] == "APT" and repository.inputs["mode"] == "REMOTE_REPOSITORY"
        }
        assert len(remotes) == 3
        assert remotes == {
            f"apt-{suite.name}": {"repositoryBase": "DEBIAN", "repositoryPath": suite.path}
            for suite in image.suites
        }
        assert remotes["apt-bookworm"]["repositoryPath"] == "debian/dists/bookworm"

    def test_googles_image_has_ubuntus_suites(self, checkout: Path) -> None:
        file = checkout / "workloads" / "small.toml"
        file.write_text(file.read_text("utf-8").replace("sandbox-debian-12", "tpu-ubuntu2204-base"), "utf-8")
        done = run("outer", runtime=None, baseImages=None)
        assert done.error is None
        bases = {
            repository.name: repository.inputs["remoteRepositoryConfig"]["aptRepository"]["publicRepository"]
            for repository in done.of("gcp:artifactregistry/repository:Repository")
            if repository.name.startswith("apt-jammy")
        }
        assert {base["repositoryBase"] for base in bases.values()} == {"UBUNTU"}
        assert set(bases) == {"apt-jammy", "apt-jammy-updates", "apt-jammy-security"}

    def test_python_has_a_remote_and_what_is_built_has_standard_ones(self, outer: Run) -> None:
        python = outer.one("gcp:artifactregistry/repository:Repository", "python-remote")
        assert python.inputs["remoteRepositoryConfig"] == {"pythonRepository": {"publicRepository": "PYPI"}}
        for name, format_ in (("python-built", "PYTHON"), ("apt-built", "APT")):
            built = outer.one("gcp:artifactregistry/repository:Repository", name)
            assert (built.inputs["mode"], built.inputs["format"]) == ("STANDARD_REPOSITORY", format_)

    def test_upstreams_are_allowed_in_so_many_words(self, outer: Run) -> None:
        [config] = outer.of("gcp:artifactregistry/vpcscConfig:VpcscConfig")
        assert config.inputs["vpcscPolicy"] == "ALLOW"


class TestWhoMayWhat:
    def test_the_machine_reads_remotes_and_writes_no_repository(self, outer: Run) -> None:
        granted = members(
            outer.of("gcp:artifactregistry/repositoryIamMember:RepositoryIamMember"), "repository"
        )
        remotes = ["apt-bookworm", "apt-bookworm-updates", "apt-bookworm-security", "python-remote"]
        assert {(repository, role) for repository, role, member in granted if member == MACHINE} == {
            (repository, READER) for repository in remotes
        }

    def test_only_the_publisher_writes_what_was_built(self, outer: Run) -> None:
        granted = members(
            outer.of("gcp:artifactregistry/repositoryIamMember:RepositoryIamMember"), "repository"
        )
        assert {each for each in granted if each[1] != READER} == {
            ("python-built", "roles/artifactregistry.writer", PUBLISHER)
        }

    def test_the_sync_reads_every_repository_and_writes_none(self, outer: Run) -> None:
        granted = members(
            outer.of("gcp:artifactregistry/repositoryIamMember:RepositoryIamMember"), "repository"
        )
        every = {
            repository.inputs["repositoryId"]
            for repository in outer.of("gcp:artifactregistry/repository:Repository")
        }
        assert {(repository, role) for repository, role, member in granted if member == SYNC} == {
            (repository, READER) for repository in every
        }

    def test_the_machine_can_only_create_objects_and_read_builds(self, outer: Run) -> None:
        granted = members(outer.of("gcp:storage/bucketIAMMember:BucketIAMMember"), "bucket")
        assert granted == {
            ("dmz-outer-inventory", "roles/storage.objectCreator", MACHINE),
            ("dmz-outer-files", "roles/storage.objectCreator", MACHINE),
            ("dmz-outer-files", "roles/storage.objectViewer", SYNC),
            ("dmz-outer-builds", "roles/storage.objectCreator", MACHINE),
            ("dmz-outer-builds", "roles/storage.objectViewer", MACHINE),
            ("dmz-outer-builds", "roles/storage.objectViewer", PUBLISHER),
            ("dmz-outer-attestations", "roles/storage.objectCreator", ATTESTOR),
            ("dmz-outer-attestations", "roles/storage.objectViewer", ATTESTOR),
            ("dmz-outer-attestations", "roles/storage.objectViewer", SYNC),
            ("dmz-outer-archive", "roles/storage.objectCreator", SYNC),
            ("dmz-outer-archive", "roles/storage.objectViewer", SYNC),
            ("dmz-outer-archive", "roles/storage.objectUser", ARCHIVIST),
        }

    def test_buckets_are_closed(self, outer: Run) -> None:
        for bucket in outer.of("gcp:storage/bucket:Bucket"):
            assert bucket.inputs["uniformBucketLevelAccess"] is True
            assert bucket.inputs["publicAccessPrevention"] == "enforced"

    def test_only_operators_may_act_as_sync_publisher_and_archivist(self, checkout: Path) -> None:
        people = ["user:a@example.com", "group:b@example.com"]
        done = run("outer", operators=people, attestors=[])
        granted = members(done.of("gcp:serviceaccount/iAMMember:IAMMember"), "serviceAccountId")
        accounts = [each.removeprefix("serviceAccount:") for each in (SYNC, PUBLISHER, ARCHIVIST)]
        assert granted == {
            (f"projects/dmz-outer/serviceAccounts/{account}", "roles/iam.serviceAccountTokenCreator", person)
            for person in people
            for account in accounts
        }

    def test_only_attestors_may_act_as_the_attestor(self, checkout: Path) -> None:
        done = run("outer", operators=["user:a@example.com"], attestors=["group:releases@example.com"])
        granted = members(done.of("gcp:serviceaccount/iAMMember:IAMMember"), "serviceAccountId")
        account = f"projects/dmz-outer/serviceAccounts/{ATTESTOR.removeprefix('serviceAccount:')}"
        assert {(role, member) for id_, role, member in granted if id_ == account} == {
            ("roles/iam.serviceAccountTokenCreator", "group:releases@example.com")
        }

    def test_nobody_may_act_as_the_machine(self, outer: Run) -> None:
        granted = members(outer.of("gcp:serviceaccount/iAMMember:IAMMember"), "serviceAccountId")
        assert not [id_ for id_, _, _ in granted if "dmz-machine@" in id_]

    def test_in_the_project_the_machine_may_only_write_logs(self, outer: Run) -> None:
        granted = members(outer.of("gcp:projects/iAMMember:IAMMember"), "project")
        assert granted == {("dmz-outer", "roles/logging.logWriter", MACHINE)}


class TestWhoSigns:
    def test_the_key_signs_with_what_every_openssl_verifies(self, outer: Run) -> None:
        [key] = outer.of("gcp:kms/cryptoKey:CryptoKey")
        assert key.inputs["purpose"] == "ASYMMETRIC_SIGN"
        assert key.inputs["versionTemplate"] == {
            "algorithm": "EC_SIGN_P256_SHA256",
            "protectionLevel": "SOFTWARE",
        }

    def test_the_key_can_not_be_deleted(self, outer: Run) -> None:
        [ring], [key] = outer.of("gcp:kms/keyRing:KeyRing"), outer.of("gcp:kms/cryptoKey:CryptoKey")
        assert ring.protected
        assert key.protected
        assert key.inputs["deletionPolicy"] == "PREVENT"

    def test_only_the_attestor_has_a_role_on_the_key(self, outer: Run) -> None:
        kinds = {resource.type for resource in outer.resources if resource.type.startswith("gcp:kms/")}
        assert kinds == {
            "gcp:kms/keyRing:KeyRing",
            "gcp:kms/cryptoKey:CryptoKey",
            "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember",
        }
        granted = members(outer.of("gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember"), "cryptoKeyId")
        assert granted == {(KEY, "roles/cloudkms.signer", ATTESTOR)}

    @pytest.mark.parametrize("side", ["outer", "inner"])
    def test_no_role_on_the_project_includes_signing(self, side: str, request: pytest.FixtureRequest) -> None:
        done: Run = request.getfixturevalue(side)
        granted = members(done.of("gcp:projects/iAMMember:IAMMember"), "project")
        assert {role for _, role, _ in granted} == {"roles/logging.logWriter"}

    @pytest.mark.parametrize("side", ["outer", "inner"])
    def test_no_account_of_the_stacks_may_act_as_another(
        self, side: str, request: pytest.FixtureRequest
    ) -> None:
        done: Run = request.getfixturevalue(side)
        granted = members(done.of("gcp:serviceaccount/iAMMember:IAMMember"), "serviceAccountId")
        own = {account.inputs["accountId"] for account in done.of("gcp:serviceaccount/account:Account")}
        borrowers = {member.partition(":")[2].partition("@")[0] for _, _, member in granted}
        assert not own & borrowers

    def test_nobody_replaces_or_deletes_an_attestation(self, outer: Run) -> None:
        bucket = outer.one("gcp:storage/bucket:Bucket", "attestations")
        assert int(bucket.inputs["retentionPolicy"]["retentionPeriod"]) == 365 * 86400
        assert bucket.inputs["forceDestroy"] is False

    def test_the_version_of_the_key_is_a_matter_of_configuration(self, checkout: Path) -> None:
        done = run("outer", attestationKeyVersion=2)
        assert done.outputs["attestationKey"] == f"{KEY}/cryptoKeyVersions/2"

    def test_a_version_that_is_not_there_is_one_line(self, checkout: Path) -> None:
        done = run("outer", attestationKeyVersion=404)
        assert done.error is not None
        assert done.error.startswith(f"dmz:attestationKeyVersion: version 404 of {KEY} gives no public key: ")
        assert "was not found" in done.error
        assert "\n" not in done.error


class TestProject:
    def test_every_resource_names_its_project(self, outer: Run) -> None:
        for resource in outer.resources:
            match resource.type:
                case "gcp:storage/bucketIAMMember:BucketIAMMember":
                    assert resource.inputs["bucket"].startswith("dmz-outer-")
                case "gcp:kms/cryptoKey:CryptoKey":
                    assert resource.inputs["keyRing"].startswith("projects/dmz-outer/")
                case "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember":
                    assert resource.inputs["cryptoKeyId"].startswith("projects/dmz-outer/")
                case "gcp:serviceaccount/iAMMember:IAMMember":
                    assert resource.inputs["serviceAccountId"].startswith("projects/dmz-outer/")
                case _:
                    assert resource.inputs["project"] == "dmz-outer", resource.name

    def test_services_stay_enabled_when_the_stack_goes(self, outer: Run) -> None:
        services = outer.of("gcp:projects/service:Service")
        assert {"artifactregistry.googleapis.com", "tpu.googleapis.com"} <= {
            service.inputs["service"] for service in services
        }
        assert {service.inputs["disableOnDestroy"] for service in services} == {False}


class TestMachine:
    def test_it_names_network_account_and_accelerator(self, outer: Run) -> None:
        [machine] = outer.of("gcp:tpu/v2Vm:V2Vm")
        assert machine.inputs["networkConfig"]["network"] == "projects/dmz-outer/global/networks/dmz"
        assert machine.inputs["serviceAccount"]["email"] == MACHINE.removeprefix("serviceAccount:")
        assert machine.inputs["acceleratorType"] == "v3-8"
        assert machine.inputs["schedulingConfig"]["spot"] is True
        assert machine.inputs["shieldedInstanceConfig"] == {"enableSecureBoot": True}

    def test_it_starts_when_everything_it_reaches_for_is_there(self, outer: Run) -> None:
        [machine] = outer.of("gcp:tpu/v2Vm:V2Vm")
        assert {"nat", "python-remote-machine-reads", "inventory-machine-creates"} <= machine.after

    def test_its_settings_are_the_workload_and_where_things_are(self, checkout: Path) -> None:
        done = run("outer")
        [machine] = done.of("gcp:tpu/v2Vm:V2Vm")
        settings = json.loads(machine.inputs["metadata"]["dmz-settings"])
        workload = workloads.read(checkout / "workloads" / "small.toml")
        assert settings.pop("workload") == workload.settings()
        assert len(settings.pop("probes")) == 8
        assert settings == {
            "side": "outer",
            "machine": "dmz-outer",
            "project": "dmz-outer",
            "location": "us-central1",
            "runtime": "sandbox-debian-12",
            "workload_digest": workloads.workload_digest(workload),
            "apt_repositories": [
                {"repository": f"apt-{suite}", "suite": suite}
                for suite in ("bookworm", "bookworm-updates", "bookworm-security")
            ],
            "components": ["main"],
            "python_repository": "python-remote",
            "builds_bucket": "dmz-outer-builds",
            "inventory_bucket": "dmz-outer-inventory",
            "files_bucket": "dmz-outer-files",
        }


class TestOutputs:
    def test_they_are_what_the_inner_side_reads(self, outer: Run) -> None:
        read = OuterOutputs.model_validate(outer.outputs)
        assert read.project == "dmz-outer"
        assert read.files_bucket == "dmz-outer-files"
        assert f"serviceAccount:{read.sync_service_account}" == SYNC
        assert f"serviceAccount:{read.attestor_service_account}" == ATTESTOR
        assert read.attestations_bucket == "dmz-outer-attestations"
        assert read.attestation_public_key == PEM

    def test_the_attestor_is_told_which_version_signs(self, outer: Run) -> None:
        assert outer.outputs["attestationKey"] == f"{KEY}/cryptoKeyVersions/1"
