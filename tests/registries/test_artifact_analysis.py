"""Against a server that answers as the Container Analysis API's reference describes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from dmz.errors import TransferError
from dmz.registries.artifact_analysis import occurrences
from tests.registries.conftest import as_sync
from tests.registries.counterpart import Counterpart, serving

PYTHON = "https://us-central1-python.pkg.dev/outer"


@dataclass
class Analysis:
    """What the service knows, and how it answers."""

    occurrences: list[dict[str, str]] = field(default_factory=list)
    page: int = 2
    status: int = 200
    message: str = ""
    times: int = 1
    unreachable: list[str] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)

    async def list(self, request: web.Request) -> web.Response:
        assert request.match_info["project"] == "outer"
        self.asked.append(dict(request.query))
        if self.status != 200 and self.times:
            self.times -= 1
            error = {"error": {"code": self.status, "message": self.message}}
            return web.json_response(error, status=self.status)
        kind = request.query["filter"].removeprefix('kind="').removesuffix('"')
        of_kind = [each for each in self.occurrences if each["kind"] == kind]
        start = int(request.query.get("pageToken", "0"))
        body: dict[str, Any] = {"occurrences": of_kind[start : start + self.page]} if of_kind else {}
        if start + self.page < len(of_kind):
            body["nextPageToken"] = str(start + self.page)
        if self.unreachable:
            body["unreachable"] = self.unreachable
        return web.json_response(body)


@pytest.fixture
def analysis(cloud: Counterpart, monkeypatch: pytest.MonkeyPatch) -> Iterator[Analysis]:
    service = Analysis()
    with serving([web.get("/v1/projects/{project}/occurrences", service.list)]) as url:
        monkeypatch.setenv("GOOGLE_CONTAINER_ANALYSIS_CUSTOM_ENDPOINT", f"{url}/v1/")
        yield service


def ask(*repositories: str) -> list[str]:
    found = as_sync(lambda google: occurrences(google, "outer", "us-central1", repositories))
    return [f"{each['kind']} {each['resourceUri']}" for each in found]


def occurrence(resource: str, kind: str = "VULNERABILITY") -> dict[str, str]:
    return {"kind": kind, "resourceUri": resource}


def test_all_pages_of_both_kinds(analysis: Analysis) -> None:
    analysis.occurrences = [occurrence(f"{PYTHON}/built/thing/{number}") for number in range(5)]
    analysis.occurrences += [occurrence(f"{PYTHON}/built/thing/1", "DISCOVERY")]
    assert ask("built") == [
        *(f"VULNERABILITY {PYTHON}/built/thing/{number}" for number in range(5)),
        f"DISCOVERY {PYTHON}/built/thing/1",
    ]
    assert [query.get("pageToken") for query in analysis.asked] == [None, "2", "4", None]
    assert {query["pageSize"] for query in analysis.asked} == {"1000"}


def test_other_repositories_are_left_out(analysis: Analysis) -> None:
    named = "//artifactregistry.googleapis.com/projects/outer/locations/us-central1/repositories"
    analysis.page = 100
    analysis.occurrences = [
        occurrence(resource)
        for resource in (
            f"{PYTHON}/built/thing/1",
            f"{named}/built/packages/thing/versions/1",
            f"{PYTHON}/built-not/thing/1",
            f"{named}/other/packages/thing/versions/1",
            "https://us-central1-docker.pkg.dev/outer/built/image@sha256:1",
            "https://us-central1-python.pkg.dev/elsewhere/built/thing/1",
            "https://europe-west4-python.pkg.dev/outer/built/thing/1",
        )
    ]
    assert ask("built") == [
        f"VULNERABILITY {PYTHON}/built/thing/1",
        f"VULNERABILITY {named}/built/packages/thing/versions/1",
    ]
    assert ask() == []


def test_nothing_found_is_nothing(analysis: Analysis) -> None:
    assert ask("built") == []


def test_without_the_role_one_line_says_what_to_do(analysis: Analysis) -> None:
    analysis.status, analysis.message = 403, "Permission 'containeranalysis.occurrences.list' denied"
    with pytest.raises(TransferError) as refusal:
        ask("built")
    assert str(refusal.value) == (
        "Artifact Analysis: 403 Permission 'containeranalysis.occurrences.list' denied; enable "
        "containeranalysis.googleapis.com in outer and grant roles/containeranalysis.occurrences.viewer "
        "there, or take artifact-analysis out of the policy's sources"
    )


def test_a_passing_failure_is_tried_again(analysis: Analysis) -> None:
    analysis.status, analysis.occurrences = 503, [occurrence(f"{PYTHON}/built/thing/1")]
    assert len(ask("built")) == 1


def test_another_refusal_is_told(analysis: Analysis) -> None:
    analysis.status, analysis.message = 400, "Invalid filter"
    with pytest.raises(TransferError, match="Artifact Analysis: 400 Invalid filter"):
        ask("built")


def test_an_answer_that_is_not_whole_is_refused(analysis: Analysis) -> None:
    analysis.unreachable = ["projects/outer/locations/us-west1"]
    with pytest.raises(TransferError, match="could not ask projects/outer/locations/us-west1"):
        ask("built")
