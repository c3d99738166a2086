"""What single services do beyond keeping resources."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.cloud.context import OPERATOR
from sandbox.cloud.services import tpu
from tests.sandbox.cloud.conftest import Box, Json

ZONES = "dns/v1beta2/projects/inner/managedZones"
POLICIES = "dns/v1beta2/projects/inner/responsePolicies"
CREATOR = "roles/iam.serviceAccountTokenCreator"


class TestServiceAccounts:
    def test_life(self, box: Box) -> None:
        email = box.account("dmz-machine")
        assert email == "dmz-machine@inner.iam.gserviceaccount.com"
        path = f"v1/projects/inner/serviceAccounts/{email}"
        account = box.call("GET", "iam", path)
        assert account["name"] == f"projects/inner/serviceAccounts/{email}"
        assert box.call("GET", "iam", f"v1/projects/-/serviceAccounts/{account['uniqueId']}") == account
        listed = box.call("GET", "iam", "v1/projects/inner/serviceAccounts")
        assert listed == {"accounts": [account]}
        patched = box.call(
            "PATCH", "iam", path, {"serviceAccount": {"displayName": "M"}, "updateMask": "display_name"}
        )
        assert patched["displayName"] == "M"
        box.call("DELETE", "iam", path)
        assert box.refused("GET", "iam", path)[0] == 404

    def test_names(self, box: Box) -> None:
        status, message = box.refused("POST", "iam", "v1/projects/inner/serviceAccounts", {"accountId": "vm"})
        assert (status, "6 to 30 characters" in message) == (400, True)
        box.account("dmz-machine")
        status, _ = box.refused(
            "POST", "iam", "v1/projects/inner/serviceAccounts", {"accountId": "dmz-machine"}
        )
        assert status == 409


class TestImpersonation:
    def token(self, box: Box, email: str, **body: object) -> Json:
        path = f"v1/projects/-/serviceAccounts/{email}:generateAccessToken"
        scope = ["https://www.googleapis.com/auth/cloud-platform"]
        answer: Json = box.send("POST", "iamcredentials", path, {"scope": scope, **body}).json()
        return answer

    def grant(self, box: Box, service: str, path: str, member: str = OPERATOR) -> None:
        policy = {"bindings": [{"role": CREATOR, "members": [member]}]}
        box.call("POST", service, f"v1/{path}:setIamPolicy", {"policy": policy})

    def test_it_needs_the_role(self, box: Box) -> None:
        email = box.account("dmz-sync")
        refusal = self.token(box, email)["error"]
        assert refusal["status"] == "PERMISSION_DENIED"
        assert refusal["message"] == (
            "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist)."
        )
        self.grant(box, "iam", f"projects/inner/serviceAccounts/{email}", member="user:somebody@else.invalid")
        assert "error" in self.token(box, email)
        self.grant(box, "iam", f"projects/inner/serviceAccounts/{email}")
        assert box.cloud.tokens.identity(self.token(box, email)["accessToken"]) == f"serviceAccount:{email}"

    def test_the_role_may_lie_on_the_project(self, box: Box) -> None:
        email = box.account("dmz-sync")
        self.grant(box, "cloudresourcemanager", "projects/outer")
        assert "error" in self.token(box, email)
        self.grant(box, "cloudresourcemanager", "projects/inner")
        assert "accessToken" in self.token(box, email)

    def test_another_role_does_not_do(self, box: Box) -> None:
        email = box.account("dmz-sync")
        policy = {"bindings": [{"role": "roles/iam.serviceAccountUser", "members": [OPERATOR]}]}
        path = f"v1/projects/inner/serviceAccounts/{email}:setIamPolicy"
        box.call("POST", "iam", path, {"policy": policy})
        assert "error" in self.token(box, email)

    def test_what_else_is_refused(self, box: Box) -> None:
        email = box.account("dmz-sync")
        self.grant(box, "iam", f"projects/inner/serviceAccounts/{email}")
        assert self.token(box, "none@inner.iam.gserviceaccount.com")["error"]["code"] == 404
        assert self.token(box, email, lifetime="3601s")["error"]["code"] == 400
        assert self.token(box, email, delegates=["x"])["error"]["code"] == 501
        assert self.token(box, email, scope=[])["error"]["code"] == 400


class TestServiceUsage:
    PARENT = "v1/projects/inner/services"

    def enabled(self, box: Box) -> list[str]:
        """As the provider's plugin asks."""
        answer = box.call(
            "GET", "serviceusage", self.PARENT, fields="services/name,nextPageToken", filter="state:ENABLED"
        )
        return [service["name"].rpartition("/")[2] for service in answer.get("services", [])]

    def test_switches(self, box: Box) -> None:
        assert self.enabled(box) == []
        operation = box.call(
            "POST",
            "serviceusage",
            f"{self.PARENT}:batchEnable",
            {"serviceIds": ["tpu.googleapis.com", "dns.googleapis.com"]},
        )
        assert operation["done"]
        assert box.call("GET", "serviceusage", f"v1/{operation['name']}") == operation
        assert self.enabled(box) == ["dns.googleapis.com", "tpu.googleapis.com"]
        box.call("POST", "serviceusage", f"{self.PARENT}/iam.googleapis.com:enable")
        box.call("POST", "serviceusage", f"{self.PARENT}/tpu.googleapis.com:disable", {})
        assert self.enabled(box) == ["dns.googleapis.com", "iam.googleapis.com"]
        assert box.call("GET", "serviceusage", f"{self.PARENT}/tpu.googleapis.com")["state"] == "DISABLED"

    def test_what_is_no_service(self, box: Box) -> None:
        path = f"{self.PARENT}:batchEnable"
        body = {"serviceIds": ["tpu.googleapis.com", "tpu.example.com"]}
        assert box.refused("POST", "serviceusage", path, body)[0] == 403
        assert self.enabled(box) == []


