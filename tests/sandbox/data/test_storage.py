"""Cloud Storage's objects under Google's own client and plain HTTP."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
from typing import Any

import google_crc32c
import pytest
from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud import storage  # type: ignore[attr-defined,unused-ignore]
from google.oauth2.credentials import Credentials

from tests.sandbox.data.harness import Running, cut_off, related

DATA = os.urandom(600_000)


@pytest.fixture
def bucket(sandbox: Running, monkeypatch: pytest.MonkeyPatch) -> storage.Bucket:
    sandbox.bucket("files")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{sandbox.storage}")
    credentials = Credentials(sandbox.token)  # type: ignore[no-untyped-call]
    client = storage.Client(project="p", credentials=credentials)
    return client.bucket("files")


class TestGooglesClient:
    def test_writes_and_reads(self, bucket: storage.Bucket) -> None:
        blob = bucket.blob("folder/a b+ü.bin")
        blob.metadata = {"k": "v"}
        blob.upload_from_string(DATA, content_type="text/x")
        blob = bucket.get_blob("folder/a b+ü.bin")
        assert (blob.size, blob.content_type, blob.metadata) == (len(DATA), "text/x", {"k": "v"})
        assert blob.md5_hash == base64.b64encode(hashlib.md5(DATA).digest()).decode()
        crc = google_crc32c.value(DATA).to_bytes(4, "big")
        assert blob.crc32c == base64.b64encode(crc).decode()
        assert blob.download_as_bytes() == DATA
        assert blob.download_as_bytes(start=10, end=19) == DATA[10:20]
        assert bucket.blob("folder/a b+ü.bin").download_as_bytes() == DATA

    def test_resumable(self, bucket: storage.Bucket) -> None:
        blob = bucket.blob("big", chunk_size=256 * 1024)
        blob.upload_from_file(io.BytesIO(DATA), size=len(DATA))
        assert blob.download_as_bytes() == DATA
        unknown = bucket.blob("unknown-size", chunk_size=256 * 1024)
        unknown.upload_from_file(io.BytesIO(DATA))
        assert unknown.download_as_bytes() == DATA

    def test_preconditions(self, bucket: storage.Bucket) -> None:
        blob = bucket.blob("once")
        blob.upload_from_string(b"1", if_generation_match=0)
        first = blob.generation
        with pytest.raises(PreconditionFailed):
            bucket.blob("once").upload_from_string(b"2", if_generation_match=0)
        blob.upload_from_string(b"2", if_generation_match=first)
        assert blob.generation > first
        with pytest.raises(PreconditionFailed):
            blob.delete(if_generation_match=first)
        with pytest.raises(NotFound):
            bucket.blob("once", generation=first).download_as_bytes()
        blob.delete(if_generation_match=blob.generation)
        assert bucket.get_blob("once") is None

    def test_lists(self, bucket: storage.Bucket) -> None:
        for name in ("a/1", "a/2", "a/b/3", "c", "ä"):
            bucket.blob(name).upload_from_string(name)
        assert [blob.name for blob in bucket.list_blobs()] == ["a/1", "a/2", "a/b/3", "c", "ä"]
        assert [blob.name for blob in bucket.list_blobs(page_size=2)] == ["a/1", "a/2", "a/b/3", "c", "ä"]
        listing = bucket.list_blobs(prefix="a/", delimiter="/")
        assert [blob.name for blob in listing] == ["a/1", "a/2"]
        assert listing.prefixes == {"a/b/"}
        assert [blob.name for blob in bucket.list_blobs(start_offset="a/b", end_offset="c")] == ["a/b/3"]
        assert len(list(bucket.list_blobs(versions=True))) == 5

    def test_copies(self, sandbox: Running, bucket: storage.Bucket) -> None:
        sandbox.bucket("other")
        blob = bucket.blob("x/y")
        blob.upload_from_string(DATA, content_type="text/x")
        other = bucket.client.bucket("other")
        copied = bucket.copy_blob(blob, other, "z")
        assert copied.download_as_bytes() == DATA
        rewritten = other.blob("w")
        assert rewritten.rewrite(blob)[0] is None
        blob.delete()
        assert (rewritten.download_as_bytes(), other.get_blob("w").content_type) == (DATA, "text/x")

    def test_patches(self, bucket: storage.Bucket) -> None:
        blob = bucket.blob("x")
        blob.upload_from_string(b"1")
        blob.metadata = {"a": "b"}
        blob.patch()
        again = bucket.get_blob("x")
        assert (again.metadata, again.metageneration) == ({"a": "b"}, 2)

    def test_versions(self, sandbox: Running, bucket: storage.Bucket) -> None:
        sandbox.bucket("versioned", versioning={"enabled": True})
        versioned = bucket.client.bucket("versioned")
        blob = versioned.blob("x")
        for data in (b"1", b"2"):
            blob.upload_from_string(data)
        versioned.blob("x").delete()
        assert versioned.get_blob("x") is None
        kept = list(versioned.list_blobs(versions=True))
        assert [item.download_as_bytes() for item in kept] == [b"1", b"2"]
        for item in kept:
            item.delete()
        assert list(versioned.list_blobs(versions=True)) == []


class TestHttp:
    def test_xml_reads(self, sandbox: Running, bucket: storage.Bucket) -> None:
        bucket.blob("a/b").upload_from_string(DATA)
        with sandbox.client(sandbox.storage) as client:
            answer = client.get("/files/a/b", headers={"Range": "bytes=1-2"})
            assert (answer.status_code, answer.content) == (206, DATA[1:3])
            assert "md5=" in answer.headers["x-goog-hash"]
            assert client.get("/files/none").status_code == 404
            assert "NoSuchKey" in client.get("/files/none").text
            assert "NoSuchBucket" in client.get("/none/none").text

    def test_compose_and_unknown_parameters_are_refused_by_name(
        self, sandbox: Running, bucket: storage.Bucket
    ) -> None:
        with sandbox.client(sandbox.storage) as client:
            answer = client.post("/storage/v1/b/files/o/x/compose", json={"sourceObjects": [{"name": "y"}]})
            assert (answer.status_code, "compose" in answer.text) == (501, True)
            answer = client.get("/storage/v1/b/files/o", params={"matchGlob": "*"})
            assert (answer.status_code, "matchGlob" in answer.text) == (501, True)

    def test_an_upload_whose_checksum_is_wrong(self, sandbox: Running, bucket: storage.Bucket) -> None:
        content_type, body = related({"name": "x", "md5Hash": base64.b64encode(b"0" * 16).decode()}, b"data")
        with sandbox.client(sandbox.storage) as client:
            answer = client.post(
                "/upload/storage/v1/b/files/o?uploadType=multipart",
                headers={"Content-Type": content_type},
                content=body,
            )
        assert answer.status_code == 400
        assert bucket.get_blob("x") is None
        assert sandbox.leftovers() == []

    def test_truncated_uploads_leave_nothing(self, sandbox: Running, bucket: storage.Bucket) -> None:
        content_type, body = related({"name": "x"}, DATA)
        headers = {"Content-Type": content_type, "Authorization": f"Bearer {sandbox.token}"}
        path = "/upload/storage/v1/b/files/o?uploadType=multipart"
        with sandbox.client(sandbox.storage) as client:
            for cut in (1000, len(body) - len("\r\n--b--\r\n"), len(body) - len("--\r\n")):
                assert client.post(path, headers=headers, content=body[:cut]).status_code == 400
        assert bucket.get_blob("x") is None
        assert sandbox.leftovers() == []
        cut_off(sandbox.storage, path, headers, body)
        assert bucket.get_blob("x") is None

    def test_a_resumable_upload_goes_on_where_it_stopped(
        self, sandbox: Running, bucket: storage.Bucket
    ) -> None:
        with sandbox.client(sandbox.storage) as client:
            begun = client.post("/upload/storage/v1/b/files/o?uploadType=resumable", json={"name": "x"})
            url = begun.headers["Location"]

            def put(content: bytes, span: str) -> Any:
                return client.put(url, content=content, headers={"Content-Range": f"bytes {span}"})

            first = put(DATA[:1000], f"0-999/{len(DATA)}")
            assert (first.status_code, first.headers["Range"]) == (308, "bytes=0-999")
            asked = put(b"", f"*/{len(DATA)}")
            assert (asked.status_code, asked.headers["Range"]) == (308, "bytes=0-999")
            assert bucket.get_blob("x") is None
            done = put(DATA[1000:], f"1000-{len(DATA) - 1}/{len(DATA)}")
            assert done.status_code == 200
            assert json.loads(done.content)["size"] == str(len(DATA))
            assert put(b"", f"*/{len(DATA)}").status_code == 404
        assert bucket.blob("x").download_as_bytes() == DATA

    def test_a_resumable_upload_belongs_to_who_began_it(
        self, sandbox: Running, bucket: storage.Bucket
    ) -> None:
        other = sandbox.loop.call(lambda: sandbox.cloud.tokens.issue("user:other@sandbox"))
        with sandbox.client(sandbox.storage) as client:
            begun = client.post("/upload/storage/v1/b/files/o?uploadType=resumable", json={"name": "x"})
            headers = {"Authorization": f"Bearer {other}"}
            assert client.put(begun.headers["Location"], content=b"1", headers=headers).status_code == 403

    def test_deleted_bytes_go_when_nothing_needs_them(self, sandbox: Running, bucket: storage.Bucket) -> None:
        bucket.blob("x").upload_from_string(DATA)
        bucket.copy_blob(bucket.blob("x"), bucket, "y")
        digest = hashlib.sha256(DATA).hexdigest()
        bucket.blob("x").delete()
        assert bucket.blob("y").download_as_bytes() == DATA
        bucket.blob("y").delete()
        assert not list((sandbox.cloud.root / "objects").rglob(digest))


class TestPages:
    """However a listing is cut into pages, it says the same."""

    NAMES = ("a", "b/", "b/1", "b/2/x", "b/2/y", "b/3", "c", "d/1", "d/2", "d/3", "e")

    @pytest.mark.parametrize("size", [1, 2, 3, 5])
    @pytest.mark.parametrize(
        "query",
        [
            {},
            {"prefix": "b/"},
            {"delimiter": "/"},
            {"delimiter": "/", "prefix": "b/"},
            {"delimiter": "/", "includeTrailingDelimiter": "true"},
            {"startOffset": "b/2", "endOffset": "d/2"},
            {"versions": "true"},
            {"versions": "true", "delimiter": "/"},
        ],
        ids=lambda query: "&".join(query) or "all",
    )
    def test_are_the_whole(self, sandbox: Running, size: int, query: dict[str, str]) -> None:
        sandbox.bucket("files", versioning={"enabled": True})
        with sandbox.client(sandbox.storage) as client:
            for name in (*self.NAMES, "a", "d/2", "d/2"):
                path, said = "/upload/storage/v1/b/files/o", {"uploadType": "media", "name": name}
                assert client.post(path, params=said, content=name.encode()).is_success
            whole = client.get("/storage/v1/b/files/o", params=query).json()
            items: list[Any] = []
            prefixes: list[str] = []
            token: dict[str, str] = {}
            while True:
                page = client.get(
                    "/storage/v1/b/files/o", params={**query, **token, "maxResults": str(size)}
                ).json()
                items += page.get("items", [])
                prefixes += page.get("prefixes", [])
                if "nextPageToken" not in page:
                    break
                token = {"pageToken": page["nextPageToken"]}
        assert items == whole.get("items", [])
        assert prefixes == whole.get("prefixes", [])
        assert items
