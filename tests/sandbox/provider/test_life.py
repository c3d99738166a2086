"""A resource's life, for every type: preview, creation, no change, refresh, import, deletion."""

from __future__ import annotations

import pytest

from sandbox.provider.table import TABLE
from sandbox.provider.values import UNKNOWN
from tests.sandbox.provider.cases import CASES, MORE, inputs
from tests.sandbox.provider.engine import Engine, Resource
from tests.sandbox.provider.recorder import Recorder

IDS = {
    "network": "projects/inner/global/networks/vpc-inner-loop",
    "subnetwork": "projects/inner/regions/us-central1/subnetworks/subnet-inner-loop",
    "router": "projects/inner/regions/us-central1/routers/router",
    "router-nat": "inner/us-central1/router/nat",
    "route": "projects/inner/global/routes/restricted-vip",
    "firewall-deny": "projects/inner/global/firewalls/deny-egress",
    "firewall-allow": "projects/inner/global/firewalls/allow-iap",
    "managed-zone": "projects/inner/managedZones/pkg-dev",
    "response-policy": "projects/inner/responsePolicies/sealed",
    "policy": "projects/inner/policies/logging",
    "vpcsc-config": "projects/inner/locations/us-central1/vpcscConfig",
    "repository-member": "projects/inner/locations/us-central1/repositories/pip-inner-loop"
    "/roles/artifactregistry.reader/serviceAccount:vm@inner.iam.gserviceaccount.com",
    "bucket-member": "b/artifacts-inner/roles/storage.objectViewer"
    "/serviceAccount:vm@inner.iam.gserviceaccount.com",
    "bucket": "artifacts-inner",
    "account": "projects/inner/serviceAccounts/33",
    "project-member": "inner/roles/logging.logWriter/serviceAccount:vm@inner.iam.gserviceaccount.com",
    "vm": "projects/inner/locations/us-central1-a/nodes/tpu-inner",
    "repository-apt-inner-loop": "projects/inner/locations/us-central1/repositories/apt-inner-loop",
    "record-set": "projects/inner/managedZones/pkg-dev/rrsets/*.pkg.dev./CNAME",
    "response-policy-rule": "projects/inner/responsePolicies/sealed/rules/everything",
    "account-member": "projects/inner/serviceAccounts/sync@inner.iam.gserviceaccount.com"
    "/roles/iam.serviceAccountTokenCreator/user:operator@example.com",
    "key-ring": "projects/inner/locations/us-central1/keyRings/dmz",
    "signing-key": "projects/inner/locations/us-central1/keyRings/dmz/cryptoKeys/sign",
    "key-member": "projects/inner/locations/us-central1/keyRings/dmz/cryptoKeys/sign"
    "/roles/cloudkms.signer/serviceAccount:vm@inner.iam.gserviceaccount.com",
    "service": "inner/compute.googleapis.com",
}
ALL = [*CASES, *MORE]
UNDELETED = {"vpcsc-config", "key-ring", "signing-key"}


@pytest.fixture
def around(recorder: Recorder) -> None:
    """What the cases stand on."""
    recorder.resources["compute/beta/projects/inner/regions/us-central1/routers/router"] = {}
    recorder.resources["v1/projects/inner"] = {"lifecycleState": "ACTIVE"}


def created(case: str, engine: Engine, recorder: Recorder) -> Resource:
    kind, given = inputs(case, recorder.address)
    if kind.startswith("gcp:compute/network"):
        del recorder.resources["compute/beta/projects/inner/regions/us-central1/routers/router"]
    if case == "router":
        recorder.resources.clear()
    return engine.create(kind, case, given)


def assert_unchanged(resource: Resource, engine: Engine, recorder: Recorder, case: str) -> None:
    answer = engine.diff(resource, inputs(case, recorder.address)[1])
    assert answer.changes == answer.DIFF_NONE, dict(answer.detailedDiff)


