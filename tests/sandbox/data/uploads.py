"""Uploads as clients make them, in one request each."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx

from tests.sandbox.data.harness import LOCATION, Running, related


def form(path: Path) -> dict[str, str]:
    """The fields of the form by which a wheel is uploaded."""
    name, version = path.name.split("-")[:2]
    return {
        ":action": "file_upload",
        "protocol_version": "1",
        "name": name,
        "version": version,
        "filetype": "bdist_wheel",
        "pyversion": "py3",
        "sha256_digest": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def upload_wheel(here: Running, path: Path) -> httpx.Response:
    with here.client(here.python) as client:
        files = {"content": (path.name, path.read_bytes())}
        return client.post("/p/python/", data=form(path), files=files)


def upload_deb(here: Running, path: Path) -> httpx.Response:
    content_type, body = related({}, path.read_bytes())
    with here.client(here.api) as client:
        return client.post(
            f"/upload/v1/{LOCATION}/repositories/apt/aptArtifacts:create",
            params={"uploadType": "multipart"},
            headers={"Content-Type": content_type},
            content=body,
        )


def put_object(here: Running, name: str, data: bytes, bucket: str = "files") -> httpx.Response:
    query = {"uploadType": "media", "name": name, "ifGenerationMatch": "0"}
    with here.client(here.storage) as client:
        return client.post(f"/upload/storage/v1/b/{bucket}/o", params=query, content=data)
