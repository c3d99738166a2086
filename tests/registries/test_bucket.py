"""Objects and the registry of files against a real server."""

from __future__ import annotations

import hashlib

import pytest

from dmz.artifact import Kind
from dmz.errors import TransferError
from dmz.registries.bucket import Bucket
from dmz.registries.files import BucketRegistry
from dmz.registries.google import Google
from tests.registries.conftest import as_sync
from tests.registries.counterpart import Counterpart, Fault
from tests.registries.support import artifact, read, refused, stored, stream

DATA = b"weights of a model"
SHA256 = hashlib.sha256(DATA).hexdigest()
WANTED = artifact(Kind.FILE, "model.bin", SHA256, "model.bin", DATA, origin="files")
NAME = f"files/{SHA256}/model.bin"


def registry(google: Google) -> BucketRegistry:
    return BucketRegistry(google, "box")


@pytest.fixture
def box(cloud: Counterpart) -> dict[str, bytes]:
    return cloud.buckets.setdefault("box", {})


class TestRegistry:
    def test_what_was_put_is_there(self, box: dict[str, bytes]) -> None:
        as_sync(lambda google: registry(google).put(WANTED, stream(DATA[:3], DATA[3:])))
        assert box == {NAME: DATA}
        assert as_sync(lambda google: registry(google).list()) == [stored(WANTED)]
        assert as_sync(lambda google: read(registry(google), WANTED)) == DATA

    @pytest.mark.parametrize("data", [DATA[:-1], DATA], ids=["before", "after"])
    def test_a_stream_that_raises_leaves_nothing(self, box: dict[str, bytes], data: bytes) -> None:
        with pytest.raises(ValueError, match="not the approved bytes"):
            as_sync(lambda google: registry(google).put(WANTED, refused(data)))
        assert box == {}

    def test_an_empty_file(self, box: dict[str, bytes]) -> None:
        empty = artifact(Kind.FILE, "none", hashlib.sha256(b"").hexdigest(), "none", b"", origin="files")
        with pytest.raises(ValueError, match="not the approved bytes"):
            as_sync(lambda google: registry(google).put(empty, refused()))
        assert box == {}
        as_sync(lambda google: registry(google).put(empty, stream()))
        assert as_sync(lambda google: registry(google).list()) == [stored(empty)]

    def test_there_already_with_the_same_bytes(self, box: dict[str, bytes]) -> None:
        box[NAME] = DATA
        as_sync(lambda google: registry(google).put(WANTED, stream(DATA)))
        assert box == {NAME: DATA}

    def test_other_bytes_in_its_place_are_removed_since_the_listing_believes_the_name(
        self, box: dict[str, bytes]
    ) -> None:
        box[NAME] = DATA[:-1] + b"?"
        with pytest.raises(TransferError, match="something else in its place; removed"):
            as_sync(lambda google: registry(google).put(WANTED, stream(DATA)))
        assert box == {}

    def test_stored_as_something_else(self, cloud: Counterpart, box: dict[str, bytes]) -> None:
        cloud.damage_objects = True
        with pytest.raises(TransferError, match="stored with other bytes"):
            as_sync(lambda google: registry(google).put(WANTED, stream(DATA)))
        assert box == {}

    def test_missing(self, box: dict[str, bytes]) -> None:
        with pytest.raises(TransferError, match=r"box/model\.bin: 404"):
            as_sync(lambda google: read(registry(google), WANTED))

    def test_withdraw(self, box: dict[str, bytes]) -> None:
        box |= {NAME: DATA, "files/odd": b"x", "releases/y": b"z"}

        async def everything(google: Google) -> None:
            await registry(google).withdraw(await registry(google).list())

        as_sync(everything)
        assert box == {"releases/y": b"z"}


class TestObjects:
    def test_list_by_prefix_over_pages(self, box: dict[str, bytes]) -> None:
        box |= {f"inventories/{number}": b"x" * number for number in range(5)} | {"other": b""}
        found = as_sync(lambda google: Bucket(google, "box").list("inventories/"))
        assert [(one.name, one.size) for one in found] == [(f"inventories/{n}", n) for n in range(5)]

    @pytest.mark.parametrize("item", ["1", "{}", '{"name": "x", "size": "y"}'])
    def test_a_listing_of_another_shape(self, cloud: Counterpart, box: dict[str, bytes], item: str) -> None:
        cloud.faults.append(Fault("GET", "/b/box/o", text=f'{{"items": [{item}]}}'))
        with pytest.raises(TransferError, match="not as Cloud Storage"):
            as_sync(lambda google: Bucket(google, "box").list())

    def test_read_and_write(self, box: dict[str, bytes]) -> None:
        name = "a folder/ü%2F?.json"
        assert as_sync(lambda google: Bucket(google, "box").read(name)) is None
        assert as_sync(lambda google: Bucket(google, "box").write(name, b"1"))
        assert as_sync(lambda google: Bucket(google, "box").read(name)) == b"1"
        assert list(box) == [name]

    def test_write_only_new(self, box: dict[str, bytes]) -> None:
        box["a"] = b"old"
        assert not as_sync(lambda google: Bucket(google, "box").write("a", b"new", if_generation_match=0))
        assert as_sync(lambda google: Bucket(google, "box").write("b", b"new", if_generation_match=0))
        assert box == {"a": b"old", "b": b"new"}

    def test_a_failed_write_is_tried_again(self, cloud: Counterpart, box: dict[str, bytes]) -> None:
        cloud.faults.append(Fault("POST", "/b/box/o", status=503))
        assert as_sync(lambda google: Bucket(google, "box").write("a", b"1"))
        assert box == {"a": b"1"}


@pytest.mark.parametrize("how", ["delete", "remove"])
def test_a_deletion_that_somebody_on_the_way_answers_is_none(
    cloud: Counterpart, box: dict[str, bytes], how: str
) -> None:
    box[NAME] = DATA
    cloud.faults.append(Fault("DELETE", "model.bin", text="<html>Sign in to the network</html>"))

    async def work(google: Google) -> None:
        bucket = Bucket(google, "box")
        await (bucket.delete(NAME) if how == "delete" else bucket.remove(NAME, "1"))

    with pytest.raises(TransferError, match=r"box/files/.* is not Cloud Storage's; check"):
        as_sync(work)
    assert box == {NAME: DATA}
