"""A disk that is full: a refusal, nothing half-written, and on it goes once there is room."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.cloud.artifact_registry import Options
from sandbox.cloud.lines import Lines
from sandbox.cloud.store import Store
from tests.sandbox.data.harness import Running, deb, running, wheel
from tests.sandbox.data.uploads import put_object, upload_deb, upload_wheel

pytestmark = pytest.mark.sandbox

PAGE = 4096
"""In what a tmpfs gives room."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of four megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def here(disk: Path, tmp_path: Path) -> Iterator[Running]:
    with running(disk / "root", Options(), tmp_path / "cache") as made:
        made.repository("python", "PYTHON")
        made.repository("apt", "APT")
        made.bucket("files")
        yield made


def leave(disk: Path, size: int) -> None:
    """Fill the disk up, but for this many bytes."""
    filler = disk / "filler"
    filler.unlink(missing_ok=True)
    free = os.statvfs(disk).f_bavail * PAGE
    with filler.open("wb") as file:
        file.write(bytes(max(0, free - size)))


class TestUploads:
    def test_what_does_not_fit_is_refused_and_gone(self, here: Running, tmp_path: Path) -> None:
        refused = upload_wheel(here, wheel(tmp_path, "big", "1.0", size=6 << 20))
        assert refused.status_code == 507
        assert "disk is full" in refused.text
        assert here.files("python") == []
        assert here.leftovers() == []
        assert upload_wheel(here, wheel(tmp_path, "small", "1.0")).status_code == 200

    def test_of_an_object_too(self, here: Running) -> None:
        assert put_object(here, "big", os.urandom(6 << 20)).status_code == 507
        assert here.leftovers() == []
        with here.client(here.storage) as client:
            assert "items" not in client.get("/storage/v1/b/files/o").json()
        assert put_object(here, "big", b"small").status_code == 200

    def test_a_resumable_upload_has_to_begin_again(self, here: Running) -> None:
        data = os.urandom(6 << 20)
        with here.client(here.storage) as client:
            begun = client.post("/upload/storage/v1/b/files/o?uploadType=resumable&name=x", json={})
            whole = {"Content-Range": f"bytes 0-{len(data) - 1}/{len(data)}"}
            assert client.put(begun.headers["Location"], content=data, headers=whole).status_code == 507
            assert client.put(begun.headers["Location"], content=data, headers=whole).status_code == 404
        assert here.leftovers() == []

    def test_wherever_the_room_ends(self, here: Running, disk: Path, tmp_path: Path) -> None:
        """However little is left: what was answered with success is there whole, anything else is not."""
        taken: dict[str, str] = {}
        statuses: set[int] = set()
        for pages in (*range(0, 24), 64):
            made = [wheel(tmp_path, f"w{pages}", "1.0", size=9000), deb(tmp_path, f"d{pages}", "1.0")]
            leave(disk, pages * PAGE)
            for path, send in zip(made, (upload_wheel, upload_deb), strict=True):
                answer = send(here, path)
                statuses.add(answer.status_code)
                if answer.status_code == 200:
                    taken[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
            answer = put_object(here, f"o{pages}", os.urandom(9000))
            statuses.add(answer.status_code)
        (disk / "filler").unlink()
        assert statuses == {200, 507}
        assert here.leftovers() == []
        held = {
            item["name"]: item["hashes"][0]["value"] for item in (*here.files("python"), *here.files("apt"))
        }
        assert len(held) >= len(taken)  # an answer may have been lost for want of room; the file is whole
        with here.client(here.api) as client:
            for name, value in held.items():
                data = client.get(f"/v1/{name}:download", params={"alt": "media"}).content
                assert base64.b64encode(hashlib.sha256(data).digest()).decode() == value


class TestLines:
    def test_a_line_is_there_or_not(self, disk: Path) -> None:
        lines = Lines(disk / "lines")
        lines.append("first\n")
        leave(disk, 2 * PAGE)
        with pytest.raises(OSError, match="No space"):
            lines.append("x" * (4 * PAGE) + "\n")
        lines.append("second\n")
        (disk / "filler").unlink()
        lines.append("third\n")
        lines.close()
        assert (disk / "lines").read_text() == "first\nsecond\nthird\n"

    def test_the_resources_stay_as_they_were(self, disk: Path) -> None:
        store = Store(disk / "resources")
        store.put("a", {"v": 1})
        leave(disk, 0)
        with pytest.raises(OSError, match="No space"):
            store.put("a", {"v": "x" * PAGE})
        assert store.get("a") == {"v": 1}
        (disk / "filler").unlink()
        store.put("b", {"v": 2})
        store.close()
        assert Store(disk / "resources").list("") == {"a": {"v": 1}, "b": {"v": 2}}