@pytest.mark.usefixtures("around")
@pytest.mark.parametrize("case", ALL)
def test_a_preview_knows_the_inputs_and_not_what_the_service_chooses(
    case: str, engine: Engine, recorder: Recorder
) -> None:
    kind, given = inputs(case, recorder.address)
    planned = engine.preview(kind, case, given)
    assert recorder.calls == []
    assert engine.check(kind, case, given).items() <= planned.items()
    chosen = [field.name for field in TABLE[kind].fields if field.output and "abels" not in field.name]
    assert {name: planned[name] for name in chosen} == dict.fromkeys(chosen, UNKNOWN)


@pytest.mark.usefixtures("around")
@pytest.mark.parametrize("case", ALL)
def test_what_was_created_is_unchanged_also_after_a_refresh(
    case: str, engine: Engine, recorder: Recorder
) -> None:
    resource = created(case, engine, recorder)
    assert resource.id == IDS.get(case, resource.id)
    assert_unchanged(resource, engine, recorder, case)
    before = dict(resource.inputs)
    assert engine.refresh(resource)
    assert resource.inputs == before
    assert_unchanged(resource, engine, recorder, case)


@pytest.mark.usefixtures("around")
@pytest.mark.parametrize("case", ALL)
def test_a_deleted_resource_is_gone_and_can_be_deleted_again(
    case: str, engine: Engine, recorder: Recorder
) -> None:
    resource = created(case, engine, recorder)
    engine.delete(resource)
    assert engine.refresh(resource) is (case in UNDELETED)
    engine.delete(resource)


@pytest.mark.usefixtures("around")
@pytest.mark.parametrize("case", [case for case in ALL if "member" not in case])
def test_an_import_gives_inputs_that_need_no_change(case: str, engine: Engine, recorder: Recorder) -> None:
    made = created(case, engine, recorder)
    imported = engine.import_(made.type, case, made.id)
    given = inputs(case, recorder.address)[1]
    answer = engine.diff(imported, given)
    untold = {"deleteDefaultRoutesOnCreate", "disableOnDestroy"}  # the service does not know these
    assert set(answer.diffs) <= untold, dict(answer.detailedDiff)


def test_members_cannot_be_imported(engine: Engine, recorder: Recorder) -> None:
    kind = "gcp:storage/bucketIAMMember:BucketIAMMember"
    with pytest.raises(Exception, match="import is not supported"):
        engine.import_(kind, "m", "b/artifacts-inner/roles/storage.objectViewer/user:a@b.c")


def test_outputs_have_the_real_formats(engine: Engine, recorder: Recorder) -> None:
    network = engine.create(*_named("network", recorder)).state
    assert network["selfLink"].endswith("/compute/v1/projects/inner/global/networks/vpc-inner-loop")
    account = engine.create(*_named("account", recorder)).state
    assert account["email"] == "tpu-inner@inner.iam.gserviceaccount.com"
    assert account["member"] == "serviceAccount:tpu-inner@inner.iam.gserviceaccount.com"
    assert account["accountId"] == "tpu-inner"
    bucket = engine.create(*_named("bucket", recorder)).state
    assert bucket["url"] == "gs://artifacts-inner"
    repository = engine.create(*_named("repository-pip-inner-loop", recorder)).state
    assert repository["name"] == "pip-inner-loop"
    assert repository["cleanupPolicies"] == [
        {"id": "keep", "action": "KEEP", "mostRecentVersions": {"keepCount": 5}}
    ]
    vm = engine.create(*_named("vm", recorder)).state
    assert vm["networkEndpoints"] == [{"ipAddress": "10.0.1.2", "port": 8470, "accessConfigs": [{}]}]
    assert vm["name"] == "tpu-inner"
    assert vm["effectiveLabels"] == vm["pulumiLabels"] == vm["labels"] == {"a": "b"}


def _named(case: str, recorder: Recorder) -> tuple[str, str, dict[str, object]]:
    kind, given = inputs(case, recorder.address)
    return kind, case, given
