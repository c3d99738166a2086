"""What is off unless a test or a person says otherwise: answers that lag, and quotas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.cloud.artifact_registry import Options
from sandbox.cloud.context import Cloud
from sandbox.errors import SandboxError
from tests.sandbox.data.harness import LOCATION, AptClient, Running, deb, wheel
from tests.sandbox.data.uploads import upload_deb, upload_wheel

REPOSITORIES = f"/v1/{LOCATION}/repositories"


def names(here: Running, repository: str) -> list[str]:
    return [item["owner"].rpartition("/packages/")[2] for item in here.files(repository)]


class TestListingLag:
    @pytest.fixture
    def options(self) -> Options:
        return Options(listing_lag_requests=2)

    def test_shows_what_was_there_before(self, sandbox: Running, tmp_path: Path) -> None:
        sandbox.repository("python", "PYTHON")
        assert upload_wheel(sandbox, wheel(tmp_path, "one", "1.0")).status_code == 200
        assert [names(sandbox, "python") for _ in range(4)] == [
            [],
            [],
            ["one/versions/1.0"],
            ["one/versions/1.0"],
        ]

    def test_of_a_deletion_too(self, sandbox: Running, tmp_path: Path) -> None:
        sandbox.repository("python", "PYTHON")
        upload_wheel(sandbox, wheel(tmp_path, "one", "1.0"))
        while not names(sandbox, "python"):
            pass
        with sandbox.client(sandbox.api) as client:
            assert client.delete(f"{REPOSITORIES}/python/packages/one").status_code == 200
        assert [len(names(sandbox, "python")) for _ in range(3)] == [1, 1, 0]

    def test_what_comes_meanwhile_is_shown_with_it(self, sandbox: Running, tmp_path: Path) -> None:
        sandbox.repository("python", "PYTHON")
        upload_wheel(sandbox, wheel(tmp_path, "one", "1.0"))
        assert names(sandbox, "python") == []
        upload_wheel(sandbox, wheel(tmp_path, "two", "1.0"))
        assert [len(names(sandbox, "python")) for _ in range(2)] == [0, 2]

    def test_the_files_are_served_meanwhile(self, sandbox: Running, tmp_path: Path) -> None:
        sandbox.repository("python", "PYTHON")
        upload_wheel(sandbox, wheel(tmp_path, "one", "1.0"))
        with sandbox.client(sandbox.python) as client:
            assert client.get("/p/python/one/one-1.0-py3-none-any.whl").status_code == 200

    def test_pages_of_one_listing_are_of_one_state(self, sandbox: Running, tmp_path: Path) -> None:
        sandbox.repository("python", "PYTHON")
        for name in ("a", "b", "c"):
            upload_wheel(sandbox, wheel(tmp_path, name, "1.0"))
        while not names(sandbox, "python"):
            pass
        upload_wheel(sandbox, wheel(tmp_path, "bb", "1.0"))
        with sandbox.client(sandbox.api) as client:
            shown: list[str] = []
            query: dict[str, str] = {"pageSize": "1"}
            while True:
                answer = client.get(f"{REPOSITORIES}/python/files", params=query).json()
                shown += [item["name"].rpartition("%2F")[2][:2] for item in answer["files"]]
                if "nextPageToken" not in answer:
                    break
                query["pageToken"] = answer["nextPageToken"]
        assert shown == ["a-", "b-", "c-"]


class TestListingLagInSeconds:
    @pytest.fixture
    def options(self) -> Options:
        return Options(listing_lag_seconds=3600)

    def test_lasts(self, sandbox: Running, tmp_path: Path) -> None:
        sandbox.repository("python", "PYTHON")
        upload_wheel(sandbox, wheel(tmp_path, "one", "1.0"))
        assert [names(sandbox, "python") for _ in range(3)] == [[], [], []]

    def test_a_deleted_repository_shows_nothing_old(self, sandbox: Running, tmp_path: Path) -> None:
        sandbox.repository("python", "PYTHON")
        upload_wheel(sandbox, wheel(tmp_path, "one", "1.0"))
        with sandbox.client(sandbox.api) as client:
            assert client.delete(f"{REPOSITORIES}/python").status_code == 200
        sandbox.repository("python", "PYTHON")
        assert names(sandbox, "python") == []


class TestSuiteLag:
    @pytest.fixture
    def options(self) -> Options:
        return Options(suite_lag_requests=1)

    def test_apt_sees_a_whole_suite_of_one_state(self, sandbox: Running, tmp_path: Path) -> None:
        sandbox.repository("apt", "APT")
        assert upload_deb(sandbox, deb(tmp_path, "hello", "1.0")).status_code == 200
        assert len(sandbox.files("apt")) == 1
        source = f"deb [trusted=yes] http://127.0.0.1:{sandbox.apt}/projects/p apt main"
        client = AptClient(tmp_path / "apt", source, sandbox.apt, sandbox.token)
        assert client("update").returncode == 0
        assert client("--download-only", "install", "hello").returncode != 0
        assert client("update").returncode == 0
        assert client("--download-only", "install", "hello").returncode == 0


class TestQuotas:
    @pytest.fixture
    def options(self) -> Options:
        return Options(quota_writes=3, quota_deletes=1)

    @pytest.fixture
    def here(self, sandbox: Running) -> Running:
        sandbox.repository("python", "PYTHON")
        sandbox.repository("apt", "APT")
        return sandbox

    def test_over_the_limit_nothing_is_taken(self, here: Running, tmp_path: Path) -> None:
        wheels = [wheel(tmp_path, name, "1.0") for name in ("a", "b", "c", "d")]
        assert [upload_wheel(here, path).status_code for path in wheels] == [200, 200, 200, 429]
        assert len(here.files("python")) == 3  # reading has a limit of its own
        assert here.leftovers() == []

    def test_says_so_as_google_does(self, here: Running) -> None:
        with here.client(here.api) as client:
            path = f"{REPOSITORIES}/python/packages/none"
            assert client.delete(path).status_code == 404
            answer = client.delete(path)
        assert answer.status_code == 429
        assert "Retry-After" not in answer.headers
        error = answer.json()["error"]
        assert error["status"] == "RESOURCE_EXHAUSTED"
        assert error["message"].startswith("Quota exceeded for quota metric ")
        assert error["errors"][0]["reason"] == "rateLimitExceeded"
        assert error["details"][0]["reason"] == "RATE_LIMIT_EXCEEDED"

    def test_the_data_plane_says_it_in_a_line(self, here: Running, tmp_path: Path) -> None:
        for name in ("a", "b", "c"):
            upload_wheel(here, wheel(tmp_path, name, "1.0"))
        refused = upload_wheel(here, wheel(tmp_path, "d", "1.0"))
        assert refused.status_code == 429
        assert refused.text.startswith("Quota exceeded for quota metric ")

    def test_a_batch_is_charged_for_each_item(self, here: Running) -> None:
        uris = [f"gs://b/{number}" for number in range(4)]
        assert _import(here, uris).status_code == 429
        assert _import(here, uris[:3]).status_code == 200
        assert _import(here, uris[:1]).status_code == 429

    def test_regions_do_not_share(self, here: Running) -> None:
        assert _import(here, ["gs://b/1"] * 3).status_code == 200
        other = _import(here, ["gs://b/1"], location="projects/p/locations/europe-west1")
        assert other.status_code == 404  # there is no such repository; the quota would have come first


class TestQuotaOfRequests:
    @pytest.fixture
    def options(self) -> Options:
        return Options(quota_requests=2, quota_retry_after=7)

    def test_everything_counts(self, sandbox: Running) -> None:
        sandbox.repository("python", "PYTHON")
        with sandbox.client(sandbox.api) as api, sandbox.client(sandbox.python) as python:
            assert api.get(f"{REPOSITORIES}/python").status_code == 200
            assert python.get("/p/python/simple/").status_code == 200
            for client, path in ((api, f"{REPOSITORIES}/python"), (python, "/p/python/simple/")):
                answer = client.get(path)
                assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")


class TestWindow:
    @pytest.fixture
    def options(self) -> Options:
        return Options(quota_requests=1, quota_seconds=0.0)

    def test_a_window_that_is_over_counts_no_more(self, sandbox: Running) -> None:
        sandbox.repository("python", "PYTHON")
        assert [len(sandbox.files("python")) for _ in range(3)] == [0, 0, 0]


class TestFile:
    def test_is_read_when_the_sandbox_starts(self, tmp_path: Path) -> None:
        said = {
            "import_reads_as": "agent",
            "listing_lag_requests": 3,
            "quota_retry_after": 4,
            "yanked": False,
        }
        (tmp_path / "options.json").write_text(json.dumps(said))
        assert Cloud.open(tmp_path).options == Options(
            import_reads_as="agent", listing_lag_requests=3, quota_retry_after=4, yanked=False
        )

    def test_without_one_all_is_as_usual(self, tmp_path: Path) -> None:
        assert Cloud.open(tmp_path).options == Options()

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ('{"listing_lag": 1}', "there is no option 'listing_lag'"),
            ('{"quota_writes": -1}', "quota_writes can't be -1"),
            ('{"quota_writes": 1.5}', "quota_writes can't be 1.5"),
            ('{"quota_writes": true}', "quota_writes can't be True"),
            ('{"json_index": 1}', "json_index can't be 1"),
            ('{"import_reads_as": "nobody"}', "import_reads_as can't be 'nobody'"),
            ("[]", "write an object"),
            ("{", "is no JSON"),
        ],
    )
    def test_what_cannot_be_is_refused_by_name(self, tmp_path: Path, text: str, words: str) -> None:
        (tmp_path / "options.json").write_text(text)
        with pytest.raises(SandboxError) as refused:
            Options.read(tmp_path / "options.json")
        assert words in str(refused.value)
        assert "\n" not in str(refused.value)


def _import(here: Running, uris: list[str], location: str = LOCATION) -> httpx.Response:
    body: dict[str, Any] = {"gcsSource": {"uris": uris}}
    with here.client(here.api) as client:
        return client.post(f"/v1/{location}/repositories/apt/aptArtifacts:import", json=body)
