"""SIGKILL in the middle of uploads and imports: what is there afterwards is whole, and nothing else is."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.cloud.artifact_registry import Options
from tests.sandbox.data.harness import LOCATION, deb, running, wheel
from tests.sandbox.data.uploads import form, put_object, upload_wheel

ROOT = Path(__file__).parents[3]


class Victim:
    """A cloud in another process."""

    def __init__(self, root: Path) -> None:
        command = [sys.executable, "-m", "tests.sandbox.data.victim", str(root)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._said: dict[str, Any] = json.loads(self._process.stdout.readline())

    def client(self, service: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self._said['token']}"}
        return httpx.Client(base_url=f"http://127.0.0.1:{self._said[service]}", headers=headers, timeout=60)

    def kill(self) -> None:
        """End it at once, if it is alive."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def alive(root: Path) -> Iterator[Victim]:
    victim = Victim(root)
    try:
        yield victim
    finally:
        victim.kill()


class Clients:
    """Uploads and imports without end, and what of them was answered with success."""

    def __init__(self, victim: Victim, folder: Path, seed: int) -> None:
        self._victim = victim
        self._folder = folder
        self._seed = seed
        self.wheels: set[str] = set()
        self.objects: set[str] = set()
        self.debs: set[str] = set()
        self.began = threading.Event()
        """Set once something of each kind was taken."""
        self._threads = [threading.Thread(target=self._until_killed, args=(work,)) for work in (
            self._wheels, self._objects, self._imports
        )]  # fmt: skip
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _until_killed(self, work: Any) -> None:
        with suppress(httpx.TransportError, json.JSONDecodeError):
            for number in itertools.count():
                work(number)
                if self.wheels and self.objects and self.debs:
                    self.began.set()

    def _wheels(self, number: int) -> None:
        path = wheel(
            self._folder, f"w{self._seed}x{number}", "1.0", size=random.Random(number).randrange(900_000)
        )
        with self._victim.client("python") as client:
            files = {"content": (path.name, path.read_bytes())}
            assert client.post("/p/python/", data=form(path), files=files).status_code == 200
        self.wheels.add(path.name)

    def _put(self, data: bytes) -> str:
        name = f"sha256/{hashlib.sha256(data).hexdigest()}"
        query = {"uploadType": "media", "name": name, "ifGenerationMatch": "0"}
        with self._victim.client("storage") as client:
            answer = client.post("/upload/storage/v1/b/files/o", params=query, content=data)
            assert answer.status_code == 200
        self.objects.add(name)
        return name

    def _objects(self, number: int) -> None:
        self._put(os.urandom(random.Random(number).randrange(1, 900_000)))

    def _imports(self, number: int) -> None:
        paths = [deb(self._folder, f"d{self._seed}x{number}x{part}", "1.0") for part in range(3)]
        uris = [f"gs://files/{self._put(path.read_bytes())}" for path in paths]
        with self._victim.client("api") as client:
            path = f"/v1/{LOCATION}/repositories/apt/aptArtifacts:import"
            operation = client.post(path, json={"gcsSource": {"uris": uris}}).json()
            while not operation.get("done"):
                operation = client.get(f"/v1/{operation['name']}").json()
        assert "errors" not in operation["response"]
        self.debs |= {path.name for path in paths}


def listed(victim: Victim, repository: str) -> dict[str, str]:
    """SHA-256 (base64) of each file by its resource's name."""
    with victim.client("api") as client:
        files: list[dict[str, Any]] = []
        query: dict[str, str] = {}
        while True:
            page = client.get(f"/v1/{LOCATION}/repositories/{repository}/files", params=query).json()
            files += page.get("files", [])
            if "nextPageToken" not in page:
                return {item["name"]: item["hashes"][0]["value"] for item in files}
            query = {"pageToken": page["nextPageToken"]}


def blobs(root: Path, kind: str) -> set[str]:
    return {path.name for path in (root / kind).glob("??/*")}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_half_written_is_there(tmp_path: Path, seed: int) -> None:
    root, folder = tmp_path / "root", tmp_path / "made"
    with alive(root) as victim:
        clients = Clients(victim, folder, seed)
        assert clients.began.wait(60)
        # How long it goes on decides only where the kill meets it; any moment has to do.
        threading.Event().wait(random.Random(seed).random() / 2)
        victim.kill()
        clients.join()
    with alive(root) as victim:
        assert list(root.rglob("incoming/*")) == []
        for repository, taken in (("python", clients.wheels), ("apt", clients.debs)):
            held = listed(victim, repository)
            kept = {name.rpartition("%2F")[2] for name in held}
            if repository == "apt":
                kept = {name.rpartition("_")[0] + ".deb" for name in kept}
            assert taken <= kept
            with victim.client("api") as client:
                for name, value in held.items():
                    data = client.get(f"/v1/{name}:download", params={"alt": "media"}).content
                    assert base64.b64encode(hashlib.sha256(data).digest()).decode() == value
        with victim.client("storage") as client:
            items = client.get("/storage/v1/b/files/o").json()["items"]
            assert clients.objects <= {item["name"] for item in items}
            for item in items:
                data = client.get(f"/files/{item['name']}").content
                assert item["name"] == f"sha256/{hashlib.sha256(data).hexdigest()}"
        assert blobs(root, "objects") == {item["name"].rpartition("/")[2] for item in items}
        values = {*listed(victim, "python").values(), *listed(victim, "apt").values()}
        assert blobs(root, "artifacts") == {base64.b64decode(value).hex() for value in values}


def test_bytes_that_nothing_names_are_gone_at_the_next_start(tmp_path: Path) -> None:
    """What a kill leaves that came after they were published and before anything named them."""
    root = tmp_path / "root"
    with running(root, Options()) as here:
        here.repository("python", "PYTHON")
        here.bucket("files")
        made = wheel(tmp_path, "tiny", "1.0")
        assert upload_wheel(here, made).status_code == 200
        assert put_object(here, "x", b"x").status_code == 200
        held = blobs(root, "artifacts") | blobs(root, "objects")
    for kind in ("artifacts", "objects"):
        (root / kind / "00").mkdir(exist_ok=True)
        (root / kind / "00" / ("00" * 32)).write_bytes(b"nobody's")
        (root / kind / "incoming" / "half").write_bytes(b"half")
    with running(root, Options()) as here:
        assert len(here.files("python")) == 1
        with here.client(here.storage) as client:
            assert client.get("/files/x").content == b"x"
        assert blobs(root, "artifacts") | blobs(root, "objects") == held
        assert here.leftovers() == []
