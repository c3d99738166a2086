"""The import of debs from a bucket: whose permission it needs there, and what it says of each source."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from sandbox.cloud.artifact_registry import Options
from sandbox.cloud.references import project_number
from tests.sandbox.data.harness import LOCATION, Running, as_, deb, sha256

SYNC = "serviceAccount:dmz-sync@p.iam.gserviceaccount.com"
MACHINE = "serviceAccount:dmz-machine@p.iam.gserviceaccount.com"
AGENT = f"serviceAccount:service-{project_number('p')}@gcp-sa-artifactregistry.iam.gserviceaccount.com"
STAGING = "staging"


@pytest.fixture
def here(sandbox: Running) -> Running:
    """An apt repository that the sync writes, and a staging bucket that is its alone."""

    def declare() -> None:
        for account in (MACHINE, SYNC):
            email = account.partition(":")[2]
            sandbox.cloud.store.put(f"iam/projects/p/serviceAccounts/{email}", {"email": email})

    sandbox.loop.call(declare)
    name = sandbox.repository("apt", "APT")
    sandbox.grant(f"artifactregistry/{name}", "roles/artifactregistry.repoAdmin", SYNC)
    sandbox.bucket(STAGING)
    sandbox.grant(f"storage/b/{STAGING}", "roles/storage.objectUser", SYNC)
    return sandbox


def stage(here: Running, path: Path) -> str:
    """Put a deb into the bucket under its hash, as the sync does; returns its URI."""
    name = f"sha256/{sha256(path)}"
    query = {"uploadType": "media", "name": name, "ifGenerationMatch": "0"}
    with as_(here, SYNC, here.storage) as client:
        answer = client.post(f"/upload/storage/v1/b/{STAGING}/o", params=query, content=path.read_bytes())
        assert answer.status_code == 200, answer.text
        assert answer.json()["md5Hash"]
        assert answer.json()["size"] == str(path.stat().st_size)
    return f"gs://{STAGING}/{name}"


def bring_in(here: Running, identity: str, *uris: str, wildcards: bool = False) -> dict[str, Any]:
    """The response of an import, once it is done."""
    body = {"gcsSource": {"uris": list(uris), **({"useWildcards": True} if wildcards else {})}}
    with as_(here, identity, here.api) as client:
        answer = client.post(f"/v1/{LOCATION}/repositories/apt/aptArtifacts:import", json=body)
        assert answer.status_code == 200, answer.text
        operation = answer.json()
        while not operation.get("done"):
            time.sleep(0.01)
            operation = client.get(f"/v1/{operation['name']}").json()
    assert "error" not in operation
    response: dict[str, Any] = operation["response"]
    return response


class TestWhoReads:
    def test_the_caller_does(self, here: Running, tmp_path: Path) -> None:
        uri = stage(here, deb(tmp_path, "hello", "1.0"))
        assert "errors" not in bring_in(here, SYNC, uri)
        assert len(here.files("apt")) == 1

    def test_a_caller_who_may_not_is_told_for_each_source(self, here: Running, tmp_path: Path) -> None:
        uris = [stage(here, deb(tmp_path, name, "1.0")) for name in ("hello", "other")]
        here.grant(f"storage/b/{STAGING}", "roles/storage.objectCreator", SYNC)
        response = bring_in(here, SYNC, *uris)
        assert [error["gcsSource"] for error in response["errors"]] == [{"uris": [uri]} for uri in uris]
        for error in response["errors"]:
            assert error["error"]["code"] == 7
            assert error["error"]["message"] == (
                f"{SYNC.partition(':')[2]} does not have storage.objects.get access to the Google Cloud "
                "Storage object. Permission 'storage.objects.get' denied on resource (or it may not exist)."
            )
        assert "aptArtifacts" not in response
        assert here.files("apt") == []

    def test_wildcards_need_more(self, here: Running, tmp_path: Path) -> None:
        stage(here, deb(tmp_path, "hello", "1.0"))
        assert "errors" not in bring_in(here, SYNC, f"gs://{STAGING}/**", wildcards=True)
        here.grant(f"storage/b/{STAGING}", "roles/storage.legacyObjectReader", SYNC)
        (error,) = bring_in(here, SYNC, f"gs://{STAGING}/**", wildcards=True)["errors"]
        assert error["error"]["code"] == 7
        assert "storage.objects.list" in error["error"]["message"]
        assert error["gcsSource"] == {"uris": [f"gs://{STAGING}/**"], "useWildcards": True}

    def test_a_missing_one_does_not_stop_the_rest(self, here: Running, tmp_path: Path) -> None:
        uri = stage(here, deb(tmp_path, "hello", "1.0"))
        (error,) = bring_in(here, SYNC, f"gs://{STAGING}/none", uri, "gs://no-such-bucket/x")["errors"][:1]
        assert (error["gcsSource"]["uris"], error["error"]["code"]) == ([f"gs://{STAGING}/none"], 5)
        assert len(here.files("apt")) == 1

    def test_only_who_may_add_packages_imports(self, here: Running, tmp_path: Path) -> None:
        uri = stage(here, deb(tmp_path, "hello", "1.0"))
        here.grant(f"storage/b/{STAGING}", "roles/storage.objectUser", SYNC, MACHINE)
        with as_(here, MACHINE, here.api) as client:
            answer = client.post(
                f"/v1/{LOCATION}/repositories/apt/aptArtifacts:import", json={"gcsSource": {"uris": [uri]}}
            )
        assert answer.status_code == 403
        assert "artifactregistry.aptartifacts.create" in answer.json()["error"]["message"]


class TestAgent:
    @pytest.fixture
    def options(self) -> Options:
        return Options(import_reads_as="agent")

    def test_then_the_service_agent_needs_it(self, here: Running, tmp_path: Path) -> None:
        uri = stage(here, deb(tmp_path, "hello", "1.0"))
        (error,) = bring_in(here, SYNC, uri)["errors"]
        assert error["error"]["message"].startswith(AGENT.partition(":")[2])
        here.grant(f"storage/b/{STAGING}", "roles/storage.objectViewer", AGENT)
        assert "errors" not in bring_in(here, SYNC, uri)


class TestConflicts:
    def test_what_is_there_already_is_passed_over_in_silence(self, here: Running, tmp_path: Path) -> None:
        first = deb(tmp_path / "a", "hello", "1.0", text="one\n")
        second = deb(tmp_path / "b", "hello", "1.0", text="two\n")
        assert sha256(first) != sha256(second)
        bring_in(here, SYNC, stage(here, first))
        before = here.files("apt")
        response = bring_in(here, SYNC, stage(here, second))
        assert set(response) == {"@type"}
        assert here.files("apt") == before


class TestStaging:
    def test_machines_neither_list_nor_read_it(self, here: Running, tmp_path: Path) -> None:
        name = stage(here, deb(tmp_path, "hello", "1.0")).removeprefix(f"gs://{STAGING}/")
        with as_(here, MACHINE, here.storage) as client:
            path = name.replace("/", "%2F")
            for url in (
                f"/storage/v1/b/{STAGING}/o",
                f"/storage/v1/b/{STAGING}/o/{path}",
                f"/storage/v1/b/{STAGING}/o/{path}?alt=media",
                f"/download/storage/v1/b/{STAGING}/o/{path}?alt=media",
                f"/{STAGING}/{name}",
            ):
                assert client.get(url).status_code == 403, url
