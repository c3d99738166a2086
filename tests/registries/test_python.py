"""The registry of Python packages against a real server, with everything that goes wrong."""

from __future__ import annotations

import pytest

from dmz.artifact import Kind
from dmz.errors import TransferError
from dmz.registries.google import Google
from dmz.registries.interface import Stored
from dmz.registries.python import PythonRegistry
from tests.registries.conftest import as_sync
from tests.registries.counterpart import Counterpart, Fault, wheel
from tests.registries.support import artifact, read, refused, stored, stream

NAME, DATA = wheel("some-thing", "1.0")
WANTED = artifact(Kind.PYPI, "some-thing", "1.0", NAME, DATA)


def registry(google: Google, repository: str = "python") -> PythonRegistry:
    return PythonRegistry(google, "inner", "us-central1", repository)


@pytest.fixture
def inner(cloud: Counterpart) -> Counterpart:
    cloud.add("inner/python", "PYTHON")
    return cloud


class TestList:
    def test_all_pages(self, inner: Counterpart) -> None:
        wheels = dict(wheel(f"pkg{number}", "1.0") for number in range(5))
        for name, data in wheels.items():
            inner.keep("inner/python", name, data)
        found = as_sync(lambda google: registry(google).list())
        assert {(one.name, one.version, one.size) for one in found} == {
            (f"pkg{number}", "1.0", len(wheels[f"pkg{number}-1.0-py3-none-any.whl"])) for number in range(5)
        }

    def test_digest_and_version_are_as_stored(self, inner: Counterpart) -> None:
        name, data = wheel("local", "1.0+cpu")
        inner.keep("inner/python", name, data)
        [found] = as_sync(lambda google: registry(google).list())
        assert found == stored(artifact(Kind.PYPI, "local", "1.0+cpu", name, data))

    def test_no_repository(self, cloud: Counterpart) -> None:
        with pytest.raises(TransferError, match="404"):
            as_sync(lambda google: registry(google, "other").list())


class TestPut:
    def test_what_was_put_is_there(self, inner: Counterpart) -> None:
        as_sync(lambda google: registry(google).put(WANTED, stream(DATA[:10], DATA[10:])))
        assert as_sync(lambda google: registry(google).list()) == [stored(WANTED)]
        assert as_sync(lambda google: read(registry(google), WANTED)) == DATA

    def test_a_stream_that_raises_leaves_nothing(self, inner: Counterpart) -> None:
        with pytest.raises(ValueError, match="not the approved bytes"):
            as_sync(lambda google: registry(google).put(WANTED, refused(DATA[:-1])))
        assert inner.repositories["inner/python"] == {}

    def test_a_stream_that_raises_at_its_end_leaves_nothing(self, inner: Counterpart) -> None:
        """Even with every byte sent, what ends the request has not been."""
        with pytest.raises(ValueError, match="not the approved bytes"):
            as_sync(lambda google: registry(google).put(WANTED, refused(DATA)))
        assert inner.repositories["inner/python"] == {}

    @pytest.mark.parametrize("data", [DATA[:-1], DATA + b"x"], ids=["short", "long"])
    def test_another_length_leaves_nothing(self, inner: Counterpart, data: bytes) -> None:
        with pytest.raises(TransferError, match="nothing was stored"):
            as_sync(lambda google: registry(google).put(WANTED, stream(data)))
        assert inner.repositories["inner/python"] == {}

    def test_there_already_with_the_same_bytes(self, inner: Counterpart) -> None:
        inner.keep("inner/python", NAME, DATA)
        as_sync(lambda google: registry(google).put(WANTED, stream(DATA)))
        assert as_sync(lambda google: registry(google).list()) == [stored(WANTED)]

    def test_there_already_with_other_bytes(self, inner: Counterpart) -> None:
        other = DATA[:-1] + b"?"
        inner.keep("inner/python", NAME, other)
        with pytest.raises(TransferError, match=rf"{NAME}: holds sha256:\w+ where sha256:{WANTED.sha256}"):
            as_sync(lambda google: registry(google).put(WANTED, stream(DATA)))

    def test_an_upload_is_not_repeated_by_itself(self, inner: Counterpart) -> None:
        inner.faults.append(Fault("POST", "/python/inner/python/", status=500))
        with pytest.raises(TransferError, match="500"):
            as_sync(lambda google: registry(google).put(WANTED, stream(DATA)))
        as_sync(lambda google: registry(google).put(WANTED, stream(DATA)))
        assert as_sync(lambda google: registry(google).list()) == [stored(WANTED)]


class TestOpen:
    def test_missing(self, inner: Counterpart) -> None:
        with pytest.raises(TransferError, match=f"python/{NAME}: 404"):
            as_sync(lambda google: read(registry(google), WANTED))

    def test_truncated(self, inner: Counterpart) -> None:
        inner.keep("inner/python", NAME, DATA)
        inner.faults.append(Fault("GET", NAME, truncate=True))
        with pytest.raises(TransferError, match="broke before the last byte"):
            as_sync(lambda google: read(registry(google), WANTED))

    def test_a_failure_before_the_first_byte_is_tried_again(self, inner: Counterpart) -> None:
        inner.keep("inner/python", NAME, DATA)
        inner.faults.append(Fault("GET", NAME, status=500))
        assert as_sync(lambda google: read(registry(google), WANTED)) == DATA


class TestWithdraw:
    def test_only_what_was_named_goes(self, inner: Counterpart) -> None:
        old, old_data = wheel("some-thing", "0.9")
        inner.keep("inner/python", NAME, DATA)
        inner.keep("inner/python", old, old_data)
        leaving = stored(artifact(Kind.PYPI, "some-thing", "0.9", old, old_data))
        as_sync(lambda google: registry(google).withdraw([leaving]))
        assert as_sync(lambda google: registry(google).list()) == [stored(WANTED)]

    def test_several_packages(self, inner: Counterpart) -> None:
        for number in range(4):
            inner.keep("inner/python", *wheel(f"pkg{number}", "1.0+x"))

        async def all_of_them(google: Google) -> list[Stored]:
            await registry(google).withdraw(await registry(google).list())
            return await registry(google).list()

        assert as_sync(all_of_them) == []

    def test_what_is_not_there_any_more(self, inner: Counterpart) -> None:
        as_sync(lambda google: registry(google).withdraw([stored(WANTED)]))
        assert not [path for _, path, _ in inner.requests if "batchDelete" in path]
