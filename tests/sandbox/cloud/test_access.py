"""Who may do what: every call needs its permission, by the bindings that were declared and nothing else."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from sandbox.cloud.access import permissions_of
from sandbox.cloud.access.roles import ROLES
from sandbox.cloud.context import OPERATOR
from sandbox.cloud.discovery import load
from sandbox.cloud.errors import ApiError
from sandbox.cloud.registry import KINDS, OVERRIDES, SERVICES
from tests.sandbox.cloud.conftest import Box

REPOSITORIES = "v1/projects/inner/locations/us-central1/repositories"
RINGS = "v1/projects/outer/locations/us-central1/keyRings"
KEY = f"{RINGS}/dmz/cryptoKeys/attestation"
VERSION = f"{KEY}/cryptoKeyVersions/1"
DIGEST = {"digest": {"sha256": base64.b64encode(hashlib.sha256(b"").digest()).decode()}}
SOMEBODY = "user:somebody@example.com"


def token(box: Box, identity: str) -> str:
    return box.cloud.tokens.issue(identity)


def denied(
    box: Box, identity: str, method: str, service: str, path: str, body: Any = None, **query: str
) -> str:
    """The message of a call that `identity` may not make."""
    answer = box.send(method, service, path, body, token=token(box, identity), **query)
    assert answer.status_code == 403, answer.text
    error = answer.json()["error"]
    assert error["status"] == "PERMISSION_DENIED"
    return str(error["message"])


def may(
    box: Box, identity: str, method: str, service: str, path: str, body: Any = None, **query: str
) -> bool:
    answer = box.send(method, service, path, body, token=token(box, identity), **query)
    assert answer.is_success or answer.status_code == 403, answer.text
    return answer.is_success


def grant(box: Box, service: str, path: str, role: str, *members: str) -> None:
    policy = {"bindings": [{"role": role, "members": list(members)}]}
    box.call("POST", service, f"{path}:setIamPolicy", {"policy": policy})


def make_key(box: Box) -> None:
    box.call("POST", "cloudkms", RINGS, keyRingId="dmz")
    body = {"purpose": "ASYMMETRIC_SIGN", "versionTemplate": {"algorithm": "EC_SIGN_P256_SHA256"}}
    box.call("POST", "cloudkms", f"{RINGS}/dmz/cryptoKeys", body, cryptoKeyId="attestation")


def make_bucket(box: Box, name: str = "inner-release", project: str = "inner") -> str:
    body = {
        "name": name,
        "location": "us-central1",
        "iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}},
    }
    box.call("POST", "storage", "storage/v1/b", body, project=project)
    return f"storage/v1/b/{name}"


def grant_on_bucket(box: Box, bucket: str, role: str, *members: str) -> None:
    policy = box.call("GET", "storage", f"{bucket}/iam")
    policy["bindings"].append({"role": role, "members": list(members)})
    box.call("PUT", "storage", f"{bucket}/iam", policy)


class TestTable:
    @pytest.mark.parametrize("service", [service for service in SERVICES if service.versions])
    def test_every_method_that_is_served_asks_for_something_that_some_role_has(self, service: Any) -> None:
        collections = {kind.collection for kind in KINDS}
        verbs = {
            "create",
            "insert",
            "get",
            "list",
            "patch",
            "update",
            "delete",
            "getIamPolicy",
            "setIamPolicy",
        }
        known = frozenset[str]().union(*ROLES.values())
        for version in service.versions:
            for method_id in load(service.name, version).methods():
                collection, _, verb = method_id.rpartition(".")
                if method_id in OVERRIDES or (collection in collections and verb in verbs):
                    asked = permissions_of(method_id)
                    assert asked, method_id
                    assert set(asked) <= known, method_id

    @pytest.mark.parametrize(
        ("role", "has", "lacks"),
        [
            ("storage.objectCreator", "storage.objects.create", "storage.objects.get"),
            ("storage.objectCreator", "storage.objects.create", "storage.objects.list"),
            ("storage.objectCreator", "storage.objects.create", "storage.objects.delete"),
            ("storage.objectViewer", "storage.objects.get", "storage.objects.create"),
            (
                "artifactregistry.reader",
                "artifactregistry.repositories.downloadArtifacts",
                "artifactregistry.repositories.uploadArtifacts",
            ),
            (
                "artifactregistry.writer",
                "artifactregistry.repositories.uploadArtifacts",
                "artifactregistry.versions.delete",
            ),
            (
                "artifactregistry.repoAdmin",
                "artifactregistry.versions.delete",
                "artifactregistry.repositories.delete",
            ),
            (
                "cloudkms.signer",
                "cloudkms.cryptoKeyVersions.useToSign",
                "cloudkms.cryptoKeyVersions.viewPublicKey",
            ),
            ("cloudkms.admin", "cloudkms.cryptoKeys.setIamPolicy", "cloudkms.cryptoKeyVersions.useToSign"),
            ("owner", "cloudkms.cryptoKeyVersions.useToSign", "iam.serviceAccounts.getAccessToken"),
            ("owner", "storage.buckets.create", "storage.objects.get"),
            ("editor", "cloudkms.cryptoKeys.create", "cloudkms.cryptoKeyVersions.useToSign"),
            ("editor", "iam.serviceAccounts.actAs", "resourcemanager.projects.setIamPolicy"),
            (
                "iam.serviceAccountTokenCreator",
                "iam.serviceAccounts.getAccessToken",
                "iam.serviceAccounts.actAs",
            ),
            ("iam.serviceAccountUser", "iam.serviceAccounts.actAs", "iam.serviceAccounts.getAccessToken"),
        ],
    )
    def test_roles_are_what_google_says_they_are(self, role: str, has: str, lacks: str) -> None:
        assert has in ROLES[f"roles/{role}"]
        assert lacks not in ROLES[f"roles/{role}"]


class TestWording:
    def test_artifact_registry(self, box: Box) -> None:
        message = denied(box, SOMEBODY, "GET", "artifactregistry", f"{REPOSITORIES}/apt")
        assert message == (
            "Permission 'artifactregistry.repositories.get' denied on resource "
            "'//artifactregistry.googleapis.com/projects/inner/locations/us-central1/repositories/apt' "
            "(or it may not exist)."
        )

    def test_cloud_kms(self, box: Box) -> None:
        make_key(box)
        message = denied(box, SOMEBODY, "POST", "cloudkms", f"{VERSION}:asymmetricSign", DIGEST)
        assert message == (
            "Permission 'cloudkms.cryptoKeyVersions.useToSign' denied on resource "
            f"'{VERSION.removeprefix('v1/')}' (or it may not exist)."
        )

    def test_cloud_storage(self, box: Box) -> None:
        bucket = make_bucket(box)
        answer = box.send("GET", "storage", bucket, token=token(box, SOMEBODY))
        assert answer.json()["error"]["errors"][0]["reason"] == "forbidden"
        assert answer.json()["error"]["message"] == (
            "somebody@example.com does not have storage.buckets.get access to the Google Cloud Storage "
            "bucket. Permission 'storage.buckets.get' denied on resource (or it may not exist)."
        )

    def test_compute(self, box: Box) -> None:
        path = "compute/beta/projects/inner/global/networks"
        message = denied(box, SOMEBODY, "POST", "compute", path, {"name": "vpc"})
        assert message == "Required 'compute.networks.create' permission for 'projects/inner/global/networks'"


class TestWhoeverStartedIt:
    def test_owns_every_project(self, box: Box) -> None:
        box.network()
        box.account("dmz-machine")
        make_bucket(box)
        make_key(box)
        assert "bindings" not in box.call(
            "POST", "cloudresourcemanager", "v1/projects/inner:getIamPolicy", {}
        )

    def test_and_no_policy_takes_that_away(self, box: Box) -> None:
        grant(box, "cloudresourcemanager", "v1/projects/inner", "roles/viewer", SOMEBODY)
        box.network()

    def test_reaches_a_bucket_only_by_the_roles_that_it_was_born_with(self, box: Box) -> None:
        bucket = make_bucket(box)
        roles = {each["role"] for each in box.call("GET", "storage", f"{bucket}/iam")["bindings"]}
        assert roles == {
            "roles/storage.legacyBucketOwner",
            "roles/storage.legacyBucketReader",
            "roles/storage.legacyObjectOwner",
            "roles/storage.legacyObjectReader",
        }
        box.call("PUT", "storage", f"{bucket}/iam", {"bindings": []})
        assert "storage.buckets.get" in denied(box, OPERATOR, "GET", "storage", bucket)

    def test_may_sign_as_owners_may(self, box: Box) -> None:
        make_key(box)
        assert may(box, OPERATOR, "POST", "cloudkms", f"{VERSION}:asymmetricSign", DIGEST)


class TestGrants:
    def test_a_grant_on_a_repository_is_for_that_one(self, box: Box) -> None:
        account = f"serviceAccount:{box.account('dmz-machine')}"
        for name in ("apt", "other"):
            box.call("POST", "artifactregistry", REPOSITORIES, {"format": "APT"}, repositoryId=name)
        grant(box, "artifactregistry", f"{REPOSITORIES}/apt", "roles/artifactregistry.reader", account)
        assert may(box, account, "GET", "artifactregistry", f"{REPOSITORIES}/apt/packages")
        assert not may(box, account, "GET", "artifactregistry", f"{REPOSITORIES}/other/packages")
        assert not may(box, account, "GET", "artifactregistry", REPOSITORIES)
        assert not may(box, account, "DELETE", "artifactregistry", f"{REPOSITORIES}/apt")
        grant(box, "artifactregistry", f"{REPOSITORIES}/apt", "roles/artifactregistry.reader", SOMEBODY)
        assert not may(box, account, "GET", "artifactregistry", f"{REPOSITORIES}/apt/packages")

    def test_a_grant_on_the_project_is_for_all_of_it_and_no_other(self, box: Box) -> None:
        for project in ("inner", "outer"):
            path = f"v1/projects/{project}/locations/us-central1/repositories"
            box.call("POST", "artifactregistry", path, {"format": "APT"}, repositoryId="apt")
        grant(box, "cloudresourcemanager", "v1/projects/inner", "roles/artifactregistry.reader", SOMEBODY)
        assert may(box, SOMEBODY, "GET", "artifactregistry", f"{REPOSITORIES}/apt")
        elsewhere = f"{REPOSITORIES}/apt".replace("inner", "outer")
        assert not may(box, SOMEBODY, "GET", "artifactregistry", elsewhere)

    @pytest.mark.parametrize("place", [KEY, f"{RINGS}/dmz"])
    def test_a_key_or_its_ring_can_be_granted(self, box: Box, place: str) -> None:
        make_key(box)
        account = f"serviceAccount:{box.account('dmz-attestor', 'outer')}"
        assert not may(box, account, "POST", "cloudkms", f"{VERSION}:asymmetricSign", DIGEST)
        grant(box, "cloudkms", place, "roles/cloudkms.signer", account)
        assert may(box, account, "POST", "cloudkms", f"{VERSION}:asymmetricSign", DIGEST)
        for other in ("dmz-machine", "dmz-sync"):
            email = box.account(other, "outer")
            assert not may(
                box, f"serviceAccount:{email}", "POST", "cloudkms", f"{VERSION}:asymmetricSign", DIGEST
            )
        # Signing is all that it may: neither the key's state nor who else may sign.
        assert not may(box, account, "GET", "cloudkms", f"{VERSION}/publicKey")
        assert not may(box, account, "GET", "cloudkms", f"{KEY}:getIamPolicy")
        assert not may(box, account, "POST", "cloudkms", f"{VERSION}:destroy", {})

    def test_who_administers_keys_can_not_sign(self, box: Box) -> None:
        make_key(box)
        grant(box, "cloudresourcemanager", "v1/projects/outer", "roles/cloudkms.admin", SOMEBODY)
        assert may(box, SOMEBODY, "GET", "cloudkms", KEY)
        assert not may(box, SOMEBODY, "POST", "cloudkms", f"{VERSION}:asymmetricSign", DIGEST)

    def test_a_bucket_can_be_granted(self, box: Box) -> None:
        bucket = make_bucket(box)
        account = f"serviceAccount:{box.account('dmz-machine')}"
        path, query = f"upload/{bucket}/o", {"uploadType": "media", "name": "report.json"}
        assert not may(box, account, "POST", "storage", path, {}, **query)
        grant_on_bucket(box, bucket, "roles/storage.objectCreator", account)
        assert may(box, account, "POST", "storage", path, {}, **query)
        assert not may(box, account, "POST", "storage", path, {}, **query)  # it would replace the first
        assert not may(box, account, "GET", "storage", f"{bucket}/o/report.json")
        assert not may(box, account, "GET", "storage", f"{bucket}/o")
        assert not may(box, account, "DELETE", "storage", f"{bucket}/o/report.json")

    def test_owners_of_the_project_reach_its_buckets(self, box: Box) -> None:
        bucket = make_bucket(box)
        assert not may(box, SOMEBODY, "GET", "storage", f"{bucket}/o")
        grant(box, "cloudresourcemanager", "v1/projects/inner", "roles/owner", SOMEBODY)
        assert may(box, SOMEBODY, "GET", "storage", f"{bucket}/o")
        make_bucket(box, "outer-files", "outer")
        assert not may(box, SOMEBODY, "GET", "storage", "storage/v1/b/outer-files/o")

    def test_everyone_and_a_domain_are_members_too(self, box: Box) -> None:
        box.call("POST", "artifactregistry", REPOSITORIES, {"format": "APT"}, repositoryId="apt")
        for member, others in (
            ("allUsers", True),
            ("allAuthenticatedUsers", True),
            ("domain:example.com", False),
        ):
            grant(box, "artifactregistry", f"{REPOSITORIES}/apt", "roles/artifactregistry.reader", member)
            assert may(box, SOMEBODY, "GET", "artifactregistry", f"{REPOSITORIES}/apt")
            stranger = "user:somebody@example.org"
            assert may(box, stranger, "GET", "artifactregistry", f"{REPOSITORIES}/apt") is others

    def test_a_machine_runs_only_as_an_account_that_one_may_use(self, box: Box) -> None:
        box.network()
        email = box.account("dmz-machine")
        path, body = box.node()
        grant(box, "cloudresourcemanager", "v1/projects/inner", "roles/tpu.admin", SOMEBODY)
        message = denied(box, SOMEBODY, "POST", "tpu", path, body)
        assert "iam.serviceAccounts.actAs" in message
        grant(
            box, "iam", f"v1/projects/inner/serviceAccounts/{email}", "roles/iam.serviceAccountUser", SOMEBODY
        )
        assert may(box, SOMEBODY, "POST", "tpu", path, body)


class TestNothingIsGranted:
    """An identity without any grant: what this project's machines have beyond what the stacks declare."""

    @pytest.mark.parametrize(
        ("method", "service", "path", "body"),
        [
            ("GET", "artifactregistry", REPOSITORIES, None),
            ("GET", "compute", "compute/beta/projects/inner/global/networks", None),
            ("GET", "cloudresourcemanager", "v1/projects/inner", None),
            ("POST", "cloudresourcemanager", "v1/projects/inner:getIamPolicy", {}),
            ("POST", "cloudresourcemanager", "v1/projects/inner:setIamPolicy", {"policy": {}}),
            ("GET", "dns", "dns/v1beta2/projects/inner/managedZones", None),
            ("GET", "iam", "v1/projects/inner/serviceAccounts", None),
            ("GET", "serviceusage", "v1/projects/inner/services", None),
            ("POST", "serviceusage", "v1/projects/inner/services/tpu.googleapis.com:enable", {}),
            ("GET", "storage", "storage/v1/b?project=inner", None),
            ("GET", "tpu", "v2/projects/inner/locations/us-central1-a/nodes", None),
            ("GET", "cloudkms", RINGS, None),
        ],
    )
    def test_it_may_do_nothing(self, box: Box, method: str, service: str, path: str, body: Any) -> None:
        account = f"serviceAccount:{box.account('dmz-machine')}"
        assert denied(box, account, method, service, path, body)
        assert box.send(method, service, path, body).is_success


