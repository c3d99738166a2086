"""Who may do what on the data planes, with the clients that people and machines use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from sandbox.cloud import policies
from sandbox.cloud.artifact_registry import Options
from tests.sandbox.data.harness import LOCATION, AptClient, Running, as_, running, wheel
from tests.sandbox.data.uploads import form

MACHINE = "serviceAccount:dmz-machine@p.iam.gserviceaccount.com"
SYNC = "serviceAccount:dmz-sync@p.iam.gserviceaccount.com"
ARCHIVIST = "serviceAccount:dmz-archivist@p.iam.gserviceaccount.com"


@pytest.fixture
def here(sandbox: Running) -> Running:
    """A cloud with accounts that nothing was granted."""

    def declare() -> None:
        for account in (MACHINE, SYNC, ARCHIVIST):
            email = account.partition(":")[2]
            sandbox.cloud.store.put(f"iam/projects/p/serviceAccounts/{email}", {"email": email})

    sandbox.loop.call(declare)
    return sandbox


def upload(client: httpx.Client, path: Path) -> httpx.Response:
    return client.post("/p/python/", data=form(path), files={"content": (path.name, path.read_bytes())})


class TestPython:
    def test_a_reader_reads_and_does_not_write(self, here: Running, tmp_path: Path) -> None:
        name = f"artifactregistry/{here.repository('python', 'PYTHON')}"
        made = wheel(tmp_path, "tiny", "1.0")
        here.grant(name, "roles/artifactregistry.reader", MACHINE)
        with as_(here, MACHINE, here.python) as client:
            refused = upload(client, made)
            assert refused.status_code == 403
            assert refused.text == (
                "Permission 'artifactregistry.repositories.uploadArtifacts' denied on resource "
                f"'//artifactregistry.googleapis.com/{LOCATION}/repositories/python' (or it may not exist).\n"
            )
            assert here.files("python") == []
            assert client.get("/p/python/simple/").status_code == 200

    def test_a_writer_writes_and_does_not_withdraw(self, here: Running, tmp_path: Path) -> None:
        name = f"artifactregistry/{here.repository('python', 'PYTHON')}"
        here.grant(name, "roles/artifactregistry.writer", SYNC)
        with as_(here, SYNC, here.python) as client:
            assert upload(client, wheel(tmp_path, "tiny", "1.0")).status_code == 200
            assert client.get("/p/python/tiny/tiny-1.0-py3-none-any.whl").status_code == 200
        version = f"/v1/{LOCATION}/repositories/python/packages/tiny/versions/1.0"
        with as_(here, SYNC, here.api) as client:
            assert client.delete(version).status_code == 403
        here.grant(name, "roles/artifactregistry.repoAdmin", SYNC)
        with as_(here, SYNC, here.api) as client:
            assert client.delete(version).status_code == 200

    def test_without_a_role_nothing_is_read(self, here: Running, tmp_path: Path) -> None:
        name = f"artifactregistry/{here.repository('python', 'PYTHON')}"
        here.grant(name, "roles/artifactregistry.writer", SYNC)
        with as_(here, SYNC, here.python) as client:
            assert upload(client, wheel(tmp_path, "tiny", "1.0")).status_code == 200
        with as_(here, MACHINE, here.python) as client:
            for path in ("simple/", "simple/tiny/", "tiny/tiny-1.0-py3-none-any.whl"):
                answer = client.get(f"/p/python/{path}")
                assert answer.status_code == 403
                assert "artifactregistry.repositories.downloadArtifacts" in answer.text

    def test_pip_says_that_it_was_refused(self, here: Running, tmp_path: Path) -> None:
        here.repository("python", "PYTHON")
        here.token = here.cloud.tokens.issue(MACHINE)
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--dest",
            str(tmp_path),
            "-vv",
            "tiny",
        ]
        done = subprocess.run(
            [*command, "--isolated", "--index-url", here.python_url("python")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode != 0
        assert "403" in done.stdout + done.stderr


class TestApt:
    def test_only_a_reader_reads(self, here: Running, tmp_path: Path) -> None:
        name = f"artifactregistry/{here.repository('apt', 'APT')}"
        source = f"deb [trusted=yes] http://127.0.0.1:{here.apt}/projects/p apt main"
        client = AptClient(tmp_path / "one", source, here.apt, here.cloud.tokens.issue(MACHINE))
        refused = client("update")
        assert refused.returncode != 0
        assert "403" in refused.stdout + refused.stderr
        here.grant(name, "roles/artifactregistry.reader", MACHINE)
        assert client("update").returncode == 0


class TestStorage:
    def test_who_may_only_create_neither_reads_nor_replaces(self, here: Running) -> None:
        here.grant(f"storage/b/{here.bucket('reports')}", "roles/storage.objectCreator", MACHINE)
        with as_(here, MACHINE, here.storage) as client:
            path, query = "/upload/storage/v1/b/reports/o", {"uploadType": "media", "name": "a"}
            assert client.post(path, params=query, content=b"first").status_code == 200
            for answer in (
                client.post(path, params=query, content=b"second"),
                client.post(path, params={**query, "uploadType": "resumable"}, json={}),
                client.get("/storage/v1/b/reports/o"),
                client.get("/storage/v1/b/reports/o/a"),
                client.get("/reports/a"),
                client.patch("/storage/v1/b/reports/o/a", json={"metadata": {}}),
                client.delete("/storage/v1/b/reports/o/a"),
                client.post("/storage/v1/b/reports/o/a/copyTo/b/reports/o/b", json={}),
            ):
                assert answer.status_code == 403, answer.url
                assert "dmz-machine@p.iam.gserviceaccount.com does not have storage.objects." in answer.text

    def test_an_archive_only_grows_under_the_sync(self, here: Running) -> None:
        """Two roles to fill it, and neither replaces nor deletes; the archivist's does."""
        bucket = here.bucket("archive")
        policy = {
            "bindings": [
                {"role": "roles/storage.objectCreator", "members": [SYNC]},
                {"role": "roles/storage.objectViewer", "members": [SYNC]},
                {"role": "roles/storage.objectUser", "members": [ARCHIVIST]},
            ]
        }
        here.loop.call(lambda: policies.put(here.cloud.store, f"storage/b/{bucket}", policy))
        path, query = "/upload/storage/v1/b/archive/o", {"uploadType": "media", "name": "sha256/a"}
        once = {**query, "ifGenerationMatch": "0"}
        item = "/storage/v1/b/archive/o/sha256%2Fa"
        with as_(here, SYNC, here.storage) as client:
            made = client.post(path, params=once, content=b"first")
            assert made.status_code == 200
            assert client.get("/archive/sha256/a").content == b"first"
            generation = made.json()["generation"]
            again = client.post(path, params=once, content=b"second")
            assert again.status_code == 412
            assert again.json()["error"]["errors"] == [
                {
                    "message": "At least one of the pre-conditions you specified did not hold.",
                    "domain": "global",
                    "reason": "conditionNotMet",
                    "locationType": "header",
                    "location": "If-Match",
                }
            ]
            for answer in (
                client.post(path, params=query, content=b"second"),
                client.post(path, params={**query, "ifGenerationMatch": generation}, content=b"second"),
                client.post(f"{item}/rewriteTo/b/archive/o/sha256%2Fa", json={}),
                client.delete(item),
                client.delete(item, params={"ifGenerationMatch": "1"}),  # the role is asked for first
            ):
                assert answer.status_code == 403, answer.text
                assert answer.json()["error"]["message"] == (
                    "dmz-sync@p.iam.gserviceaccount.com does not have storage.objects.delete access to the "
                    "Google Cloud Storage object. Permission 'storage.objects.delete' denied on resource "
                    "(or it may not exist)."
                )
            (listed,) = client.get("/storage/v1/b/archive/o", params={"prefix": "sha256/"}).json()["items"]
            assert listed["generation"] == generation
            assert client.get(item).json()["md5Hash"] == made.json()["md5Hash"]
        with as_(here, ARCHIVIST, here.storage) as client:
            assert client.delete(item, params={"ifGenerationMatch": "1"}).status_code == 412
            gone = client.delete(item, params={"ifGenerationMatch": generation})
            assert gone.status_code == 204
            assert "Date" in gone.headers
            assert client.get(item, params={"generation": generation}).status_code == 404

    def test_a_resumable_upload_does_not_replace_what_came_meanwhile(self, here: Running) -> None:
        bucket = here.bucket("reports")
        here.grant(f"storage/b/{bucket}", "roles/storage.objectCreator", MACHINE)
        with as_(here, MACHINE, here.storage) as client:
            path = "/upload/storage/v1/b/reports/o"
            begun = client.post(path, params={"uploadType": "resumable", "name": "a"}, json={})
            assert client.post(path, params={"uploadType": "media", "name": "a"}, content=b"1").is_success
            done = client.put(begun.headers["Location"], content=b"2")
            assert done.status_code == 403
            assert "storage.objects.delete" in done.text

    def test_who_may_read_and_not_list_is_not_told_what_is_missing(self, here: Running) -> None:
        bucket = here.bucket("release")
        here.grant(f"storage/b/{bucket}", "roles/storage.legacyObjectReader", MACHINE)
        with as_(here, MACHINE, here.storage) as client:
            answer = client.get("/storage/v1/b/release/o/none")
            assert answer.status_code == 403
            assert "storage.objects.list" in answer.text
        here.grant(f"storage/b/{bucket}", "roles/storage.objectViewer", MACHINE)
        with as_(here, MACHINE, here.storage) as client:
            assert client.get("/storage/v1/b/release/o/none").status_code == 404

    def test_a_refused_xml_read_is_xml(self, here: Running) -> None:
        here.bucket("release")
        with as_(here, MACHINE, here.storage) as client:
            answer = client.get("/release/a")
            assert answer.status_code == 403
            assert "<Code>AccessDenied</Code>" in answer.text
            assert "storage.objects.get" in answer.text


