"""What somebody else puts into inner: nobody approved it, and the next sync takes it away."""

from __future__ import annotations

import hashlib
from pathlib import Path

from dmz.artifact import Kind
from tests.faults.world import LOCATION, Inner
from tests.sandbox.data.harness import deb, related, wheel


def put_wheel(inner: Inner, folder: Path, name: str = "new", version: str = "1.0") -> str:
    """A wheel under a name that is approved for other bytes; its SHA-256."""
    path = wheel(folder / "strangers", name, version, 1000)
    data = path.read_bytes()
    box = inner.world.box
    answer = box.client.post(
        f"{box.cloud.endpoints['python']}/{inner.project}/python/",
        headers={"Authorization": f"Bearer {box.token}"},
        data={
            ":action": "file_upload",
            "protocol_version": "1",
            "name": name,
            "version": version,
            "sha256_digest": hashlib.sha256(data).hexdigest(),
        },
        files={"content": (path.name, data)},
    )
    assert answer.is_success, answer.text
    return hashlib.sha256(data).hexdigest()


def put_deb(inner: Inner, folder: Path, name: str = "tiny-new", version: str = "1:1.0-1") -> str:
    """A deb of a version that is approved with other bytes; its SHA-256."""
    data = deb(folder / "strangers", name, version, "all", "not what was approved\n").read_bytes()
    content_type, body = related({}, data)
    box = inner.world.box
    parent = f"projects/{inner.project}/locations/{LOCATION}/repositories/apt"
    answer = box.client.post(
        f"{box.cloud.endpoints['artifactregistry']}/upload/v1/{parent}/aptArtifacts:create",
        params={"uploadType": "multipart"},
        headers={"Authorization": f"Bearer {box.token}", "Content-Type": content_type},
        content=body,
    )
    assert answer.is_success, answer.text
    return hashlib.sha256(data).hexdigest()


def put_file(inner: Inner) -> str:
    """A file that no release has; its SHA-256."""
    data = b"nobody approved this"
    digest = hashlib.sha256(data).hexdigest()
    inner.world.write(inner.bucket, f"{Kind.FILE}/{digest}/strange.bin", data)
    return digest


def put_all(inner: Inner, folder: Path) -> frozenset[str]:
    """One of each kind."""
    return frozenset({put_wheel(inner, folder), put_deb(inner, folder), put_file(inner)})
