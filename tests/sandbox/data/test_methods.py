"""Artifact Registry's REST methods."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.cloud.artifact_registry import Options
from tests.sandbox.data.harness import LOCATION, Running, running, sha256, wheel

REPOSITORY = f"{LOCATION}/repositories/python"


def put(sandbox: Running, path: Path) -> None:
    name, version = path.name.split("-")[:2]
    form = {":action": "file_upload", "name": name, "version": version, "sha256_digest": sha256(path)}
    with sandbox.client(sandbox.python) as client:
        answer = client.post("/p/python/", data=form, files={"content": (path.name, path.read_bytes())})
        assert answer.status_code == 200, answer.text


def get(sandbox: Running, path: str, **query: str) -> Any:
    with sandbox.client(sandbox.api) as client:
        answer = client.get(f"/v1/{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()


def held(sandbox: Running) -> set[str]:
    return {file["name"].rpartition("%2F")[2] for file in sandbox.files("python")}


@pytest.fixture
def filled(sandbox: Running, tmp_path: Path) -> Running:
    sandbox.repository("python", "PYTHON")
    for name, version in (("one", "1.0"), ("one", "2.0"), ("two-lib", "1.0+local")):
        put(sandbox, wheel(tmp_path, name, version))
    return sandbox


class TestFiles:
    def test_list_and_get(self, filled: Running, tmp_path: Path) -> None:
        files = filled.files("python")
        path = tmp_path / "one-1.0-py3-none-any.whl"
        file = files[0]
        assert file["name"] == f"{REPOSITORY}/files/one%2F{path.name}"
        assert file["owner"] == f"{REPOSITORY}/packages/one/versions/1.0"
        assert file["sizeBytes"] == str(path.stat().st_size)
        digests = {item["type"]: base64.b64decode(item["value"]).hex() for item in file["hashes"]}
        assert digests == {"SHA256": sha256(path), "MD5": hashlib.md5(path.read_bytes()).hexdigest()}
        assert "fetchTime" not in file
        assert get(filled, file["name"]) == file

    def test_pages(self, filled: Running) -> None:
        whole = [file["name"] for file in filled.files("python")]
        names, token = [], ""
        for _ in whole:
            page = get(filled, f"{REPOSITORY}/files", pageSize="1", pageToken=token)
            names += [file["name"] for file in page["files"]]
            token = page.get("nextPageToken", "")
        assert names == whole
        assert token == ""

    def test_filters(self, filled: Running) -> None:
        def names(expression: str) -> list[str]:
            found = get(filled, f"{REPOSITORY}/files", filter=expression)
            return [file["name"].rpartition("%2F")[2] for file in found.get("files", [])]

        assert names(f'owner="{REPOSITORY}/packages/one/versions/2.0"') == ["one-2.0-py3-none-any.whl"]
        assert names(f'owner="{REPOSITORY}/packages/two-lib/versions/1.0+local"') == [
            "two_lib-1.0+local-py3-none-any.whl"
        ]
        assert names(f'owner="{REPOSITORY}/packages/two-lib/versions/1.0%2Blocal"') == [
            "two_lib-1.0+local-py3-none-any.whl"
        ]
        assert len(names(f'name="{REPOSITORY}/files/ONE*"')) == 2
        assert names('owner="nobody"') == []
        with filled.client(filled.api) as client:
            for expression in ("sizeBytes=1", 'annotations.x="1"', "OR"):
                answer = client.get(f"/v1/{REPOSITORY}/files", params={"filter": expression})
                assert answer.status_code == 400, expression

    def test_download(self, filled: Running, tmp_path: Path) -> None:
        name = f"{REPOSITORY}/files/two-lib%2Ftwo_lib-1.0+local-py3-none-any.whl"
        with filled.client(filled.api) as client:
            answer = client.get(f"/download/v1/{name}:download", params={"alt": "media"})
            assert answer.content == (tmp_path / "two_lib-1.0+local-py3-none-any.whl").read_bytes()
            assert client.get(f"/download/v1/{name}x:download?alt=media").status_code == 404

    def test_delete_is_for_generic_repositories_only(self, filled: Running) -> None:
        with filled.client(filled.api) as client:
            answer = client.delete(f"/v1/{filled.files('python')[0]['name']}")
        assert answer.status_code == 400
        assert len(filled.files("python")) == 3


class TestPackagesAndVersions:
    def test_list_and_get(self, filled: Running) -> None:
        packages = get(filled, f"{REPOSITORY}/packages")["packages"]
        assert [package["name"] for package in packages] == [
            f"{REPOSITORY}/packages/one",
            f"{REPOSITORY}/packages/two-lib",
        ]
        assert get(filled, packages[0]["name"]) == packages[0]
        versions = get(filled, f"{REPOSITORY}/packages/one/versions")["versions"]
        assert [version["name"].rpartition("/")[2] for version in versions] == ["1.0", "2.0"]
        assert get(filled, versions[1]["name"]) == versions[1]

    def test_a_version_goes_with_all_its_files(self, filled: Running, tmp_path: Path) -> None:
        other = wheel(tmp_path, "one", "1.0").rename(tmp_path / "one-1.0-1-py3-none-any.whl")
        put(filled, other)
        with filled.client(filled.api) as client:
            answer = client.delete(f"/v1/{REPOSITORY}/packages/one/versions/1.0").json()
            assert answer["done"]
            assert client.get(f"/v1/{answer['name']}").json() == answer
        assert held(filled) == {"one-2.0-py3-none-any.whl", "two_lib-1.0+local-py3-none-any.whl"}
        with filled.client(filled.python) as client:
            assert client.get(f"/p/python/one/{other.name}").status_code == 404
        assert not list((filled.cloud.root / "artifacts").rglob(sha256(other)))

    def test_batch_delete(self, filled: Running) -> None:
        names = [
            f"{REPOSITORY}/packages/one/versions/2.0",
            f"{REPOSITORY}/packages/two-lib/versions/1.0+local",
        ]

        def batch(**body: Any) -> httpx.Response:
            with filled.client(filled.api) as client:
                return client.post(f"/v1/{REPOSITORY}/packages/-/versions:batchDelete", json=body)

        assert batch(names=names, validateOnly=True).status_code == 200
        assert len(held(filled)) == 3
        assert batch(names=[*names, f"{REPOSITORY}/packages/one/versions/9"]).status_code == 404
        assert len(held(filled)) == 3
        assert batch(names=[f"{LOCATION}/repositories/other/packages/one/versions/1.0"]).status_code in {
            400,
            404,
        }
        assert batch(names=names).status_code == 200
        assert held(filled) == {"one-1.0-py3-none-any.whl"}

    def test_a_package_goes_with_all_its_versions(self, filled: Running) -> None:
        with filled.client(filled.api) as client:
            assert client.delete(f"/v1/{REPOSITORY}/packages/one").json()["done"]
            assert client.delete(f"/v1/{REPOSITORY}/packages/one").status_code == 404
        assert held(filled) == {"two_lib-1.0+local-py3-none-any.whl"}


def test_a_repository_made_anew_is_empty(filled: Running) -> None:
    filled.repository("python", "PYTHON")
    assert filled.files("python") == []


def test_contents_outlive_a_restart(tmp_path: Path) -> None:
    with running(tmp_path / "root", Options()) as sandbox:
        sandbox.repository("python", "PYTHON")
        put(sandbox, wheel(tmp_path, "one", "1.0"))
    leftover = tmp_path / "root/artifacts/incoming/left-by-a-crash"
    leftover.write_bytes(os.urandom(10))
    with running(tmp_path / "root", Options()) as sandbox:
        assert held(sandbox) == {"one-1.0-py3-none-any.whl"}
        assert sandbox.leftovers() == []
