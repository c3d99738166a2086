"""What the request log has of the data that each request moved."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.sandbox.cloud.conftest import Box
from tests.sandbox.data.harness import deb, related, run, wheel

REPOSITORIES = "v1/projects/inner/locations/us-central1/repositories"
DATA = bytes(range(251)) * 12000
ARCHITECTURE = run("dpkg", "--print-architecture").strip()


def ask(box: Box, method: str, service: str, path: str, **options: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {box.token}", **options.pop("headers", {})}
    return box.client.request(method, f"{box.cloud.endpoints[service]}/{path}", headers=headers, **options)


def logged(box: Box, method: str, service: str, path: str, **options: Any) -> Any:
    """What the log has of the data of this request, and the answer's content."""
    before = len(box.requests())
    answer = ask(box, method, service, path, **options)
    assert answer.status_code in {200, 204, 206, 308, 400}, answer.text
    while len(box.requests()) == before:  # what is streamed is logged once it was sent
        time.sleep(0.01)
    entry = box.requests()[-1]
    assert entry["path"] == f"/{path.partition('?')[0]}"
    assert entry["status"] == answer.status_code
    return entry["data"], answer.content


def of(data: bytes) -> dict[str, Any]:
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


@pytest.fixture
def bucket(box: Box) -> str:
    box.call("POST", "storage", "storage/v1/b", {"name": "bucket"}, project="inner")
    return "bucket"


def repository(box: Box, name: str, package_format: str) -> None:
    body = {"format": package_format, "mode": "STANDARD_REPOSITORY"}
    box.operation(
        "artifactregistry", "v1", box.call("POST", "artifactregistry", REPOSITORIES, body, repositoryId=name)
    )


class TestStorage:
    @pytest.mark.parametrize("path", ["storage/v1/b/bucket/o/file?alt=media", "bucket/file"])
    @pytest.mark.parametrize(
        ("wanted", "sent"),
        [
            (None, DATA),
            ("bytes=5-", DATA[5:]),
            ("bytes=100-2200000", DATA[100:2200001]),
            ("bytes=-7", DATA[-7:]),
        ],
        ids=["whole", "from", "between", "last"],
    )
    def test_downloads(self, box: Box, bucket: str, path: str, wanted: str | None, sent: bytes) -> None:
        ask(
            box, "POST", "storage", f"upload/storage/v1/b/{bucket}/o?uploadType=media&name=file", content=DATA
        )
        headers = {} if wanted is None else {"Range": wanted}
        assert logged(box, "GET", "storage", path, headers=headers) == (of(sent), sent)

    @pytest.mark.parametrize("data", [DATA, b""], ids=["some", "none"])
    def test_uploads(self, box: Box, bucket: str, data: bytes) -> None:
        path = f"upload/storage/v1/b/{bucket}/o?name=file&uploadType="
        assert logged(box, "POST", "storage", f"{path}media", content=data)[0] == of(data)
        content_type, body = related({}, data)
        headers = {"Content-Type": content_type}
        assert logged(box, "POST", "storage", f"{path}multipart", headers=headers, content=body)[0] == of(
            data
        )
        assert logged(box, "GET", "storage", f"{bucket}/file") == (of(data), data)

    def test_an_upload_that_is_refused(self, box: Box, bucket: str) -> None:
        content_type, body = related({"name": "x", "md5Hash": "AAAAAAAAAAAAAAAAAAAAAA=="}, DATA)
        path, headers = f"upload/storage/v1/b/{bucket}/o?uploadType=multipart", {"Content-Type": content_type}
        assert logged(box, "POST", "storage", path, headers=headers, content=body)[0] == of(DATA)
        assert box.requests()[-1]["status"] == 400

    def test_each_part_of_a_resumable_upload(self, box: Box, bucket: str) -> None:
        path = f"upload/storage/v1/b/{bucket}/o"
        begun = ask(box, "POST", "storage", f"{path}?uploadType=resumable&name=file")
        session = f"{path}?{begun.headers['Location'].partition('?')[2]}"
        cut = 1 << 20
        for first, part, status in ((0, DATA[:cut], 308), (cut, DATA[cut:], 200)):
            span = f"bytes {first}-{first + len(part) - 1}/{len(DATA)}"
            found = logged(box, "PUT", "storage", session, headers={"Content-Range": span}, content=part)
            assert found[0] == of(part)
            assert box.requests()[-1]["status"] == status

    def test_without_data(self, box: Box, bucket: str) -> None:
        ask(
            box, "POST", "storage", f"upload/storage/v1/b/{bucket}/o?uploadType=media&name=file", content=b"x"
        )
        assert logged(box, "HEAD", "storage", f"{bucket}/file") == (None, b"")
        assert logged(box, "GET", "storage", f"storage/v1/b/{bucket}/o/file")[0] is None
        assert logged(box, "DELETE", "storage", f"storage/v1/b/{bucket}/o/file")[0] is None


class TestPython:
    def test_upload_pages_and_files(self, box: Box, tmp_path: Path) -> None:
        repository(box, "python", "PYTHON")
        path = wheel(tmp_path, "tiny", "1.0", size=3 << 20)
        data = path.read_bytes()
        form = {
            ":action": "file_upload",
            "name": "tiny",
            "version": "1.0",
            "sha256_digest": of(data)["sha256"],
        }
        upload = {"data": form, "files": {"content": (path.name, data)}}
        assert logged(box, "POST", "python", "inner/python/", **upload)[0] == of(data)
        assert logged(box, "POST", "python", "inner/python/", **upload)[0] == of(data)
        assert box.requests()[-1]["status"] == 400
        for page in ("inner/python/simple/", "inner/python/simple/tiny/"):
            found, content = logged(box, "GET", "python", page)
            assert found == of(content)
        file = f"inner/python/tiny/{path.name}"
        assert logged(box, "GET", "python", file) == (of(data), data)
        part = data[-1000:]
        assert logged(box, "GET", "python", file, headers={"Range": "bytes=-1000"}) == (of(part), part)


class TestApt:
    def test_upload_indexes_and_packages(self, box: Box, tmp_path: Path) -> None:
        repository(box, "apt", "APT")
        index = f"projects/inner/dists/apt/main/binary-{ARCHITECTURE}/Packages"
        assert logged(box, "GET", "apt", index) == (of(b""), b"")
        data = deb(tmp_path, "tiny", "1.0").read_bytes()
        content_type, body = related({}, data)
        found = logged(
            box, "POST", "artifactregistry",
            f"upload/{REPOSITORIES}/apt/aptArtifacts:create?uploadType=multipart",
            headers={"Content-Type": content_type}, content=body,
        )  # fmt: skip
        assert found[0] == of(data)
        for name in ("projects/inner/dists/apt/InRelease", index, f"{index}.gz", "doc/repo-signing-key.gpg"):
            found, content = logged(box, "GET", "apt", name)
            assert content
            assert found == of(content)
        packages = ask(box, "GET", "apt", index).text
        place = next(line for line in packages.splitlines() if line.startswith("Filename: pool/"))
        pool = f"projects/inner/{place.removeprefix('Filename: ')}"
        assert logged(box, "GET", "apt", pool) == (of(data), data)
        file = box.call("GET", "artifactregistry", f"{REPOSITORIES}/apt/files")["files"][0]["name"]
        download = f"v1/{file}:download?alt=media"
        assert logged(box, "GET", "artifactregistry", download) == (of(data), data)