class TestRetention:
    def test_what_is_retained_is_neither_replaced_nor_deleted(self, here: Running) -> None:
        here.bucket("attestations", retentionPolicy={"retentionPeriod": "3600"})
        with here.client(here.storage) as client:
            path, query = "/upload/storage/v1/b/attestations/o", {"uploadType": "media", "name": "a"}
            made = client.post(path, params=query, content=b"first").json()
            assert made["retentionExpirationTime"] > made["timeCreated"]
            for answer in (
                client.post(path, params=query, content=b"second"),
                client.delete("/storage/v1/b/attestations/o/a"),
                client.delete(f"/storage/v1/b/attestations/o/a?generation={made['generation']}"),
            ):
                assert answer.status_code == 403
                assert "retention policy" in answer.text
                assert made["retentionExpirationTime"] in answer.text
            assert client.get("/attestations/a").content == b"first"

    def test_once_the_period_is_over_it_is_an_object_like_others(self, here: Running) -> None:
        here.bucket("attestations", retentionPolicy={"retentionPeriod": "3600"})
        with here.client(here.storage) as client:
            path, query = "/upload/storage/v1/b/attestations/o", {"uploadType": "media", "name": "a"}
            assert client.post(path, params=query, content=b"first").is_success
            kept = here.cloud.store.get("storage/b/attestations")
            assert kept is not None
            del kept["retentionPolicy"]
            here.loop.call(lambda: here.cloud.store.put("storage/b/attestations", kept))
            assert client.delete("/storage/v1/b/attestations/o/a").status_code == 204


def test_options_do_not_matter(tmp_path: Path) -> None:
    """Access is the same whatever else is switched on."""
    with running(tmp_path / "root", Options(json_index=True)) as here:
        here.repository("python", "PYTHON")
        with as_(here, "user:somebody@example.com", here.python) as client:
            assert client.get("/p/python/simple/").status_code == 403