def test_projects_exist_once_named(box: Box) -> None:
    project = box.call("GET", "cloudresourcemanager", "v1/projects/dmz-inner")
    assert project["lifecycleState"] == "ACTIVE"
    assert project["projectNumber"].isdigit()
    other = box.call("GET", "cloudresourcemanager", "v1/projects/dmz-outer")
    assert project["projectNumber"] != other["projectNumber"]


class TestDns:
    def zone(self, box: Box) -> None:
        box.network()
        network = "https://www.googleapis.com/compute/v1/projects/inner/global/networks/vpc"
        box.call(
            "POST",
            "dns",
            ZONES,
            {
                "name": "apis",
                "dnsName": "googleapis.com.",
                "description": "d",
                "visibility": "private",
                "privateVisibilityConfig": {"networks": [{"networkUrl": network}]},
            },
        )

    def test_records_one_by_one(self, box: Box) -> None:
        self.zone(box)
        record = {"name": "restricted.googleapis.com.", "type": "A", "ttl": 300, "rrdatas": ["199.36.153.4"]}
        path = f"{ZONES}/apis/rrsets"
        assert box.call("POST", "dns", path, record) == {"kind": "dns#resourceRecordSet", **record}
        assert box.refused("POST", "dns", path, record)[0] == 409
        one = f"{path}/restricted.googleapis.com./A"
        box.call("PATCH", "dns", one, {"rrdatas": ["199.36.153.5"]})
        assert box.call("GET", "dns", one)["rrdatas"] == ["199.36.153.5"]
        types = [found["type"] for found in box.call("GET", "dns", path)["rrsets"]]
        assert sorted(types) == ["A", "NS", "SOA"]
        assert box.call("GET", "dns", path, name="restricted.googleapis.com.", type="A")["rrsets"] != []
        assert box.refused("DELETE", "dns", f"{ZONES}/apis")[0] == 400
        box.call("DELETE", "dns", one)
        box.call("DELETE", "dns", f"{ZONES}/apis")
        assert box.refused("GET", "dns", path)[0] == 404

    def test_both_versions_serve_the_same_zones(self, box: Box) -> None:
        self.zone(box)
        stable = ZONES.replace("v1beta2", "v1")
        record = {"name": "a.googleapis.com.", "type": "A", "ttl": 300, "rrdatas": ["199.36.153.4"]}
        box.call("POST", "dns", f"{stable}/apis/rrsets", record)
        one = "apis/rrsets/a.googleapis.com./A"
        assert box.call("GET", "dns", f"{ZONES}/{one}") == box.call("GET", "dns", f"{stable}/{one}")
        assert box.refused("GET", "dns", f"dns/v3/projects/inner/managedZones/{one}")[0] == 404

    def test_changes_are_made_as_a_whole(self, box: Box) -> None:
        self.zone(box)
        path = f"{ZONES}/apis/changes"
        first = {
            "name": "*.googleapis.com.",
            "type": "CNAME",
            "ttl": 5,
            "rrdatas": ["restricted.googleapis.com."],
        }
        change = box.call("POST", "dns", path, {"additions": [first]})
        assert change["status"] == "done"
        assert box.call("GET", "dns", f"{path}/{change['id']}") == change
        second = {"name": "a.googleapis.com.", "type": "A", "ttl": 5, "rrdatas": ["199.36.153.4"]}
        assert box.refused("POST", "dns", path, {"additions": [second, first]})[0] == 409
        stale = {**first, "ttl": 6}
        assert box.refused("POST", "dns", path, {"additions": [second], "deletions": [stale]})[0] == 412
        assert box.refused("GET", "dns", f"{ZONES}/apis/rrsets/a.googleapis.com./A")[0] == 404
        box.call("POST", "dns", path, {"additions": [second], "deletions": [first]})
        assert box.refused("GET", "dns", f"{ZONES}/apis/rrsets/*.googleapis.com./CNAME")[0] == 404

    @pytest.mark.parametrize(
        "record",
        [
            {"name": "example.com.", "type": "A", "rrdatas": ["203.0.113.1"]},
            {"name": "notgoogleapis.com.", "type": "A", "rrdatas": ["203.0.113.1"]},
            {"name": "a.googleapis.com.", "type": "A"},
            {"name": "googleapis.com.", "type": "CNAME", "rrdatas": ["x."]},
        ],
    )
    def test_records_that_cannot_be(self, box: Box, record: Json) -> None:
        self.zone(box)
        assert box.refused("POST", "dns", f"{ZONES}/apis/rrsets", record)[0] == 400

    def test_response_policies_and_rules(self, box: Box) -> None:
        network = box.network()
        body = {"responsePolicyName": "sealed", "networks": [{"networkUrl": network}]}
        box.call("POST", "dns", POLICIES, body)
        rule = {
            "ruleName": "all",
            "dnsName": "*.",
            "localData": {"localDatas": [{"name": "*.", "type": "A", "ttl": 300, "rrdatas": ["0.0.0.0"]}]},
        }
        rules = f"{POLICIES}/sealed/rules"
        assert box.call("POST", "dns", rules, rule)["ruleName"] == "all"
        assert box.refused("POST", "dns", rules, {**rule, "ruleName": "twin"})[0] == 409
        bypass = {"ruleName": "internal", "dnsName": "internal.", "behavior": "bypassResponsePolicy"}
        box.call("POST", "dns", rules, bypass)
        names = [found["ruleName"] for found in box.call("GET", "dns", rules)["responsePolicyRules"]]
        assert names == ["all", "internal"]
        assert box.refused("DELETE", "dns", f"{POLICIES}/sealed")[0] == 400
        for name in names:
            box.call("DELETE", "dns", f"{rules}/{name}")
        assert box.refused("DELETE", "dns", f"{POLICIES}/sealed")[0] == 400
        answer = box.call("PATCH", "dns", f"{POLICIES}/sealed", {"networks": None})
        assert "networks" not in answer["responsePolicy"]
        box.call("DELETE", "dns", f"{POLICIES}/sealed")


