"""Workload files inside, and whose word is taken for their bytes: against the sandbox's Cloud Storage."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmz.artifact import Artifact, Kind
from dmz.registries.archive import BucketArchive
from dmz.registries.files import BucketRegistry
from dmz.registries.google import Google
from dmz.registries.interface import Stored
from tests.archives import BUCKET, SYNC, Archived, acting_as, archive
from tests.registries.conftest import as_sync
from tests.registries.counterpart import Counterpart
from tests.registries.support import artifact, stored

INNER = "inner-release"


@pytest.fixture(scope="module")
def outer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archived]:
    with archive(Path(tmp_path_factory.mktemp("files"))) as made:
        made.bucket(INNER, [("roles/storage.objectUser", f"serviceAccount:{SYNC}")])
        yield made


@pytest.fixture(autouse=True)
def empty(outer: Archived) -> Iterator[None]:
    """Leaves nothing to the next test."""
    yield
    for bucket in (INNER, BUCKET):
        page = outer.box.call("GET", "storage", f"storage/v1/b/{bucket}/o", maxResults="1000")
        for item in page.get("items", []):
            name = item["name"].replace("/", "%2F")
            outer.box.call("DELETE", "storage", f"storage/v1/b/{bucket}/o/{name}")


def file(number: int = 0) -> tuple[Artifact, bytes]:
    data = f"weights {number}".encode()
    name = f"model{number}.bin"
    return artifact(Kind.FILE, name, hashlib.sha256(data).hexdigest(), name, data, origin="files"), data


def place(wanted: Artifact) -> str:
    return f"files/{wanted.version}/{wanted.filename}"


def fill(outer: Archived, *files: tuple[Artifact, bytes], archived: bool = True) -> None:
    for wanted, data in files:
        outer.write(place(wanted), data, INNER)
        if archived:
            outer.write(f"sha256/{wanted.sha256}", data)


def registry(google: Google) -> BucketRegistry:
    return BucketRegistry(google, INNER, archive=BucketArchive(google, BUCKET))


def listed(*of: Artifact) -> list[Stored]:
    return acting_as(SYNC, lambda google: registry(google).list(of or None))


@pytest.mark.parametrize("count", [1, 20], ids=["few", "many"])
@pytest.mark.parametrize("archived", [True, False], ids=["archived", "not archived"])
def test_what_is_as_it_was_put_there(outer: Archived, count: int, archived: bool) -> None:
    files = [file(number) for number in range(count)]
    fill(outer, *files, archived=archived)
    assert listed() == [stored(wanted) for wanted, _ in sorted(files)]


@pytest.mark.parametrize("count", [1, 20], ids=["few", "many"])
@pytest.mark.parametrize("archived", [True, False], ids=["archived", "not archived"])
@pytest.mark.parametrize("changed", [b"Weights 0", b"weights 0!"], ids=["as long", "longer"])
def test_changed_bytes_show_under_the_digest_that_they_have(
    outer: Archived, count: int, archived: bool, changed: bytes
) -> None:
    (wanted, data), *others = files = [file(number) for number in range(count)]
    fill(outer, *files, archived=archived)
    outer.write(place(wanted), changed, INNER)
    digest = hashlib.sha256(changed).hexdigest()
    wrong = Stored(Kind.FILE, wanted.name, "", wanted.version, wanted.filename, digest, len(changed))
    assert listed() == [wrong, *(stored(each) for each, _ in sorted(others))]
    assert listed(wanted) == [wrong]

    acting_as(SYNC, lambda google: registry(google).withdraw([wrong]))
    outer.write(place(wanted), data, INNER)
    assert listed(wanted) == [stored(wanted)]


def test_the_archive_vouches_for_nothing_that_it_was_not_given(outer: Archived) -> None:
    """What lies there under the digest, with other bytes, is no reason to doubt what inner has."""
    wanted, data = file()
    fill(outer, (wanted, data), archived=False)
    outer.write(f"sha256/{wanted.sha256}", b"Weights 0")
    assert listed() == [stored(wanted)]


def test_only_what_is_asked_for(outer: Archived) -> None:
    files = [file(number) for number in range(3)]
    fill(outer, *files)
    outer.write(f"{place(files[0][0])}.old", b"beside it", INNER)
    assert stored(files[0][0]) in listed(files[0][0])
    assert stored(files[1][0]) not in listed(files[0][0], files[2][0])
    assert listed(file(7)[0]) == []


@pytest.mark.parametrize("name", ["notes", "deep/er/notes", f"{'0' * 64}/a/b", f"{'0' * 63}g/a"])
def test_what_nobody_of_ours_would_name_so_is_read(outer: Archived, name: str) -> None:
    outer.write(f"files/{name}", b"hidden", INNER)
    digest = hashlib.sha256(b"hidden").hexdigest()
    odd = Stored(Kind.FILE, name, "", "", name, digest, 6)
    assert listed() == [odd]
    acting_as(SYNC, lambda google: registry(google).withdraw([odd]))
    assert listed() == []


class TestCost:
    """Requests, counted at a server that counts."""

    @pytest.fixture
    def boxes(self, cloud: Counterpart) -> Counterpart:
        cloud.buckets = {INNER: {}, BUCKET: {}}
        cloud.page_size = 1000
        return cloud

    def asked(self, boxes: Counterpart, count: int, sums: bool = True) -> list[str]:
        for wanted, data in map(file, range(count)):
            boxes.buckets[INNER][place(wanted)] = data
            boxes.buckets[BUCKET][f"sha256/{wanted.sha256}"] = data
        boxes.composed = not sums
        assert len(as_sync(lambda google: registry(google).list())) == count
        return [path.removeprefix("/storage/v1/b/") for _, path, _ in boxes.requests if "/storage/" in path]

    def test_a_few_are_looked_up(self, boxes: Counterpart) -> None:
        first, *looks = self.asked(boxes, 2)
        assert first == f"{INNER}/o"
        assert sorted(looks) == sorted(f"{BUCKET}/o/sha256/{file(n)[0].sha256}" for n in range(2))

    def test_many_cost_one_listing(self, boxes: Counterpart) -> None:
        assert self.asked(boxes, 50) == [f"{INNER}/o", f"{BUCKET}/o"]

    def test_nothing_costs_nothing(self, boxes: Counterpart) -> None:
        assert self.asked(boxes, 0) == [f"{INNER}/o"]

    def test_an_object_without_an_md5_is_read(self, boxes: Counterpart) -> None:
        assert self.asked(boxes, 1, sums=False)[-1] == f"{INNER}/o/{place(file()[0])}"
