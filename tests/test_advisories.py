"""Keeping advisories up to date, from the feed to a screening's answer."""

from __future__ import annotations

import asyncio
import fcntl
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dmz.commands.advisories import advisories as command
from dmz.commands.common import Setting
from dmz.errors import InputError, RefusedError, TransferError
from dmz.promotion.advisories.database import Database
from dmz.workflow import advisories
from dmz.workflow.advisories import Refreshed, refresh_all
from dmz.workflow.estate import Estate
from tests.feed import BUCKET, FeedServer, at
from tests.promotion.advisories.records import ALL, record


def some(numbers: range, hour: int = 8) -> list[dict[str, Any]]:
    return [record(ALL, identity=f"GHSA-{n}", name=f"n{n}", modified=at(hour, n % 60)) for n in numbers]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FeedServer]:
    feed = FeedServer()
    feed.publish(some(range(50)), at(9))
    with feed.serving() as url:
        monkeypatch.setenv("GOOGLE_STORAGE_CUSTOM_ENDPOINT", url)
        monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", "t")
        monkeypatch.setenv("DMZ_CACHE", str(tmp_path / "cache"))
        yield feed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "advisories"


def updated(folder: Path, *ecosystems: str) -> Refreshed:
    return asyncio.run(refresh_all(folder, ecosystems or ("PyPI",), BUCKET, lambda line: None))[0]


def known(folder: Path) -> set[str]:
    database = Database.open(folder)
    found = {f"n{n}" for n in range(100) if database.findings("PyPI", f"n{n}", "1")}
    assert database.count == len(found)
    return found


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.name != ".lock")