class TestPolicies:
    def test_a_role_that_is_not_known_is_refused_by_name(self, box: Box) -> None:
        policy = {"bindings": [{"role": "roles/bigquery.admin", "members": [SOMEBODY]}]}
        status, message = box.refused(
            "POST", "cloudresourcemanager", "v1/projects/inner:setIamPolicy", {"policy": policy}
        )
        assert status == 501
        assert "roles/bigquery.admin" in message

    def test_a_role_of_another_service_can_not_be_granted_here(self, box: Box) -> None:
        make_key(box)
        policy = {"bindings": [{"role": "roles/storage.objectViewer", "members": [SOMEBODY]}]}
        assert box.refused("POST", "cloudkms", f"{KEY}:setIamPolicy", {"policy": policy}) == (
            400,
            "Role roles/storage.objectViewer is not supported for this resource.",
        )


def test_what_is_missing_is_told_where_google_tells_it(box: Box) -> None:
    assert box.send("GET", "storage", "storage/v1/b/none", token=token(box, SOMEBODY)).status_code == 404
    nobody = "v1/projects/-/serviceAccounts/nobody@inner.iam.gserviceaccount.com:generateAccessToken"
    body = {"scope": ["https://www.googleapis.com/auth/cloud-platform"]}
    answer = box.send("POST", "iamcredentials", nobody, body, token=token(box, SOMEBODY))
    assert answer.status_code == 404


def test_an_error_of_the_check_is_of_googles_form() -> None:
    body = ApiError(403, "PERMISSION_DENIED", "no").body()["error"]
    assert (body["code"], body["errors"][0]["reason"]) == (403, "forbidden")