class TestBuckets:
    def test_life(self, box: Box) -> None:
        body = {"name": "inner-release", "location": "us-central1"}
        bucket = box.call("POST", "storage", "storage/v1/b", body, project="inner")
        assert (bucket["id"], bucket["location"], bucket["metageneration"]) == (
            "inner-release",
            "US-CENTRAL1",
            "1",
        )
        assert box.refused("POST", "storage", "storage/v1/b", body, project="outer")[0] == 409
        patched = box.call(
            "PATCH", "storage", "storage/v1/b/inner-release", {"versioning": {"enabled": True}}
        )
        assert patched["metageneration"] == "2"
        listed = box.call("GET", "storage", "storage/v1/b", project="inner", prefix="inner-")
        assert [item["name"] for item in listed["items"]] == ["inner-release"]
        assert box.call("GET", "storage", "storage/v1/b", project="outer")["items"] == []

    def test_one_with_objects_stays(self, box: Box) -> None:
        box.call("POST", "storage", "storage/v1/b", {"name": "bucket"}, project="inner")
        url = f"{box.cloud.endpoints['storage']}/upload/storage/v1/b/bucket/o?uploadType=media&name=x"
        headers = {"Authorization": f"Bearer {box.token}"}
        box.client.post(url, content=b"x", headers=headers).raise_for_status()
        assert box.refused("DELETE", "storage", "storage/v1/b/bucket")[0] == 409
        box.call("DELETE", "storage", "storage/v1/b/bucket/o/x")
        box.call("DELETE", "storage", "storage/v1/b/bucket")

    def test_names(self, box: Box) -> None:
        for name in ("Bucket", "b", "goog-mine", "a..b/c"):
            assert box.refused("POST", "storage", "storage/v1/b", {"name": name}, project="inner")[0] == 400


