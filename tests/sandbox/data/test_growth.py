"""What one request costs does not grow with what is there already: counted in steps of SQLite's machine."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.cloud.artifact_registry.artifacts import Artifacts
from sandbox.cloud.artifact_registry.catalog import Catalog, Entry
from sandbox.cloud.artifact_registry.repository import Repository, by_name
from sandbox.cloud.context import Cloud
from sandbox.cloud.storage.blobs import Digests
from sandbox.cloud.storage.objects import Objects, Preconditions
from tests.sandbox.data.harness import LOCATION

FEW, MANY = 50, 2000
DATA = b"the same bytes for all"
DIGESTS = Digests(len(DATA), hashlib.sha256(DATA).hexdigest(), hashlib.md5(DATA).hexdigest(), 0)


def steps(database: sqlite3.Connection, work: Callable[[], object]) -> int:
    """How many steps of SQLite's virtual machine `work` takes."""
    taken = 0

    def count() -> None:
        nonlocal taken
        taken += 1

    database.set_progress_handler(count, 1)
    work()
    database.set_progress_handler(None, 1)
    return taken


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    made = Cloud.open(tmp_path / "root")
    name = f"{LOCATION}/repositories/python"
    made.store.put(f"artifactregistry/{name}", {"name": name, "format": "PYTHON", "createTime": "t"})
    made.store.put("storage/b/files", {"name": "files", "timeCreated": "t"})
    return made


def published(folder: Path) -> None:
    place = folder / DIGESTS.sha256[:2] / DIGESTS.sha256
    place.parent.mkdir(parents=True)
    place.write_bytes(DATA)


class TestFiles:
    def fill(self, catalog: Catalog, repository: Repository, first: int, last: int) -> None:
        for number in range(first, last):
            name = f"p{number:06}"
            catalog.add(repository, Entry(f"{name}/{name}-1.0.whl", name, "1.0", DIGESTS))

    def test_adding_listing_and_reading(self, cloud: Cloud) -> None:
        catalog = Artifacts(cloud).catalog
        repository = by_name(cloud, f"{LOCATION}/repositories/python")
        published(cloud.root / "artifacts")
        costs: list[list[int]] = []
        done = 0
        for size in (FEW, MANY):
            self.fill(catalog, repository, done, size)
            done = size + 1
            costs.append(
                [
                    steps(catalog._database, work)
                    for work in (
                        lambda size=size: self.fill(catalog, repository, size, size + 1),
                        lambda: catalog.page(repository, "", 10),
                        lambda: catalog.page(repository, "p000040", 5),
                        lambda: catalog.get(repository, "p000040/p000040-1.0.whl"),
                        lambda: catalog.files(repository, "p000040", "1.0"),
                    )
                ]
            )
        few, many = costs
        assert all(after <= before * 1.5 for before, after in zip(few, many, strict=True)), costs


class TestObjects:
    def fill(self, objects: Objects, first: int, last: int) -> None:
        for number in range(first, last):
            objects.put("files", f"sha256/{number:06}", DIGESTS, {}, Preconditions(generation_match=0))

    def test_adding_listing_and_reading(self, cloud: Cloud) -> None:
        objects = Objects(cloud)
        published(cloud.root / "objects")
        costs: list[list[int]] = []
        done = 0
        for size in (FEW, MANY):
            self.fill(objects, done, size)
            done = size + 1
            costs.append(
                [
                    steps(objects._database, work)
                    for work in (
                        lambda size=size: self.fill(objects, size, size + 1),
                        lambda: list(objects.list("files", "sha256/", limit=10)),
                        lambda: list(objects.list("files", "sha256/", start="sha256/000040", limit=5)),
                        lambda: objects.get("files", "sha256/000040"),
                        lambda: objects.patch(objects.get("files", "sha256/000041"), {"contentType": "a/b"}),
                    )
                ]
            )
        few, many = costs
        assert all(after <= before * 1.5 for before, after in zip(few, many, strict=True)), costs
