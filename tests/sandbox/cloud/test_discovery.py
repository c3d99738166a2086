"""What Google's documents do not allow is refused, and nothing is changed by it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.cloud.conftest import Box, Json

NETWORKS = "compute/beta/projects/inner/global/networks"
REPOSITORIES = "v1/projects/inner/locations/us-central1/repositories"


def network(**fields: Any) -> Json:
    return {"name": "vpc", "autoCreateSubnetworks": False, **fields}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (network(flavour="x"), 'Unknown name "flavour": Cannot find field.'),
        (network(routingConfig={"mode": "x"}), "Unknown name \"mode\" at 'routingConfig'"),
        (network(mtu="large"), "Invalid value at 'mtu' (TYPE_INT32)"),
        (network(mtu=2**31), "Invalid value at 'mtu' (TYPE_INT32)"),
        (network(autoCreateSubnetworks="no"), "Invalid value at 'autoCreateSubnetworks' (TYPE_BOOL)"),
        (network(routingConfig=[]), "Invalid value at 'routingConfig'"),
        (network(routingConfig={"routingMode": "SIDEWAYS"}), "Acceptable values are: GLOBAL, REGIONAL"),
        (network(name="Not-A-Name"), "Must be a match of regex"),
        ({"autoCreateSubnetworks": False}, "Required field not specified"),
        (["vpc"], "must be an object"),
    ],
)
def test_wrong_bodies(box: Box, body: Any, said: str) -> None:
    status, message = box.refused("POST", "compute", NETWORKS, body)
    assert status == 400
    assert said in message
    assert box.cloud.store.list("compute/") == {}


def test_a_body_that_is_no_json(box: Box) -> None:
    answer = box.client.post(
        f"{box.cloud.endpoints['compute']}/{NETWORKS}",
        content="{",
        headers={"Authorization": f"Bearer {box.token}", "Content-Type": "application/json"},
    )
    assert answer.status_code == 400
    assert "Invalid JSON payload" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "service", "path"),
    [
        ("GET", "compute", "compute/v7/projects/inner/global/networks"),
        ("GET", "compute", "compute/beta/projects/inner/global/netwroks"),
        ("PUT", "compute", NETWORKS),
        ("GET", "compute", ""),
        ("GET", "storage", "storage/v1/b/bucket/anywhereCaches/"),
    ],
)
def test_wrong_paths_and_methods(box: Box, method: str, service: str, path: str) -> None:
    status, message = box.refused(method, service, path)
    assert status == 404
    assert "was not found" in message


def test_unknown_and_wrong_query_parameters(box: Box) -> None:
    status, message = box.refused("GET", "compute", NETWORKS, flavour="x")
    assert (status, 'Unknown name "flavour"' in message) == (400, True)
    status, message = box.refused("GET", "compute", NETWORKS, maxResults="many")
    assert (status, "maxResults" in message) == (400, True)
    status, message = box.refused("POST", "storage", "storage/v1/b", {"name": "bucket"})
    assert (status, message) == (400, "Required parameter: project")


def test_a_project_that_cannot_be_one(box: Box) -> None:
    status, message = box.refused("GET", "compute", "compute/beta/projects/No_Project/global/networks")
    assert status == 400
    assert "'No_Project'" in message


def test_field_names_of_the_protocol_buffers_are_taken_too(box: Box) -> None:
    """The provider's plugin writes `repository_id`, Google's clients `repositoryId`."""
    for spelling, name in (("repository_id", "one"), ("repositoryId", "two")):
        box.call("POST", "artifactregistry", REPOSITORIES, {"format": "APT"}, **{spelling: name})
        assert box.call("GET", "artifactregistry", f"{REPOSITORIES}/{name}")["format"] == "APT"


def test_what_google_has_and_the_sandbox_has_not_is_refused_by_name(box: Box) -> None:
    status, message = box.refused(
        "GET", "compute", "compute/beta/projects/inner/zones/us-central1-a/instances"
    )
    assert (status, message) == (501, "The sandbox does not have compute.instances.list.")


def test_output_only_fields_are_ignored_as_google_ignores_them(box: Box) -> None:
    box.call("POST", "compute", NETWORKS, network(selfLink="https://example.com/mine", subnetworks=["x"]))
    made = box.call("GET", "compute", f"{NETWORKS}/vpc")
    assert made["selfLink"].endswith("/global/networks/vpc")
    assert "subnetworks" not in made
