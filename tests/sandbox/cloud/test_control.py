"""Resources live as Google's do: created, read, listed, changed and deleted, and never left half way."""

from __future__ import annotations

import pytest

from sandbox.cloud.errors import unimplemented
from tests.sandbox.cloud.conftest import Box

GLOBAL = "compute/beta/projects/inner/global"
REGION = "compute/beta/projects/inner/regions/us-central1"
REPOSITORIES = "v1/projects/inner/locations/us-central1/repositories"
NETWORK = {"name": "vpc", "autoCreateSubnetworks": False}


class TestLife:
    def test_a_resource_is_created_once(self, box: Box) -> None:
        operation = box.call("POST", "compute", f"{GLOBAL}/networks", NETWORK)
        assert operation["status"] == "DONE"
        assert operation["targetLink"].endswith("projects/inner/global/networks/vpc")
        assert box.call("GET", "compute", f"{GLOBAL}/operations/{operation['name']}") == operation
        assert box.call("POST", "compute", f"{GLOBAL}/operations/{operation['name']}/wait") == operation
        status, message = box.refused("POST", "compute", f"{GLOBAL}/networks", NETWORK)
        assert (status, message) == (409, "The resource 'projects/inner/global/networks/vpc' already exists")

    def test_what_is_not_there_is_404(self, box: Box) -> None:
        for method in ("GET", "DELETE"):
            status, message = box.refused(method, "compute", f"{GLOBAL}/networks/none")
            assert status == 404
            assert message == "The resource 'projects/inner/global/networks/none' was not found"
        assert box.refused("PATCH", "compute", f"{REGION}/routers/none", {})[0] == 404

    def test_projects_are_apart(self, box: Box) -> None:
        box.network("inner")
        box.network("outer")
        items = box.call("GET", "compute", f"{GLOBAL}/networks")["items"]
        assert [item["name"] for item in items] == ["vpc"]

    def test_what_google_sets_is_set(self, box: Box) -> None:
        box.network()
        subnet = box.call("GET", "compute", f"{REGION}/subnetworks/subnet")
        assert subnet["kind"] == "compute#subnetwork"
        assert subnet["gatewayAddress"] == "10.0.1.1"
        assert subnet["selfLink"] == f"{box.cloud.endpoints['compute']}/{REGION}/subnetworks/subnet"
        assert subnet["region"] == f"{box.cloud.endpoints['compute']}/{REGION}"
        assert subnet["network"] == f"{box.cloud.endpoints['compute']}/{GLOBAL}/networks/vpc"
        assert subnet["id"].isdigit()
        assert {"creationTimestamp", "fingerprint"} <= subnet.keys()
        assert box.call("GET", "compute", f"{GLOBAL}/networks/vpc")["subnetworks"] == [subnet["selfLink"]]

    def test_it_is_there_after_a_restart(self, box: Box) -> None:
        box.network()
        box.do(box.cloud.close())
        again = type(box.cloud).open(box.cloud.root)
        assert again.store.get("compute/projects/inner/global/networks/vpc") is not None
        box.cloud.store, box.cloud.requests = again.store, again.requests


class TestLists:
    def test_pages(self, box: Box) -> None:
        for number in range(5):
            box.call(
                "POST", "artifactregistry", REPOSITORIES, {"format": "APT"}, repositoryId=f"apt-{number}"
            )
        seen, token, pages = [], "", 0
        while pages < 9:
            page = box.call("GET", "artifactregistry", REPOSITORIES, pageSize="2", pageToken=token)
            seen += [repository["name"].rpartition("/")[2] for repository in page["repositories"]]
            pages += 1
            token = page.get("nextPageToken", "")
            if not token:
                break
        assert (seen, pages) == ([f"apt-{number}" for number in range(5)], 3)

    def test_a_page_token_that_is_none(self, box: Box) -> None:
        assert box.refused("GET", "artifactregistry", REPOSITORIES, pageToken="é")[0] == 400

    def test_filters(self, box: Box) -> None:
        box.network()
        link = f"{box.cloud.endpoints['compute']}/{GLOBAL}/networks/vpc"

        def routes(expression: str) -> int:
            return len(box.call("GET", "compute", f"{GLOBAL}/routes", filter=expression).get("items", []))

        assert routes(f'(network="{link}") AND (destRange="0.0.0.0/0")') == 1
        assert routes(f'(network="{link}x") AND (destRange="0.0.0.0/0")') == 0
        assert routes("destRange != 0.0.0.0/0") == 0
        assert box.refused("GET", "compute", f"{GLOBAL}/routes", filter="(a=b) OR (c=d)")[0] == 501
        assert box.refused("GET", "compute", f"{GLOBAL}/routes", filter="nonsense")[0] == 400

    def test_partial_answers(self, box: Box) -> None:
        box.network()
        answer = box.call(
            "GET", "compute", f"{GLOBAL}/networks", fields="items(name,routingConfig/routingMode)"
        )
        assert answer == {"items": [{"name": "vpc", "routingConfig": {"routingMode": "REGIONAL"}}]}
        answer = box.call("GET", "compute", f"{GLOBAL}/networks", fields="items/name,kind")
        assert answer == {"kind": "compute#networkList", "items": [{"name": "vpc"}]}
        assert box.refused("GET", "compute", f"{GLOBAL}/networks", fields="items(name")[0] == 400