class TestRepositories:
    PATH = "v1/projects/inner/locations/us-central1/repositories"

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({"format": "DOCKER"}, 501),
            ({"format": "APT", "mode": "VIRTUAL_REPOSITORY"}, 501),
            ({"format": "APT", "mode": "REMOTE_REPOSITORY"}, 400),
            ({"format": "APT", "remoteRepositoryConfig": {"aptRepository": {}}}, 400),
            (
                {
                    "format": "APT",
                    "mode": "REMOTE_REPOSITORY",
                    "remoteRepositoryConfig": {"pythonRepository": {"publicRepository": "PYPI"}},
                },
                400,
            ),
        ],
    )
    def test_what_cannot_be(self, box: Box, body: Json, status: int) -> None:
        assert box.refused("POST", "artifactregistry", self.PATH, body, repositoryId="it")[0] == status

    def test_names(self, box: Box) -> None:
        body = {"format": "APT"}
        assert box.refused("POST", "artifactregistry", self.PATH, body, repositoryId="-it")[0] == 400
        assert box.refused("POST", "artifactregistry", self.PATH, body)[0] == 400

    def test_the_operation_is_done_and_has_the_repository(self, box: Box) -> None:
        operation = box.call("POST", "artifactregistry", self.PATH, {"format": "APT"}, repositoryId="apt")
        assert operation["done"]
        assert operation["response"]["@type"].endswith("google.devtools.artifactregistry.v1.Repository")
        assert operation["response"]["name"] == "projects/inner/locations/us-central1/repositories/apt"
        assert box.call("GET", "artifactregistry", f"v1/{operation['name']}") == operation

    def test_perimeter_setting(self, box: Box) -> None:
        path = "v1/projects/inner/locations/us-central1/vpcscConfig"
        box.call("PATCH", "artifactregistry", path, {"vpcscPolicy": "ALLOW"})
        assert box.call("GET", "artifactregistry", path)["vpcscPolicy"] == "ALLOW"


class TestComputeRules:
    BASE = "compute/beta/projects/inner"

    @pytest.mark.parametrize(
        ("path", "body", "status"),
        [
            ("global/networks", {"name": "auto"}, 501),
            ("regions/us-central1/subnetworks", {"ipCidrRange": "10.0.1.128/25"}, 400),
            ("regions/us-central1/subnetworks", {"ipCidrRange": "10.0.9.1/24"}, 400),
            ("global/routes", {"destRange": "10.0.0.0/8", "priority": 1, "nextHopIp": "10.0.1.9"}, 501),
            ("global/routes", {"destRange": "10.0.0.0/8", "priority": 1}, 400),
            (
                "global/routes",
                {"destRange": "x", "priority": 1, "nextHopGateway": "default-internet-gateway"},
                400,
            ),
            ("global/firewalls", {}, 400),
            ("global/firewalls", {"allowed": [{}], "denied": [{}]}, 400),
            ("global/firewalls", {"allowed": [{}], "sourceRanges": ["everywhere"]}, 400),
            ("global/firewalls", {"denied": [{}], "direction": "EGRESS", "sourceTags": ["a"]}, 400),
            ("global/firewalls", {"denied": [{}], "priority": 70000}, 400),
            ("regions/us-central1/routers", {"nats": [{"name": "a"}, {"name": "a"}]}, 400),
        ],
    )
    def test_what_cannot_be(self, box: Box, path: str, body: Json, status: int) -> None:
        box.network()
        named = {"name": "it", "network": "global/networks/vpc", **body}
        if path == "global/networks":
            named.pop("network")
        assert box.refused("POST", "compute", f"{self.BASE}/{path}", named)[0] == status

    def test_a_network_begins_with_a_way_out(self, box: Box) -> None:
        """As on Google: what is to be sealed has to delete it."""
        box.network()
        routes = box.call("GET", "compute", f"{self.BASE}/global/routes")["items"]
        assert [route["destRange"] for route in routes] == ["0.0.0.0/0"]
        box.call("DELETE", "compute", f"{self.BASE}/global/routes/{routes[0]['name']}")
        assert "items" not in box.call("GET", "compute", f"{self.BASE}/global/routes")

    def test_an_external_ipv6_subnet_brings_its_route(self, box: Box) -> None:
        box.network()
        body = {
            "name": "dual",
            "network": "global/networks/vpc",
            "ipCidrRange": "10.0.2.0/24",
            "stackType": "IPV4_IPV6",
            "ipv6AccessType": "EXTERNAL",
        }
        box.call("POST", "compute", f"{self.BASE}/regions/us-central1/subnetworks", body)
        routes = box.call("GET", "compute", f"{self.BASE}/global/routes")["items"]
        assert {route["destRange"] for route in routes} == {"0.0.0.0/0", "::/0"}


