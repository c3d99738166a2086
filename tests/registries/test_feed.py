"""The feed of advisories against a server that answers as Cloud Storage does."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmz.errors import InputError, TransferError
from dmz.registries import credentials
from dmz.registries.feed import Archive, Feed, check_ecosystem, parse_listing
from dmz.registries.google import connect
from tests.feed import FeedServer, at
from tests.promotion.advisories.records import ALL, record
from tests.registries.conftest import FAST

T = TypeVar("T")
TOKEN = "token-of-somebody"
RECORDS = [record(ALL, identity=f"GHSA-{number}", modified=at(8, number)) for number in range(5)]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FeedServer]:
    feed = FeedServer()
    feed.publish(RECORDS, at(10))
    with feed.serving() as url:
        monkeypatch.setenv("GOOGLE_STORAGE_CUSTOM_ENDPOINT", url)
        monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", TOKEN)
        yield feed


def asked(work: Callable[[Feed], Awaitable[T]]) -> T:
    async def connected() -> T:
        async with connect("", retry=FAST) as google:
            return await work(await Feed.connected(google))

    return asyncio.run(connected())


def downloaded(path: Path) -> list[int]:
    said: list[int] = []

    async def work(feed: Feed) -> None:
        await feed.download(await feed.archive("PyPI"), path, lambda done, size: said.append(done))

    asked(work)
    return said


class TestListing:
    def test_what_there_is_and_as_of_when(self, server: FeedServer) -> None:
        found = asked(lambda feed: feed.listing("PyPI"))
        assert found.as_of.isoformat() == "2026-11-22T10:00:00+00:00"
        assert found.modified == {each["id"]: each["modified"] for each in RECORDS}

    def test_what_turned_out_to_be_missing_counts_as_new_when_it_comes_back(self, server: FeedServer) -> None:
        found = asked(lambda feed: feed.listing("PyPI")).without({"GHSA-3"})
        assert parse_listing(found.raw, "") == found.modified
        assert set(found.modified) == {"GHSA-0", "GHSA-1", "GHSA-2", "GHSA-4"}

    def test_an_ecosystem_that_is_not_there(self, server: FeedServer) -> None:
        with pytest.raises(InputError, match=r"Nothing/modified_id\.csv: the feed has no such thing"):
            asked(lambda feed: feed.listing("Nothing"))

    @pytest.mark.parametrize("name", ["Debian:12", "../x", "", "a" * 80, "x/y"])
    def test_what_is_no_ecosystem_of_the_feed(self, name: str) -> None:
        with pytest.raises(InputError, match="no ecosystem of the feed"):
            check_ecosystem(name)

    @pytest.mark.parametrize(
        "raw",
        [b"", b"<html>", b"2026-01-01,../x\n", b"2026-01-01T00:00:00Z,\n", b"yesterday,A\n", b"\xff,A\n"],
    )
    def test_what_is_no_listing(self, server: FeedServer, raw: bytes) -> None:
        server.put("PyPI/modified_id.csv", raw, at(11))
        with pytest.raises(TransferError, match="list of advisories"):
            asked(lambda feed: feed.listing("PyPI"))

    @given(st.binary(max_size=80))
    def test_any_bytes(self, raw: bytes) -> None:
        with suppress(TransferError):
            assert parse_listing(raw, "here")


class TestIdentity:
    def test_a_login_is_used(self, server: FeedServer) -> None:
        asked(lambda feed: feed.listing("PyPI"))
        assert server.identities == {f"Bearer {TOKEN}"}

    def test_none_is_needed(self, server: FeedServer, monkeypatch: pytest.MonkeyPatch) -> None:
        async def nobody(self: object) -> str:
            raise InputError("no Google credentials")

        monkeypatch.setattr(credentials.AmbientTokens, "token", nobody)
        assert asked(lambda feed: feed.listing("PyPI")).modified
        assert server.identities == {""}


class TestArchive:
    def test_whole(self, server: FeedServer, tmp_path: Path) -> None:
        said = downloaded(tmp_path / "part")
        data = server.objects["PyPI/all.zip"].data
        assert (tmp_path / "part").read_bytes() == data
        assert said[-1] == len(data)

    @pytest.mark.parametrize(("cuts", "ignore_range"), [(5, False), (2, True)])
    def test_it_goes_on_after_a_break(
        self, server: FeedServer, tmp_path: Path, cuts: int, ignore_range: bool
    ) -> None:
        server.cut_after, server.cuts, server.ignore_range = 100, cuts, ignore_range
        said = downloaded(tmp_path / "part")
        data = server.objects["PyPI/all.zip"].data
        assert (tmp_path / "part").read_bytes() == data
        assert said[-1] == len(data)
        assert server.asked.count("PyPI/all.zip") == cuts + 1

    def test_it_goes_on_in_another_run(self, server: FeedServer, tmp_path: Path) -> None:
        data = server.objects["PyPI/all.zip"].data
        (tmp_path / "part").write_bytes(data[:200])
        assert min(downloaded(tmp_path / "part")) > 200
        assert (tmp_path / "part").read_bytes() == data
        downloaded(tmp_path / "part")
        assert server.asked.count("PyPI/all.zip") == 1

    def test_a_server_that_brings_nothing_is_given_up(self, server: FeedServer, tmp_path: Path) -> None:
        server.cut_after, server.cuts = 0, 99
        with pytest.raises(TransferError, match="gave no answer"):
            downloaded(tmp_path / "part")

    def test_other_bytes_are_refused_and_not_kept(self, server: FeedServer, tmp_path: Path) -> None:
        server.damage = True
        with pytest.raises(TransferError, match="other bytes arrived"):
            downloaded(tmp_path / "part")
        assert not (tmp_path / "part").exists()

    def test_one_that_changed_meanwhile(self, server: FeedServer, tmp_path: Path) -> None:
        async def work(feed: Feed) -> None:
            archive = await feed.archive("PyPI")
            server.publish(RECORDS[:2], at(11))
            await feed.download(archive, tmp_path / "part", lambda done, size: None)

        with pytest.raises(TransferError, match="it changed meanwhile"):
            asked(work)

    def test_more_than_was_announced(self, server: FeedServer, tmp_path: Path) -> None:
        data = server.objects["PyPI/all.zip"].data
        crc = base64.b64encode(google_crc32c.value(data[:50]).to_bytes(4, "big")).decode()
        small = Archive("PyPI/all.zip", 50, crc, "1")
        with pytest.raises(TransferError, match="too much arrives"):
            asked(lambda feed: feed.download(small, tmp_path / "part", lambda done, size: None))


class TestRecord:
    def test_one(self, server: FeedServer) -> None:
        data = asked(lambda feed: feed.record("PyPI", "GHSA-1"))
        assert data == server.objects["PyPI/GHSA-1.json"].data
        assert asked(lambda feed: feed.record("PyPI", "GHSA-99")) is None
        assert asked(lambda feed: feed.record("PyPI", "GHSA-99", fresh=True)) is None

    def test_past_the_cache(self, server: FeedServer) -> None:
        server.stale["PyPI/GHSA-1.json"] = b"old"
        assert asked(lambda feed: feed.record("PyPI", "GHSA-1")) == b"old"
        fresh = asked(lambda feed: feed.record("PyPI", "GHSA-1", fresh=True))
        assert fresh == server.objects["PyPI/GHSA-1.json"].data
