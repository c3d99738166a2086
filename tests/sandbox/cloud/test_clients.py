"""Google's own Python clients work on the sandbox as they are."""

from __future__ import annotations

from typing import Any

import pytest
from google.cloud import artifactregistry_v1, tpu_v2
from google.oauth2.credentials import Credentials
from google.protobuf.field_mask_pb2 import FieldMask
from googleapiclient.discovery import build

from tests.sandbox.cloud.conftest import Box

PLACE = "projects/inner/locations/us-central1"


@pytest.fixture
def credentials(box: Box) -> Credentials:
    return Credentials(box.token)  # type: ignore[no-untyped-call]


def test_artifact_registry(box: Box, credentials: Credentials) -> None:
    client = artifactregistry_v1.ArtifactRegistryClient(
        credentials=credentials,
        transport="rest",
        client_options={"api_endpoint": box.cloud.endpoints["artifactregistry"]},
    )
    box.call("POST", "artifactregistry", f"v1/{PLACE}/repositories", {"format": "APT"}, repositoryId="apt")
    [repository] = client.list_repositories(parent=PLACE)
    assert repository.format_ == artifactregistry_v1.Repository.Format.APT
    operation: Any = client.delete_repository(name=repository.name)
    operation.result(timeout=30)
    assert list(client.list_repositories(parent=PLACE)) == []


def test_tpu(box: Box, credentials: Credentials) -> None:
    client = tpu_v2.TpuClient(
        credentials=credentials,
        transport="rest",
        client_options={"api_endpoint": box.cloud.endpoints["tpu"]},
    )
    box.network()
    box.account("dmz-machine")
    path, body = box.node()
    box.operation("tpu", "v2", box.call("POST", "tpu", path, body))
    [node] = client.list_nodes(parent=f"{PLACE}-a")
    assert node.state == tpu_v2.Node.State.READY
    changed = tpu_v2.Node(name=node.name, metadata={"dmz-settings": "new"})
    operation: Any = client.update_node(node=changed, update_mask=FieldMask(paths=["metadata"]))
    assert dict(operation.result(timeout=30).metadata) == {"dmz-settings": "new"}


def test_a_client_made_from_the_discovery_document(box: Box, credentials: Credentials) -> None:
    dns = build(
        "dns", "v1beta2", credentials=credentials, client_options={"api_endpoint": box.cloud.endpoints["dns"]}
    )
    zone = {"name": "example", "dnsName": "example.com.", "description": "d"}
    assert dns.managedZones().create(project="inner", body=zone).execute()["visibility"] == "public"
    assert [
        found["name"] for found in dns.managedZones().list(project="inner").execute()["managedZones"]
    ] == ["example"]
    dns.managedZones().delete(project="inner", managedZone="example").execute()
