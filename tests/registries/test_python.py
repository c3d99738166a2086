"""The registry of Python packages against a real server, with everything that goes wrong."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from packaging.utils import parse_sdist_filename, parse_wheel_filename

from dmz.artifact import Kind
from dmz.errors import InputError, TransferError
from dmz.registries.google import Google
from dmz.registries.interface import Stored
from dmz.registries.python import PythonRegistry, parse_filename
from tests.registries.conftest import as_sync
from tests.registries.counterpart import Counterpart, Fault, wheel
from tests.registries.support import artifact, read, refused, stored, stream

NAME, DATA = wheel("some-thing", "1.0")
WANTED = artifact(Kind.PYPI, "some-thing", "1.0", NAME, DATA)
OTHER = wheel("some-thing", "1.0", requires=("other",))[1]


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

    def test_a_page_that_comes_again_and_again(self, inner: Counterpart) -> None:
        inner.keep("inner/python", NAME, DATA)
        inner.circular = True
        with pytest.raises(TransferError, match="the same page again and again"):
            as_sync(lambda google: registry(google).list())

    def test_a_file_that_comes_twice_is_one(self, inner: Counterpart) -> None:
        inner.page_size = 1
        inner.keep("inner/python", NAME, DATA)
        inner.keep("inner/python", *wheel("zzz", "1.0"))
        inner.overlap = 1
        assert len(as_sync(lambda google: registry(google).list())) == 2

    @pytest.mark.parametrize(
        "record",
        [
            "[]",
            '{"files": [{}]}',
            '{"files": [7]}',
            '{"files": 7}',
            '{"files": null}',
            '{"nextPageToken": [7]}',
            '{"files": [{"name": "a/files/b", "hashes": [{}]}]}',
            "<html>",
        ],
    )
    def test_an_answer_that_is_no_record(self, inner: Counterpart, record: str) -> None:
        inner.faults.append(Fault("GET", "/files", text=record))
        with pytest.raises(TransferError) as caught:
            as_sync(lambda google: registry(google).list())
        assert "\n" not in str(caught.value)

    def test_no_repository(self, cloud: Counterpart) -> None:
        with pytest.raises(TransferError, match="404"):
            as_sync(lambda google: registry(google, "other").list())


class TestListOf:
    """The versions of some artifacts alone."""

    OTHERS = (wheel("some-thing", "2.0"), wheel("another", "1.0"))

    @pytest.fixture(autouse=True)
    def filled(self, inner: Counterpart) -> None:
        for each in ((NAME, DATA), *self.OTHERS):
            inner.keep("inner/python", *each)
        inner.requests.clear()

    def test_only_these_are_asked_for(self, inner: Counterpart) -> None:
        assert as_sync(lambda google: registry(google).list([WANTED])) == [stored(WANTED)]
        assert sum("/files" in path for _, path, _ in inner.requests) == 1

    def test_all_files_of_the_version(self, inner: Counterpart) -> None:
        sources = "some_thing-1.0.tar.gz"
        inner.keep("inner/python", sources, b"sources")
        beside = artifact(Kind.PYPI, "some-thing", "1.0", sources, b"sources")
        found = as_sync(lambda google: registry(google).list([WANTED, beside]))
        assert found == sorted([stored(WANTED), stored(beside)])
        assert sum("/files" in path for _, path, _ in inner.requests) == 1

    def test_other_bytes_are_shown(self, inner: Counterpart) -> None:
        inner.repositories["inner/python"].clear()
        inner.keep("inner/python", NAME, OTHER)
        [found] = as_sync(lambda google: registry(google).list([WANTED]))
        assert found.sha256 == hashlib.sha256(OTHER).hexdigest()

    def test_what_is_not_there_is_not_shown(self) -> None:
        missing = dataclasses.replace(WANTED, name="missing")
        assert as_sync(lambda google: registry(google).list([missing])) == []

    def test_nothing_is_concluded_from_a_refusal(self, inner: Counterpart) -> None:
        inner.filters = False
        assert as_sync(lambda google: registry(google).list([WANTED])) == []
        assert len(as_sync(lambda google: registry(google).list())) == 3

    @pytest.mark.parametrize("version", ['1.0"', "1.0 OR name=x", "*", "1.0\\", ""])
    def test_what_would_mean_something_else_is_not_asked(self, inner: Counterpart, version: str) -> None:
        odd = dataclasses.replace(WANTED, version=version)
        assert as_sync(lambda google: registry(google).list([odd])) == []
        assert not [path for _, path, _ in inner.requests if "/files" in path]


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

    def test_a_taken_place_is_no_error_and_stays(self, inner: Counterpart) -> None:
        """Whoever put it compares with the listing."""
        inner.keep("inner/python", NAME, OTHER)
        as_sync(lambda google: registry(google).put(WANTED, stream(DATA)))
        [held] = as_sync(lambda google: registry(google).list())
        assert held.sha256 == hashlib.sha256(OTHER).hexdigest()

    def test_too_big_for_the_service(self, inner: Counterpart) -> None:
        big = dataclasses.replace(WANTED, size=9_900_000_001)
        with pytest.raises(InputError, match="more than the 9900000000"):
            as_sync(lambda google: registry(google).put(big, stream(DATA)))
        assert not [path for _, path, _ in inner.requests if path.startswith("/python")]

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
        inner.keep("inner/python", NAME, DATA)
        inner.keep("inner/python", *wheel("some-thing", "0.9"))

        async def old(google: Google) -> None:
            found = await registry(google).list()
            await registry(google).withdraw([one for one in found if one.version == "0.9"])

        as_sync(old)
        assert as_sync(lambda google: registry(google).list()) == [stored(WANTED)]

    def test_several_packages(self, inner: Counterpart) -> None:
        for number in range(4):
            inner.keep("inner/python", *wheel(f"pkg{number}", "1.0+x"))

        async def all_of_them(google: Google) -> list[Stored]:
            await registry(google).withdraw(await registry(google).list())
            return await registry(google).list()

        assert as_sync(all_of_them) == []

    @pytest.mark.parametrize("gone", [["1.0"], ["1.0", "2.0"]], ids=["one", "all"])
    def test_what_is_gone_already_is_no_error_and_does_not_save_the_rest(
        self, inner: Counterpart, gone: list[str]
    ) -> None:
        leaving = [owned("x", version) for version in ("1.0", "2.0")]
        for version in {"1.0", "2.0"} - set(gone):
            inner.keep("inner/python", *wheel("x", version))
        as_sync(lambda google: registry(google).withdraw(leaving))
        assert inner.repositories["inner/python"] == {}

    def test_an_answer_that_is_lost(self, inner: Counterpart) -> None:
        inner.keep("inner/python", *wheel("x", "1.0"))
        inner.faults.append(Fault("POST", "batchDelete", lost=True))
        as_sync(lambda google: registry(google).withdraw([owned("x", "1.0")]))
        assert inner.repositories["inner/python"] == {}

    def test_a_file_that_nothing_owns(self, inner: Counterpart) -> None:
        with pytest.raises(TransferError, match="to which version"):
            as_sync(lambda google: registry(google).withdraw([stored(WANTED)]))
        assert not [path for _, path, _ in inner.requests if "batchDelete" in path]


def owned(name: str, version: str) -> Stored:
    return Stored(Kind.PYPI, name, "", version, f"{name}.whl", "0" * 64, 1, (name, version))


class TestNames:
    """Names that are read the quick way are read as the standard's own code reads them."""

    @given(
        st.from_regex(
            r"[A-Za-z0-9._-]{1,12}-[0-9a-z.+!_]{1,14}(-[0-9][a-z_.]{0,3})?-[a-z0-9_.]{1,6}-[a-z0-9_.]{1,6}"
            r"-[a-z0-9_.]{1,9}\.whl|[A-Za-z0-9._-]{1,12}-[0-9a-z.+!]{1,14}\.(tar\.gz|zip)",
            fullmatch=True,
            alphabet=st.characters(codec="ascii", exclude_characters="\n"),
        )
    )
    @settings(max_examples=400, deadline=None)
    @example("a-1.0-py3-none-any.whl")
    @example("a-01.0-py3-none-any.whl")
    @example("a-1.0.post1.dev2+cpu.x-py2.py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl")
    @example("a-1.0+01-py3-none-any.whl")
    @example("a-1.0-1-1.0.tar.gz")
    @example("a__b-1.0-py3-none-any.whl")
    @example("a-1.0-3py-none-any.whl")
    def test_as_packaging_reads_them(self, filename: str) -> None:
        try:
            parse = parse_wheel_filename if filename.endswith(".whl") else parse_sdist_filename
            name, version = parse(filename)[:2]
            expected = name, str(version)
        except ValueError:
            expected = None
        assert parse_filename(filename) == expected

    @pytest.mark.parametrize(
        "version", ["1", "1.0.0", "2024.1.15", "1.0rc1", "1.0.post2", "0.1.dev3", "1!2.0", "2.3.1+cu121.pt"]
    )
    def test_versions_that_are_normalised_stay(self, version: str) -> None:
        assert parse_filename(f"a_b.C-{version}-py3-none-any.whl") == ("a-b-c", version)
        assert parse_filename(f"a-b-{version}.tar.gz") == ("a-b", version)
