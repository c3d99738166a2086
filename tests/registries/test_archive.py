"""The archive against the sandbox's Cloud Storage, with the access that the outer stack declares."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmz.artifact import Kind
from dmz.errors import TransferError
from dmz.registries.archive import BucketArchive
from dmz.registries.bucket import Bucket
from dmz.registries.google import Google
from dmz.threads import in_thread
from tests.archives import ARCHIVIST, BUCKET, SYNC, Archived, acting_as, archive
from tests.registries.conftest import as_sync
from tests.registries.counterpart import Counterpart, Fault
from tests.registries.support import artifact, refused, stream

DATA = b"weights of a model"
SHA256 = hashlib.sha256(DATA).hexdigest()
NAME = f"sha256/{SHA256}"
WANTED = artifact(Kind.PYPI, "jax", "0.4", "jax-0.4-py3-none-any.whl", DATA)


@pytest.fixture(scope="module")
def outer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archived]:
    with archive(Path(tmp_path_factory.mktemp("archive"))) as made:
        yield made


@pytest.fixture(autouse=True)
def empty(outer: Archived) -> Iterator[None]:
    """Leaves nothing to the next test."""
    yield
    for name in outer.names():
        outer.box.call("DELETE", "storage", f"storage/v1/b/{BUCKET}/o/{name.replace('/', '%2F')}")


def put(*chunks: bytes, wanted: object = WANTED) -> None:
    acting_as(SYNC, lambda google: BucketArchive(google, BUCKET).put(wanted, stream(*chunks)))  # type: ignore[arg-type]


def kept() -> set[str]:
    return acting_as(SYNC, lambda google: BucketArchive(google, BUCKET).list())


async def opened(google: Google) -> bytes:
    async with BucketArchive(google, BUCKET).open(WANTED) as chunks:
        return await in_thread(lambda: b"".join(chunks))


def test_what_was_put_is_kept_by_its_content(outer: Archived) -> None:
    put(DATA[:5], DATA[5:])
    assert outer.names() == [NAME]
    assert kept() == {SHA256}
    assert acting_as(SYNC, opened) == DATA


@pytest.mark.parametrize("data", [DATA[:-1], DATA], ids=["before", "after"])
def test_a_stream_that_raises_leaves_nothing(outer: Archived, data: bytes) -> None:
    with pytest.raises(ValueError, match="not the approved bytes"):
        acting_as(SYNC, lambda google: BucketArchive(google, BUCKET).put(WANTED, refused(data)))
    assert outer.names() == []


def test_an_empty_file(outer: Archived) -> None:
    nothing = artifact(Kind.FILE, "none", hashlib.sha256(b"").hexdigest(), "none", b"", origin="files")
    put(wanted=nothing)
    assert kept() == {nothing.sha256}


def test_what_is_there_already_stays_as_it_is(outer: Archived) -> None:
    put(DATA)
    [before] = acting_as(ARCHIVIST, lambda google: BucketArchive(google, BUCKET).contents())
    put(DATA)
    [after] = acting_as(ARCHIVIST, lambda google: BucketArchive(google, BUCKET).contents())
    assert before == after


@pytest.mark.parametrize("other", [DATA + b"?", DATA[:-1] + b"?"], ids=["size", "bytes"])
def test_something_else_in_its_place_is_named_and_nobody_who_syncs_mends_it(
    outer: Archived, other: bytes
) -> None:
    outer.write(NAME, other)
    with pytest.raises(TransferError, match="dmz archive prune --verify") as caught:
        put(DATA)
    assert f"(gs://{BUCKET}/{NAME}) is kept with other bytes, {len(other)} of SHA-256" in str(caught.value)
    assert outer.read(NAME) == other


def test_what_was_stored_wrong_is_not_taken_for_right_the_next_time(cloud: Counterpart) -> None:
    cloud.buckets["box"] = {}
    cloud.damage_objects = True
    cloud.faults.append(Fault("DELETE", "/b/box/o", status=403))  # as it is for who syncs
    for said in ("was stored with other bytes", "is kept with other bytes"):
        with pytest.raises(TransferError, match=said):
            as_sync(lambda google: BucketArchive(google, "box").put(WANTED, stream(DATA)))
        cloud.damage_objects = False
    assert list(cloud.buckets["box"]) == [NAME]


def test_only_what_is_named_by_content_is_listed(outer: Archived) -> None:
    for name in ("sha256/notes", f"sha256/{SHA256}x", f"sha256/{SHA256.upper()}", SHA256, f"x/{NAME}"):
        outer.write(name, b"x")
    assert kept() == set()
    put(DATA)
    assert kept() == {SHA256}
    assert len(acting_as(ARCHIVIST, lambda google: BucketArchive(google, BUCKET).contents())) == 1


def test_the_listing_is_whole_over_pages(outer: Archived, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = {hashlib.sha256(bytes([number])).hexdigest() for number in range(5)}
    for digest in digests:
        outer.write(f"sha256/{digest}", b"x")
    call = Google.call
    pages: list[str] = []

    async def small(self: Google, method: str, url: str, **more: object) -> object:
        more["params"] = {**more.get("params", {}), "maxResults": "2"}  # type: ignore[dict-item]
        pages.append(url)
        return await call(self, method, url, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Google, "call", small)
    assert kept() == digests
    assert len(pages) == 3


def test_missing(outer: Archived) -> None:
    with pytest.raises(TransferError, match=rf"jax-0\.4-py3-none-any\.whl \(gs://{BUCKET}/{NAME}\): 404"):
        acting_as(SYNC, opened)


class TestWhoMayWhat:
    def test_who_syncs_can_neither_delete_nor_replace(self, outer: Archived) -> None:
        put(DATA)
        with pytest.raises(TransferError, match="403"):
            acting_as(SYNC, lambda google: Bucket(google, BUCKET).delete(NAME))
        with pytest.raises(TransferError, match="403"):
            acting_as(SYNC, lambda google: Bucket(google, BUCKET).write(NAME, b"other"))
        assert outer.read(NAME) == DATA

    def test_the_archivist_deletes_what_it_saw(self, outer: Archived) -> None:
        put(DATA)
        [seen] = acting_as(ARCHIVIST, lambda google: BucketArchive(google, BUCKET).contents())
        assert acting_as(ARCHIVIST, lambda google: BucketArchive(google, BUCKET).remove(seen))
        assert outer.names() == []
        # Done twice it is done.
        assert acting_as(ARCHIVIST, lambda google: BucketArchive(google, BUCKET).remove(seen))

    def test_and_not_what_came_after(self, outer: Archived) -> None:
        put(DATA)
        [seen] = acting_as(ARCHIVIST, lambda google: BucketArchive(google, BUCKET).contents())
        outer.write(NAME, DATA)
        assert not acting_as(ARCHIVIST, lambda google: BucketArchive(google, BUCKET).remove(seen))
        assert outer.names() == [NAME]
