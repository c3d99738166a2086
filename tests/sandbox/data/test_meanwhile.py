"""What is deleted while something is being sent to it: 404, and nothing of it is left."""

from __future__ import annotations

import http.client
import os
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.sandbox.data.harness import LOCATION, Running, deb, related, wheel
from tests.sandbox.data.uploads import form, upload_wheel


class Slowly:
    """A POST whose first half is sent; the rest comes when a test says so."""

    def __init__(self, here: Running, port: int, path: str, content_type: str, body: bytes) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._connection.putrequest("POST", path)
        for name, value in {
            "Authorization": f"Bearer {here.token}",
            "Content-Type": content_type,
            "Content-Length": str(len(body)),
        }.items():
            self._connection.putheader(name, value)
        self._connection.endheaders()
        half = len(body) // 2
        self._connection.send(body[:half])
        self._rest = body[half:]

    def finish(self) -> int:
        """Send the rest; returns the status of the answer."""
        self._connection.send(self._rest)
        status = self._connection.getresponse().status
        self._connection.close()
        return status


def multipart(path: Path) -> bytes:
    parts = "".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in form(path).items()
    )
    head = f'{parts}--b\r\nContent-Disposition: form-data; name="content"; filename="{path.name}"\r\n\r\n'
    return head.encode() + path.read_bytes() + b"\r\n--b--\r\n"


def blobs(here: Running) -> list[Path]:
    return [path for kind in ("artifacts", "objects") for path in (here.cloud.root / kind).glob("??/*")]


def wait_for_bytes(here: Running) -> None:
    """Until the upload that has begun is being written."""
    while not here.leftovers():
        pass


class TestRepository:
    @pytest.mark.parametrize("again", [False, True], ids=["deleted", "deleted and made anew"])
    @pytest.mark.parametrize("kind", ["python", "apt"])
    def test_upload(self, sandbox: Running, tmp_path: Path, kind: str, again: bool) -> None:
        sandbox.repository(kind, kind.upper())
        if kind == "python":
            body = multipart(wheel(tmp_path, "tiny", "1.0", size=3_000_000))
            sending = Slowly(sandbox, sandbox.python, "/p/python/", "multipart/form-data; boundary=b", body)
        else:
            content_type, body = related({}, deb(tmp_path, "tiny", "1.0").read_bytes() + os.urandom(0))
            path = f"/upload/v1/{LOCATION}/repositories/apt/aptArtifacts:create?uploadType=multipart"
            sending = Slowly(sandbox, sandbox.api, path, content_type, body)
        wait_for_bytes(sandbox)
        with sandbox.client(sandbox.api) as client:
            assert client.delete(f"/v1/{LOCATION}/repositories/{kind}").status_code == 200
        if again:
            sandbox.repository(kind, kind.upper())
        assert sending.finish() == 404
        assert sandbox.leftovers() == []
        assert blobs(sandbox) == []
        if again:
            assert sandbox.files(kind) == []
        else:
            with sandbox.client(sandbox.api) as client:
                assert client.get(f"/v1/{LOCATION}/repositories/{kind}/files").status_code == 404

    def test_the_same_bytes_elsewhere_stay(self, sandbox: Running, tmp_path: Path) -> None:
        sandbox.repository("python", "PYTHON")
        sandbox.repository("other", "PYTHON")
        made = wheel(tmp_path, "tiny", "1.0", size=3_000_000)
        assert upload_wheel(sandbox, made).status_code == 200
        sending = Slowly(
            sandbox, sandbox.python, "/p/other/", "multipart/form-data; boundary=b", multipart(made)
        )
        wait_for_bytes(sandbox)
        with sandbox.client(sandbox.api) as client:
            assert client.delete(f"/v1/{LOCATION}/repositories/other").status_code == 200
        assert sending.finish() == 404
        with sandbox.client(sandbox.python) as client:
            assert client.get(f"/p/python/tiny/{made.name}").content == made.read_bytes()


class TestBucket:
    def test_upload(self, sandbox: Running) -> None:
        sandbox.bucket("files")
        query = urlencode({"uploadType": "media", "name": "x"})
        sending = Slowly(
            sandbox, sandbox.storage, f"/upload/storage/v1/b/files/o?{query}", "text/x", os.urandom(3_000_000)
        )
        wait_for_bytes(sandbox)
        sandbox.loop.call(lambda: sandbox.cloud.store.delete("storage/b/files"))
        assert sending.finish() == 404
        assert sandbox.leftovers() == []
        assert blobs(sandbox) == []