class TestChanges:
    def test_a_patch_merges_and_null_clears(self, box: Box) -> None:
        box.network()
        path = f"{GLOBAL}/firewalls"
        box.call(
            "POST",
            "compute",
            path,
            {
                "name": "rule",
                "network": "global/networks/vpc",
                "description": "before",
                "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}],
            },
        )
        box.call(
            "PATCH", "compute", f"{path}/rule", {"description": None, "allowed": [{"IPProtocol": "icmp"}]}
        )
        rule = box.call("GET", "compute", f"{path}/rule")
        assert rule["allowed"] == [{"IPProtocol": "icmp"}]
        assert "description" not in rule
        assert rule["sourceRanges"] == ["0.0.0.0/0"]

    def test_an_update_mask_says_what_changes(self, box: Box) -> None:
        path = f"{REPOSITORIES}/apt"
        body = {"format": "APT", "description": "before", "labels": {"a": "b"}}
        box.call("POST", "artifactregistry", REPOSITORIES, body, repositoryId="apt")
        after = box.call(
            "PATCH",
            "artifactregistry",
            path,
            {"description": "after", "labels": {}},
            updateMask="description",
        )
        assert (after["description"], after["labels"]) == ("after", {"a": "b"})
        after = box.call("PATCH", "artifactregistry", path, {}, updateMask="labels,description")
        assert {"labels", "description"} & after.keys() == set()
        assert box.refused("PATCH", "artifactregistry", path, {}, updateMask="createTime")[0] == 400

    def test_an_old_fingerprint_is_refused(self, box: Box) -> None:
        box.network()
        subnet = box.call("GET", "compute", f"{REGION}/subnetworks/subnet")
        body = {"fingerprint": subnet["fingerprint"], "privateIpGoogleAccess": True}
        box.call("PATCH", "compute", f"{REGION}/subnetworks/subnet", body)
        assert box.refused("PATCH", "compute", f"{REGION}/subnetworks/subnet", body)[0] == 412

    def test_the_machines_follow_each_change(self, box: Box) -> None:
        box.network()
        before = box.machines.reconciled
        box.call("PATCH", "compute", f"{GLOBAL}/networks/vpc", {"mtu": 8896})
        box.call("POST", "artifactregistry", REPOSITORIES, {"format": "APT"}, repositoryId="apt")
        assert box.machines.reconciled == before + 1

    def test_what_the_machines_refuse_is_not_kept(self, box: Box) -> None:
        box.network()
        before = {name: item for name, item in box.cloud.store.list("").items() if "/operations/" not in name}
        box.machines.refuse = unimplemented("the sandbox's machines can't reproduce 'it'")
        route = {
            "name": "r",
            "network": "global/networks/vpc",
            "destRange": "10.9.0.0/16",
            "priority": 1000,
            "nextHopGateway": "global/gateways/default-internet-gateway",
        }
        network = {"name": "other", "autoCreateSubnetworks": False}
        assert box.refused("POST", "compute", f"{GLOBAL}/routes", route)[0] == 501
        assert box.refused("POST", "compute", f"{GLOBAL}/networks", network)[0] == 501
        assert box.refused("PATCH", "compute", f"{GLOBAL}/networks/vpc", {"mtu": 8896})[0] == 501
        after = {name: item for name, item in box.cloud.store.list("").items() if "/operations/" not in name}
        assert after == before


