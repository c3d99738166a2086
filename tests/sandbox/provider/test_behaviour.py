"""What is more than one call for one resource."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import grpc  # type: ignore[import-untyped]
import pytest
from google.protobuf import empty_pb2
from grpc_status import rpc_status  # type: ignore[import-untyped]
from pulumi.runtime.proto import provider_pb2

from sandbox.provider.values import Secrets, decode
from tests.sandbox.provider.cases import CASES, MORE, Props, inputs
from tests.sandbox.provider.engine import Engine
from tests.sandbox.provider.recorder import Recorder, error

ROUTER = "compute/beta/projects/inner/regions/us-central1/routers/router"
POLICY = "v1/projects/inner"
VM = "serviceAccount:vm@inner.iam.gserviceaccount.com"


def named(case: str, **change: object) -> tuple[str, str, Props]:
    kind, given = (CASES | MORE)[case]
    return kind, case, {key: value for key, value in (given | change).items() if value is not None}


class TestNames:
    def test_a_name_is_made_from_the_logical_name(self, engine: Engine) -> None:
        made = engine.check(*named("network", name=None))
        assert made["name"].startswith("network-")
        assert len(made["name"]) == len("network-") + 7

    def test_a_made_name_is_kept(self, engine: Engine) -> None:
        made = engine.check(*named("network", name=None))
        again = engine.check(*named("network", name=None), olds=made | {"name": "network-0000000"})
        assert again["name"] == "network-0000000"


class TestSecrets:
    def test_secret_inputs_stay_secret(self, engine: Engine, recorder: Recorder) -> None:
        engine.secret_inputs = Secrets(frozenset({("metadata", "key"), ("description",)}))
        vm = engine.create(*named("vm", metadata={"key": "s3cret", "other": "x"}, description="d"))
        assert vm.secrets.paths == {("metadata", "key"), ("description",)}
        assert vm.state["metadata"] == {"key": "s3cret", "other": "x"}
        assert recorder.writes()[0].body["metadata"]["key"] == "s3cret"
        assert engine.refresh(vm)
        assert vm.secrets.paths == {("metadata", "key"), ("description",)}


class TestToken:
    def test_the_token_is_the_plugins_variable(self, engine: Engine, recorder: Recorder) -> None:
        engine.create(*named("network"))
        assert recorder.tokens == {"Bearer t0ken"}


class TestMembers:
    def test_another_writer_in_between(self, engine: Engine, recorder: Recorder) -> None:
        conflict = (409, error(409, "ABORTED", "concurrent policy changes"))
        recorder.failing["POST", "v1/projects/inner:setIamPolicy"] = [conflict, (412, conflict[1])]
        engine.create(*named("project-member"))
        assert recorder.policies[POLICY]["bindings"] == [{"role": "roles/logging.logWriter", "members": [VM]}]
        assert [call.path.rpartition(":")[2] for call in recorder.calls] == [
            *["getIamPolicy", "setIamPolicy"] * 3,
            "getIamPolicy",
        ]

    def test_many_at_once_lose_none(self, engine: Engine, recorder: Recorder) -> None:
        members = [f"user:u{number}@example.com" for number in range(12)]
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(lambda member: engine.create(*named("project-member", member=member)), members))
        assert recorder.policies[POLICY]["bindings"] == [
            {"role": "roles/logging.logWriter", "members": sorted(members)}
        ]

    def test_the_rest_of_the_policy_is_kept(self, engine: Engine, recorder: Recorder) -> None:
        others: Props = {
            "auditConfigs": [{"service": "allServices"}],
            "bindings": [
                {"role": "roles/logging.logWriter", "members": ["user:a@b.c"], "condition": {"title": "t"}},
                {"role": "roles/owner", "members": ["user:you@b.c"]},
            ],
        }
        recorder.policies[POLICY] = {**others, "etag": "BwF="}
        made = engine.create(*named("project-member"))
        assert len(recorder.policies[POLICY]["bindings"]) == 3
        engine.delete(made)
        assert recorder.policies[POLICY] == {**others, "etag": "BwF=", "version": 3}

    def test_a_condition_makes_another_binding(self, engine: Engine, recorder: Recorder) -> None:
        condition = {"title": "t", "expression": "e"}
        plain = engine.create(*named("bucket-member"))
        conditional = engine.create(*named("bucket-member", condition=condition))
        assert conditional.id == f"{plain.id}/t//e"
        engine.delete(plain)
        assert not engine.refresh(plain)
        assert engine.refresh(conditional)
        assert conditional.state["condition"] == condition


class TestRouterNat:
    @pytest.fixture(autouse=True)
    def router(self, recorder: Recorder) -> None:
        recorder.resources[ROUTER] = {"nats": [{"name": "other"}]}

    def test_siblings_are_left_alone(self, engine: Engine, recorder: Recorder) -> None:
        nat = engine.create(*named("router-nat"))
        engine.update(nat, named("router-nat", udpIdleTimeoutSec=40)[2])
        assert [item["name"] for item in recorder.resources[ROUTER]["nats"]] == ["other", "nat"]
        assert recorder.resources[ROUTER]["nats"][1]["udpIdleTimeoutSec"] == 40
        engine.delete(nat)
        assert recorder.resources[ROUTER]["nats"] == [{"name": "other"}]

    def test_a_name_that_is_taken(self, engine: Engine) -> None:
        with pytest.raises(grpc.RpcError, match="router has a NAT 'other' already"):
            engine.create(*named("router-nat", name="other"))

    def test_gone_with_its_router(self, engine: Engine, recorder: Recorder) -> None:
        nat = engine.create(*named("router-nat"))
        recorder.resources.clear()
        assert not engine.refresh(nat)
        engine.delete(nat)


class TestNetwork:
    def test_default_routes_are_deleted(self, engine: Engine, recorder: Recorder) -> None:
        routes = "compute/beta/projects/inner/global/routes"
        network = "compute/beta/projects/inner/global/networks/vpc-inner-loop"
        recorder.resources[f"{routes}/default-1"] = {"name": "default-1", "network": network}
        recorder.resources[f"{routes}/foreign"] = {"name": "foreign", "network": "networks/other"}
        engine.create(*named("network"))
        assert {path for path in recorder.resources if "/routes/" in path} == {f"{routes}/foreign"}

    def test_what_follows_a_creation_can_fail_without_losing_it(
        self, engine: Engine, recorder: Recorder
    ) -> None:
        path = "compute/beta/projects/inner/global/routes"
        recorder.failing["GET", path] = [(403, error(403, "PERMISSION_DENIED", "no"))]
        with pytest.raises(grpc.RpcError) as failed:
            engine.create(*named("network"))
        status = rpc_status.from_call(failed.value)
        detail = provider_pb2.ErrorResourceInitFailed()
        assert status.details[0].Unpack(detail)
        assert detail.id == "projects/inner/global/networks/vpc-inner-loop"
        assert decode(detail.properties)[0]["name"] == "vpc-inner-loop"


class TestBucket:
    def test_one_with_objects_is_kept(self, engine: Engine, recorder: Recorder) -> None:
        bucket = engine.create(*named("bucket"))
        recorder.resources["storage/v1/b/artifacts-inner/o/a%2Fb"] = {"name": "a/b", "generation": "1"}
        with pytest.raises(grpc.RpcError, match="is not empty: set forceDestroy"):
            engine.delete(bucket)
        assert engine.refresh(bucket)

    def test_forced_it_goes_with_its_objects(self, engine: Engine, recorder: Recorder) -> None:
        bucket = engine.create(*named("bucket", forceDestroy=True))
        recorder.resources["storage/v1/b/artifacts-inner/o/a%2Fb"] = {"name": "a/b", "generation": "1"}
        engine.delete(bucket)
        assert recorder.resources == {}
        deleted = [call for call in recorder.calls if call.http == "DELETE"]
        assert deleted[0].query == {"generation": "1"}

    def test_a_label_is_removed_by_null(self, engine: Engine, recorder: Recorder) -> None:
        bucket = engine.create(*named("bucket", labels={"a": "b", "c": "d"}))
        engine.update(bucket, named("bucket", labels={"c": "e"})[2])
        assert recorder.writes()[-1].body == {"labels": {"c": "e", "a": None}}
        assert bucket.state["labels"] == {"c": "e"}


class TestRecordSet:
    ZONE = "dns/v1beta2/projects/inner/managedZones/pkg-dev"

    def test_records_in_the_way_are_replaced(self, engine: Engine, recorder: Recorder) -> None:
        old = {"name": "*.pkg.dev.", "type": "CNAME", "ttl": 5, "rrdatas": ["x."]}
        kept = {"name": "pkg.dev.", "type": "NS", "ttl": 5, "rrdatas": ["ns."]}
        recorder.resources[f"{self.ZONE}/rrsets"] = {"rrsets": [old, kept]}
        engine.create(*named("record-set"))
        assert recorder.writes()[0].body["deletions"] == [old]
        assert kept in recorder.resources[f"{self.ZONE}/rrsets"]["rrsets"]

    def test_an_update_is_one_change(self, engine: Engine, recorder: Recorder) -> None:
        made = engine.create(*named("record-set"))
        engine.update(made, named("record-set", ttl=60)[2])
        change = recorder.writes()[-1].body
        assert [change["deletions"][0]["ttl"], change["additions"][0]["ttl"]] == [300, 60]

    def test_the_zones_own_records_stay(self, engine: Engine, recorder: Recorder) -> None:
        recorder.resources[self.ZONE] = {"dnsName": "pkg.dev."}
        made = engine.create(*named("record-set", name="pkg.dev.", type="NS", rrdatas=["ns."]))
        engine.delete(made)
        assert engine.refresh(made)


class TestService:
    NAME = "projects/inner/services/compute.googleapis.com"

    @pytest.fixture(autouse=True)
    def project(self, recorder: Recorder) -> None:
        recorder.resources["v1/projects/inner"] = {}

    def test_enabled_once(self, engine: Engine, recorder: Recorder) -> None:
        recorder.resources[self.NAME] = {}
        engine.create(*named("service"))
        assert recorder.writes() == []

    def test_disabled_when_asked_to(self, engine: Engine, recorder: Recorder) -> None:
        service = engine.create(*named("service", disableDependentServices=True))
        engine.delete(service)
        assert recorder.writes()[-1].body == {
            "checkIfServiceHasUsage": "SKIP",
            "disableDependentServices": True,
        }
        assert self.NAME not in recorder.resources

    def test_left_on_otherwise(self, engine: Engine, recorder: Recorder) -> None:
        service = engine.create(*named("service", disableOnDestroy=None))
        engine.delete(service)
        assert self.NAME in recorder.resources


class TestUpdates:
    def test_a_mask_names_what_changed(self, engine: Engine, recorder: Recorder) -> None:
        vm = engine.create(*named("vm"))
        engine.update(vm, named("vm", description="x", tags=None)[2])
        call = recorder.writes()[-1]
        assert (call.http, call.query) == ("PATCH", {"updateMask": "description,tags"})
        assert call.body["description"] == "x"
        assert "tags" not in vm.state

    def test_each_group_has_its_call(self, engine: Engine, recorder: Recorder) -> None:
        kind, given = inputs("subnetwork", recorder.address)
        subnetwork = engine.create(kind, "s", given)
        recorder.calls.clear()
        change = {"ipCidrRange": "10.0.0.0/23", "privateIpGoogleAccess": False, "logConfig": None}
        engine.update(subnetwork, {key: v for key, v in (given | change).items() if v is not None})
        path = "compute/beta/projects/inner/regions/us-central1/subnetworks/subnet-inner-loop"
        assert [(call.http, call.path, call.body) for call in recorder.writes()] == [
            ("POST", f"{path}/expandIpCidrRange", {"ipCidrRange": "10.0.0.0/23"}),
            ("POST", f"{path}/setPrivateIpGoogleAccess", {"privateIpGoogleAccess": False}),
            ("PATCH", path, {"logConfig": {"enable": False}, "fingerprint": "f"}),
        ]

    def test_what_the_service_does_not_know_needs_no_call(self, engine: Engine, recorder: Recorder) -> None:
        repository = engine.create(*named("repository-apt-inner-loop"))
        recorder.calls.clear()
        engine.update(repository, named("repository-apt-inner-loop", deletionPolicy="PREVENT")[2])
        assert recorder.writes() == []
        assert repository.state["deletionPolicy"] == "PREVENT"

    def test_an_account_is_disabled_by_its_own_method(self, engine: Engine, recorder: Recorder) -> None:
        account = engine.create(*named("account"))
        engine.update(account, named("account", disabled=True, displayName="N")[2])
        disable, patch = recorder.writes()[-2:]
        assert disable.path.endswith(":disable")
        assert patch.body == {
            "serviceAccount": {"displayName": "N", "etag": "e"},
            "updateMask": "display_name",
        }
        assert account.state["disabled"] is True

    def test_a_preview_of_an_update_calls_nothing(self, engine: Engine, recorder: Recorder) -> None:
        vm = engine.create(*named("vm"))
        recorder.calls.clear()
        planned = engine.update(vm, named("vm", description="x", tags=None)[2], preview=True)
        assert recorder.calls == []
        assert planned["description"] == "x"
        assert "tags" not in planned
        assert planned["networkEndpoints"] == vm.state["networkEndpoints"]


class TestDeletionPolicy:
    def test_prevented(self, engine: Engine) -> None:
        repository = engine.create(*named("repository-apt-inner-loop", deletionPolicy="PREVENT"))
        with pytest.raises(grpc.RpcError, match="has deletionPolicy PREVENT"):
            engine.delete(repository)
        assert engine.refresh(repository)

    def test_abandoned(self, engine: Engine) -> None:
        repository = engine.create(*named("repository-apt-inner-loop", deletionPolicy="ABANDON"))
        engine.delete(repository)
        assert engine.refresh(repository)


class TestDrift:
    def test_it_shows_after_a_refresh(self, engine: Engine, recorder: Recorder) -> None:
        vm = engine.create(*named("vm"))
        node = recorder.resources["v2/projects/inner/locations/us-central1-a/nodes/tpu-inner"]
        node |= {"tags": ["other"], "description": "by hand", "health": "HEALTHY"}
        assert engine.diff(vm, CASES["vm"][1]).changes == provider_pb2.DiffResponse.DIFF_NONE
        assert engine.refresh(vm)
        assert vm.state["health"] == "HEALTHY"
        assert sorted(engine.diff(vm, CASES["vm"][1]).diffs) == ["description", "tags"]

    def test_labels_of_others_are_no_drift(self, engine: Engine, recorder: Recorder) -> None:
        bucket = engine.create(*named("bucket", labels={"a": "b"}))
        recorder.resources["storage/v1/b/artifacts-inner"]["labels"]["theirs"] = "x"
        assert engine.refresh(bucket)
        assert bucket.state["effectiveLabels"] == {"a": "b", "theirs": "x"}
        answer = engine.diff(bucket, named("bucket", labels={"a": "b"})[2])
        assert answer.changes == answer.DIFF_NONE


class TestOperations:
    def test_a_failed_one_is_said(self, engine: Engine, recorder: Recorder) -> None:
        path = "v2/projects/inner/locations/us-central1-a/nodes"
        name = "projects/inner/locations/us-central1-a/operations/9"
        failed = {"name": name, "done": True, "error": {"code": 8, "message": "no capacity"}}
        recorder.failing["POST", path] = [(200, failed)]
        with pytest.raises(grpc.RpcError) as refused:
            engine.create(*named("vm"))
        assert refused.value.details() == (
            "gcp:tpu/v2Vm:V2Vm 'vm': POST tpu projects/inner/locations/us-central1-a/nodes: "
            "429 RESOURCE_EXHAUSTED: no capacity"
        )

    def test_a_busy_service_is_asked_again(self, engine: Engine, recorder: Recorder) -> None:
        path = "compute/beta/projects/inner/global/networks"
        recorder.failing["POST", path] = [(503, error(503, "UNAVAILABLE", "later"))]
        assert engine.create(*named("network")).id

    def test_cancelling_ends_the_waiting(self, engine: Engine, recorder: Recorder) -> None:
        engine.stub.Cancel(empty_pb2.Empty())
        with pytest.raises(grpc.RpcError, match="cancelled while the operation was still under way"):
            engine.create(*named("network"))