class TestFirst:
    def test_the_whole_archive(self, server: FeedServer, folder: Path) -> None:
        found = updated(folder)
        assert (found.whole, found.records, found.removed) == (True, 50, 0)
        assert known(folder) == {f"n{n}" for n in range(50)}
        assert left(folder) == ["all.zip"]
        database = Database.open(folder)
        assert database.fetched
        assert database.as_of == found.as_of
        assert f"{found.as_of:%H:%M}" == "09:00"

    def test_what_the_archive_lacks_is_fetched_by_itself(self, server: FeedServer, folder: Path) -> None:
        newer = [*some(range(49)), *some(range(49, 53), hour=9)]
        server.publish(newer, at(9, 30), archive=False)
        assert updated(folder).records == 53
        assert known(folder) == {f"n{n}" for n in range(53)}

    def test_several_ecosystems_are_as_old_as_the_oldest(self, server: FeedServer, folder: Path) -> None:
        debian = record(ALL, ecosystem="Debian:12", identity="DSA-1")
        server.publish([debian], at(7), ecosystem="Debian")
        updated(folder, "PyPI", "Debian")
        database = Database.open(folder)
        assert f"{database.as_of:%H:%M}" == "07:00"
        assert database.covers("Debian:12")

    def test_an_interrupted_one_goes_on(
        self, server: FeedServer, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.cut_after, server.cuts = 100, 99
        monkeypatch.setattr("dmz.registries.feed._FRUITLESS", 1)
        server.ignore_range = True
        with pytest.raises(TransferError):
            updated(folder)
        assert len(left(folder)) == 1
        assert left(folder)[0].endswith(".part")
        server.cuts, server.ignore_range = 0, False
        updated(folder)
        assert known(folder) == {f"n{n}" for n in range(50)}
        assert left(folder) == ["all.zip"]

    @pytest.mark.parametrize("damage", ["no record", "another name", "no archive"])
    def test_a_bad_archive_is_not_taken(self, server: FeedServer, folder: Path, damage: str) -> None:
        if damage == "no archive":
            server.put("PyPI/all.zip", b"<html>", at(9))
        else:
            path = folder.parent / "bad.zip"
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("X.json", "{}" if damage == "no record" else json.dumps(record(ALL)))
            server.put("PyPI/all.zip", path.read_bytes(), at(9))
        with pytest.raises(TransferError, match="the feed serves a bad archive"):
            updated(folder)
        assert left(folder) == []

    def test_an_archive_far_behind_its_listing_is_not_taken(
        self, server: FeedServer, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(advisories, "SINGLY", 10)
        server.publish(some(range(50), hour=9), at(9, 59), archive=False)
        with pytest.raises(TransferError, match=r"lacks 50 of the 50 records"):
            updated(folder)
        assert left(folder) == []


class TestAgain:
    @pytest.fixture(autouse=True)
    def first(self, server: FeedServer, folder: Path) -> None:
        updated(folder)
        server.asked.clear()

    def test_nothing_new_changes_nothing(self, server: FeedServer, folder: Path) -> None:
        before = (folder / "PyPI/all.zip").read_bytes()
        found = updated(folder)
        assert (found.changed, found.removed, found.whole) == (0, 0, False)
        assert server.asked == ["PyPI/modified_id.csv"]
        assert (folder / "PyPI/all.zip").read_bytes() == before

    def test_only_what_changed(self, server: FeedServer, folder: Path) -> None:
        changed = record([{"introduced": "5"}], identity="GHSA-3", name="n3", modified=at(9, 30))
        server.publish([*some(range(3)), changed, *some(range(4, 49)), *some(range(60, 62), 9)], at(10))
        found = updated(folder)
        assert (found.changed, found.removed, found.records, found.whole) == (3, 1, 51, False)
        assert sorted(server.asked) == [
            "PyPI/GHSA-3.json",
            "PyPI/GHSA-60.json",
            "PyPI/GHSA-61.json",
            "PyPI/modified_id.csv",
        ]
        database = Database.open(folder)
        assert not database.findings("PyPI", "n3", "1")
        assert database.findings("PyPI", "n3", "5")
        assert not database.findings("PyPI", "n49", "1")
        assert database.findings("PyPI", "n60", "1")
        assert f"{database.as_of:%H:%M}" == "10:00"

    def test_it_comes_to_the_same_as_the_whole_archive(
        self, server: FeedServer, folder: Path, tmp_path: Path
    ) -> None:
        server.publish([*some(range(10, 50)), *some(range(60, 70), hour=9)], at(10))
        assert not updated(folder).whole
        assert updated(tmp_path / "anew").whole
        assert Database.open(folder).digest == Database.open(tmp_path / "anew").digest

    def test_much_comes_as_a_whole(
        self, server: FeedServer, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(advisories, "SINGLY", 5)
        server.publish(some(range(60)), at(10))
        assert updated(folder).whole
        assert known(folder) == {f"n{n}" for n in range(60)}

    def test_one_that_has_grown_by_what_was_replaced_comes_as_a_whole(
        self, server: FeedServer, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(advisories, "_SLACK", 0)
        whole = []
        for minute in range(20):
            server.publish(some(range(minute, 50)) + some(range(minute), hour=9), at(10, minute))
            whole.append(updated(folder).whole)
        assert not whole[0]
        assert any(whole), "it grows for ever"

    def test_a_feed_that_went_back_is_refused(self, server: FeedServer, folder: Path) -> None:
        before = (folder / "PyPI/all.zip").read_bytes()
        server.publish(some(range(60)), at(8, 59))
        with pytest.raises(RefusedError, match=r"older than what is here.*remove .*PyPI"):
            updated(folder)
        assert (folder / "PyPI/all.zip").read_bytes() == before

    def test_a_feed_that_lost_much_is_refused(
        self, server: FeedServer, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(advisories, "_FEW", 3)
        server.publish(some(range(44)), at(10))
        with pytest.raises(RefusedError, match="lost 6 of 50 records"):
            updated(folder)
        server.publish(some(range(45)), at(10, 1))
        assert updated(folder).removed == 5

    def test_a_record_that_is_not_served_yet_is_new_when_it_is(
        self, server: FeedServer, folder: Path
    ) -> None:
        server.publish(some(range(51)), at(10))
        kept = server.objects.pop("PyPI/GHSA-50.json")
        assert updated(folder).records == 50
        server.objects["PyPI/GHSA-50.json"] = kept
        server.publish(some(range(51)), at(10, 1))
        assert updated(folder).changed == 1
        assert "n50" in known(folder)

    def test_a_cache_before_the_feed_hides_nothing(self, server: FeedServer, folder: Path) -> None:
        server.stale["PyPI/GHSA-1.json"] = server.objects["PyPI/GHSA-1.json"].data
        changed = record([{"introduced": "5"}], identity="GHSA-1", name="n1", modified=at(9, 30))
        server.publish([changed, *some(range(1)), *some(range(2, 50))], at(10))
        updated(folder)
        assert not Database.open(folder).findings("PyPI", "n1", "1")

    @pytest.mark.parametrize("served", [b"{}", b"\xff", json.dumps(record(ALL)).encode()])
    def test_a_bad_record_changes_nothing(self, server: FeedServer, folder: Path, served: bytes) -> None:
        before = (folder / "PyPI/all.zip").read_bytes()
        server.publish(some(range(51)), at(10))
        server.put("PyPI/GHSA-50.json", served, at(10))
        with pytest.raises(TransferError, match="the feed serves"):
            updated(folder)
        assert (folder / "PyPI/all.zip").read_bytes() == before

    def test_a_damaged_archive_is_fetched_anew(self, server: FeedServer, folder: Path) -> None:
        (folder / "PyPI/all.zip").write_bytes((folder / "PyPI/all.zip").read_bytes()[:-10])
        assert updated(folder).whole
        assert known(folder) == {f"n{n}" for n in range(50)}

    def test_two_at_once_do_not_mix(self, server: FeedServer, folder: Path) -> None:
        with (folder / "PyPI/.lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with pytest.raises(InputError, match="another update is at it"):
                updated(folder)


def invoked(*arguments: str) -> Result:
    setting = Setting("google", Estate(Path("nowhere")))
    return CliRunner().invoke(command, arguments, obj=setting, catch_exceptions=False)


class TestCommand:
    def run(self, *arguments: str) -> dict[str, Any]:
        result = invoked(*arguments, "--json")
        assert result.exit_code == 0, result.output
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    def test_update_and_show(self, server: FeedServer, folder: Path) -> None:
        first = self.run("update", "--into", str(folder), "--ecosystem", "PyPI")
        assert first["updated"] == [
            {"ecosystem": "PyPI", "records": 50, "changed": 50, "removed": 0, "whole": True}
        ]
        assert first["as_of"] == "2026-11-22T09:00:00Z"
        assert self.run("show", str(folder)) == {
            key: value for key, value in first.items() if key != "updated"
        }

    def test_in_words(self, server: FeedServer, folder: Path) -> None:
        arguments = ["update", "--into", str(folder), "--ecosystem", "PyPI"]
        said = invoked(*arguments).stdout
        assert "PyPI: 50 records, the whole archive; as of 2026-11-22 09:00 UTC, " in said
        assert "nothing new" in invoked(*arguments).stdout

    def test_a_feed_that_went_back(self, server: FeedServer, folder: Path) -> None:
        arguments = ["update", "--into", str(folder), "--ecosystem", "PyPI"]
        invoked(*arguments)
        server.publish(some(range(60)), at(8))
        result = invoked(*arguments)
        assert result.exit_code == 3
        assert "find out why it went back" in result.stderr