class TestReferences:
    @pytest.mark.parametrize(
        ("path", "body"),
        [
            (f"{REGION}/subnetworks", {"ipCidrRange": "10.0.0.0/24"}),
            (f"{GLOBAL}/firewalls", {"allowed": [{"IPProtocol": "all"}]}),
            (f"{REGION}/routers", {}),
            (
                f"{GLOBAL}/routes",
                {
                    "destRange": "10.9.0.0/16",
                    "nextHopGateway": "global/gateways/default-internet-gateway",
                    "priority": 1000,
                },
            ),
        ],
    )
    def test_what_a_resource_names_has_to_exist(self, box: Box, path: str, body: dict[str, str]) -> None:
        named = {"name": "it", "network": "projects/inner/global/networks/none", **body}
        assert box.refused("POST", "compute", path, named) == (
            404,
            "The resource 'projects/inner/global/networks/none' was not found",
        )
        assert box.refused("POST", "compute", path, {"name": "it", **body})[0] == 400

    def test_a_network_in_use_stays(self, box: Box) -> None:
        box.network()
        status, message = box.refused("DELETE", "compute", f"{GLOBAL}/networks/vpc")
        assert status == 400
        assert "already being used by 'projects/inner/regions/us-central1/subnetworks/subnet'" in message
        box.call("DELETE", "compute", f"{REGION}/subnetworks/subnet")
        box.call("DELETE", "compute", f"{GLOBAL}/networks/vpc")
        assert [name for name in box.cloud.store.list("compute/") if "/operations/" not in name] == []

    def test_a_route_of_ones_own_keeps_a_network(self, box: Box) -> None:
        box.call("POST", "compute", f"{GLOBAL}/networks", NETWORK)
        route = {
            "name": "vip",
            "network": "global/networks/vpc",
            "destRange": "199.36.153.4/30",
            "priority": 1000,
            "nextHopGateway": "global/gateways/default-internet-gateway",
        }
        box.call("POST", "compute", f"{GLOBAL}/routes", route)
        assert box.refused("DELETE", "compute", f"{GLOBAL}/networks/vpc")[0] == 400


class TestPolicies:
    def test_etags_guard_against_lost_changes(self, box: Box) -> None:
        box.call("POST", "artifactregistry", REPOSITORIES, {"format": "APT"}, repositoryId="apt")
        old = box.call("GET", "artifactregistry", f"{REPOSITORIES}/apt:getIamPolicy")
        bindings = [{"role": "roles/artifactregistry.reader", "members": ["user:b@x.y", "user:a@x.y"]}]
        path = f"{REPOSITORIES}/apt:setIamPolicy"
        new = box.call(
            "POST", "artifactregistry", path, {"policy": {"bindings": bindings, "etag": old["etag"]}}
        )
        assert new["bindings"][0]["members"] == ["user:a@x.y", "user:b@x.y"]
        assert new["etag"] != old["etag"]
        status, message = box.refused("POST", "artifactregistry", path, {"policy": {"etag": old["etag"]}})
        assert status == 409
        assert "concurrent policy changes" in message
        assert box.call("GET", "artifactregistry", f"{REPOSITORIES}/apt:getIamPolicy") == new

    @pytest.mark.parametrize(
        ("binding", "said"),
        [
            ({"role": "reader", "members": ["user:a@x.y"]}, "Role name must be in the format"),
            ({"role": "roles/viewer", "members": ["somebody"]}, "Invalid member: 'somebody'"),
            (
                {"role": "roles/viewer", "members": ["serviceAccount:gone@inner.iam.gserviceaccount.com"]},
                "Service account gone@inner.iam.gserviceaccount.com does not exist.",
            ),
            (
                {"role": "roles/viewer", "members": ["user:a@x.y"], "condition": {"expression": "true"}},
                "The sandbox does not evaluate IAM conditions",
            ),
        ],
    )
    def test_bindings_that_cannot_be(self, box: Box, binding: dict[str, object], said: str) -> None:
        path = "v1/projects/inner:setIamPolicy"
        _, message = box.refused("POST", "cloudresourcemanager", path, {"policy": {"bindings": [binding]}})
        assert said in message

    def test_a_policy_goes_with_its_resource(self, box: Box) -> None:
        for _ in range(2):
            box.call("POST", "artifactregistry", REPOSITORIES, {"format": "APT"}, repositoryId="apt")
            assert "bindings" not in box.call("GET", "artifactregistry", f"{REPOSITORIES}/apt:getIamPolicy")
            policy = {"bindings": [{"role": "roles/viewer", "members": ["allUsers"]}]}
            box.call("POST", "artifactregistry", f"{REPOSITORIES}/apt:setIamPolicy", {"policy": policy})
            box.call("DELETE", "artifactregistry", f"{REPOSITORIES}/apt")

    def test_only_what_exists_has_one(self, box: Box) -> None:
        assert box.refused("GET", "artifactregistry", f"{REPOSITORIES}/none:getIamPolicy")[0] == 404
        assert box.refused("GET", "storage", "storage/v1/b/none/iam")[0] == 404