class TestNodes:
    NODE = "v2/projects/inner/locations/us-central1-a/nodes/machine"

    @pytest.fixture(autouse=True)
    def _declared(self, box: Box) -> None:
        box.network()
        box.account("dmz-machine")

    def create(self, box: Box, **fields: Any) -> Json:
        path, body = box.node(**fields)
        return box.operation("tpu", "v2", box.call("POST", "tpu", path, body))

    def test_life(self, box: Box) -> None:
        operation = self.create(box)
        assert operation["response"]["@type"].endswith("google.cloud.tpu.v2.Node")
        node = box.call("GET", "tpu", self.NODE)
        assert (node["state"], node["health"]) == ("READY", "HEALTHY")
        assert node["networkEndpoints"] == [{"ipAddress": "127.0.0.2", "port": 8470}]
        assert list(box.machines.nodes) == [node["name"]]
        assert box.refused("POST", "tpu", *box.node())[0] == 409
        assert (
            box.refused(
                "DELETE", "compute", "compute/beta/projects/inner/regions/us-central1/subnetworks/subnet"
            )[0]
            == 400
        )
        operation = box.operation("tpu", "v2", box.call("DELETE", "tpu", self.NODE))
        assert "error" not in operation
        assert box.machines.nodes == {}
        assert box.refused("GET", "tpu", self.NODE)[0] == 404

    def test_a_base_image_that_cannot_be_made(self, box: Box) -> None:
        operation = self.create(box, runtimeVersion="unheard-of")
        assert operation["error"] == {
            "code": 12,
            "message": "runtimeVersion 'unheard-of' can't be made by the sandbox",
        }
        assert box.refused("GET", "tpu", self.NODE)[0] == 404

    def test_metadata_changes_in_place(self, box: Box) -> None:
        self.create(box)
        body = {"metadata": {"dmz-settings": "new"}}
        operation = box.call("PATCH", "tpu", self.NODE, body, updateMask="metadata")
        assert operation["response"]["metadata"] == {"dmz-settings": "new"}
        assert box.call("GET", "tpu", self.NODE)["metadata"] == {"dmz-settings": "new"}
        status, message = box.refused("PATCH", "tpu", self.NODE, {}, updateMask="runtimeVersion")
        assert (status, "runtimeVersion" in message) == (501, True)

    def test_a_restart_of_the_daemon_shows_which_nodes_run(self, box: Box) -> None:
        self.create(box)
        path, body = box.node("second")
        box.operation("tpu", "v2", box.call("POST", "tpu", path, body))
        del box.machines.nodes["projects/inner/locations/us-central1-a/nodes/second"]
        tpu.started(box.cloud)
        assert box.call("GET", "tpu", self.NODE)["state"] == "READY"
        assert box.call("GET", "tpu", self.NODE.replace("machine", "second"))["state"] == "STOPPED"

    @pytest.mark.parametrize(
        "fields",
        [
            {"serviceAccount": {"email": "none@inner.iam.gserviceaccount.com"}},
            {"serviceAccount": None},
            {"acceleratorType": None},
            {"networkConfig": None},
            {"networkConfig": {"network": "projects/inner/global/networks/none"}},
            {"flavour": "x"},
        ],
    )
    def test_what_cannot_be(self, box: Box, fields: Json) -> None:
        path, body = box.node(**fields)
        assert box.send("POST", "tpu", path, body).status_code in {400, 404, 501}
        assert box.machines.nodes == {}
        assert [name for name in box.cloud.store.list("tpu/") if "/nodes/" in name] == []
