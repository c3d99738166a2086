"""Many small reads of the outer repository, and when they leave it to the usual way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from aiohttp import web

from dmz.registries.google import Google
from dmz.registries.index import PythonIndex
from dmz.resolution.metadata import CoreMetadata
from dmz.resolution.reads import Reads
from dmz.threads import in_thread
from tests.registries.conftest import as_sync
from tests.registries.counterpart import Counterpart, Fault, running, serving, wheel

T = TypeVar("T")
FILENAME, WHEEL = wheel("leaf", "1.0")


@pytest.fixture
def outer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counterpart]:
    counterpart = Counterpart(parts=True)
    counterpart.add("outer/python-remote", "PYTHON", {FILENAME: WHEEL})
    with running(counterpart):
        for name, value in counterpart.environment().items():
            monkeypatch.setenv(name, value)
        yield counterpart


def ask(work: Callable[[Reads, PythonIndex], Awaitable[T]]) -> T:
    async def asked(google: Google) -> T:
        async with Reads.of(google) as reads:
            return await work(reads, PythonIndex(google, "outer", "us-central1", "python-remote"))

    return as_sync(asked)


async def page(reads: Reads, index: PythonIndex) -> tuple[str, str] | None:
    return await reads.page(f"{index.url}leaf/")


class TestPages:
    def test_as_the_usual_way_has_them(self, outer: Counterpart) -> None:
        async def both(reads: Reads, index: PythonIndex) -> list[object]:
            return [await page(reads, index), await index.text("leaf")]

        quick, usual = ask(both)
        assert quick == usual
        assert FILENAME in str(quick)

    def test_none_of_what_is_not_there(self, outer: Counterpart) -> None:
        assert ask(lambda reads, index: reads.page(f"{index.url}absent/")) == ("", "")

    def test_an_index_that_was_told_of_one_does_not_ask_again(self, outer: Counterpart) -> None:
        async def twice(reads: Reads, index: PythonIndex) -> bool:
            return await index.text("Leaf", reads.page) == await index.text("leaf")

        assert ask(twice)
        assert [path for _, path, _ in outer.requests if "simple" in path] == [
            "/python/outer/python-remote/simple/leaf/"
        ]

    def test_an_index_asks_the_usual_way_where_this_one_leads_nowhere(self, outer: Counterpart) -> None:
        outer.faults.append(Fault("GET", "/simple/leaf/", status=503, times=2))
        _, text = ask(lambda reads, index: index.text("leaf", reads.page))
        assert FILENAME in text


class TestParts:
    @pytest.mark.parametrize("begin", [0, 10])
    def test_the_bytes_that_were_asked_for(self, outer: Counterpart, begin: int) -> None:
        found = ask(lambda reads, index: reads.part(index.file_url("leaf", FILENAME), begin, 40))
        assert found == WHEEL[begin:40]

    @pytest.mark.parametrize("begin", [0, 10])
    def test_nothing_where_the_whole_comes(self, outer: Counterpart, begin: int) -> None:
        outer.parts = False
        assert ask(lambda reads, index: reads.part(index.file_url("leaf", FILENAME), begin, 40)) is None

    def test_the_whole_where_that_was_asked_for(self, outer: Counterpart) -> None:
        outer.parts = False
        found = ask(lambda reads, index: reads.part(index.file_url("leaf", FILENAME), 0, len(WHEEL)))
        assert found == WHEEL

    def test_nothing_where_it_ends_early(self, outer: Counterpart) -> None:
        outer.faults.append(Fault("GET", FILENAME, truncate=True))
        assert ask(lambda reads, index: reads.part(index.file_url("leaf", FILENAME), 0, 40)) is None


@pytest.mark.parametrize("way", ["short", "usual"])
def test_whoever_a_repository_sends_us_to_gets_no_token(outer: Counterpart, way: str) -> None:
    given: list[str | None] = []

    async def store(request: web.Request) -> web.Response:
        given.append(request.headers.get("Authorization"))
        return web.Response(body=WHEEL)

    async def sent(request: web.Request) -> web.Response:
        given.append(request.headers.get("Authorization"))
        raise web.HTTPFound(elsewhere)

    async def read(google: Google) -> bytes | None:
        if way == "short":
            async with Reads.of(google) as reads:
                return await reads.part(here, 0, len(WHEEL))
        async with google.download(here, FILENAME, basic=True) as chunks:
            return await in_thread(lambda: b"".join(chunks))

    with serving([web.get("/stored", store)]) as other:
        elsewhere = f"{other}/stored"
        with serving([web.get("/wheel", sent)]) as repository:
            here = f"{repository}/wheel"
            assert as_sync(read) == WHEEL
    assert given[0], "the repository itself was asked without a token"
    assert given[1:] == [None]


class TestTrust:
    """Nothing is taken on trust that the usual way would not take."""

    def test_other_bytes_than_the_index_says(self, outer: Counterpart, tmp_path: Path) -> None:
        _, other = wheel("leaf", "1.0", requires=("absent",))

        class Liar(Reads):
            async def part(self, address: str, start: int, stop: int) -> bytes | None:
                return other[start:stop]

        async def metadata(google: Google) -> bytes:
            index = PythonIndex(google, "outer", "us-central1", "python-remote")
            [file] = await index.files("leaf")
            async with Liar.of(google) as reads:
                return await CoreMetadata(google, index, reads, cache=tmp_path).of("leaf", file)

        outer.keep("outer/python-remote", FILENAME, WHEEL + bytes(len(other) - len(WHEEL)))
        assert b"absent" not in as_sync(metadata)


class TestPatience:
    """It has none: that is the usual way's."""

    @pytest.mark.parametrize(
        "fault",
        [
            Fault("GET", "/simple/leaf/", status=503),
            Fault("GET", "/simple/leaf/", status=429),
            Fault("GET", "/simple/leaf/", reset=True),
        ],
        ids=["unavailable", "too many", "reset"],
    )
    def test_it_asks_no_more_of_who_wants_to_be_left_alone(self, outer: Counterpart, fault: Fault) -> None:
        outer.faults.append(replace(fault, times=2))  # after a reset, the client tries once more

        async def twice(reads: Reads, index: PythonIndex) -> tuple[object, object, int]:
            first, asked = await page(reads, index), len(outer.requests)
            return first, await page(reads, index), len(outer.requests) - asked

        assert ask(twice) == (None, None, 0)

    def test_a_refusal_is_about_one_address(self, outer: Counterpart) -> None:
        outer.faults.append(Fault("GET", "/simple/leaf/", status=403))

        async def twice(reads: Reads, index: PythonIndex) -> list[object]:
            return [await page(reads, index), await page(reads, index)]

        first, second = ask(twice)
        assert first is None
        assert second is not None
