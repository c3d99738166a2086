"""The index that is kept: found for exactly what it was made from, and only whole."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dmz.cache import cache_folder
from dmz.errors import InputError
from dmz.promotion.advisories import kept
from dmz.promotion.advisories.database import Database
from tests.promotion.advisories.records import ALL, packed, record

RECORDS = [record(ALL, identity=f"GHSA-{number}", name=f"n{number}") for number in range(20)]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(kept, "_SMALL", 0)
    return tmp_path / "cache"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "all.zip"
    path.write_bytes(packed(*RECORDS))
    return path


class Said(list[str]):
    """What was said while opening; empty if the index was there."""

    def __call__(self, line: str) -> None:
        self.append(line)


def opened(path: Path, cache: Path) -> tuple[Database, bool]:
    """The database, and whether its index was made anew."""
    said = Said()
    database = Database.open(path, cache, said)
    assert database.findings("PyPI", "n7", "1")
    return database, bool(said)


def indexes(cache: Path) -> list[Path]:
    return sorted(cache.glob("*.sqlite"))


def test_it_is_made_once(archive: Path, cache: Path) -> None:
    first, made = opened(archive, cache)
    assert made
    again, made = opened(archive, cache)
    assert not made
    assert (first.digest, first.count, first.as_of) == (again.digest, again.count, again.as_of)
    assert first.digest == Database.open(archive).digest
    assert len(indexes(cache)) == 1
    assert {path.name for path in cache.iterdir()} == {indexes(cache)[0].name}


def test_the_same_content_elsewhere_has_the_same_index(archive: Path, cache: Path, tmp_path: Path) -> None:
    opened(archive, cache)
    moved = tmp_path / "elsewhere" / "PyPI" / "other.zip"
    moved.parent.mkdir(parents=True)
    archive.rename(moved)
    assert not opened(tmp_path / "elsewhere", cache)[1]


def test_other_content_of_the_same_size_and_time_has_another(archive: Path, cache: Path) -> None:
    before = archive.stat()
    first, _ = opened(archive, cache)
    data = packed(*(each | {"summary": ""} for each in RECORDS))
    other = packed(*(json.loads(json.dumps(each).replace("n19", "n91")) for each in RECORDS))
    assert len(other) == before.st_size != len(data)
    archive.write_bytes(other)
    os.utime(archive, ns=(before.st_atime_ns, before.st_mtime_ns))
    second, made = opened(archive, cache)
    assert made
    assert not second.findings("PyPI", "n19", "1")
    assert first.findings("PyPI", "n19", "1"), "what is open stays as it was"


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "foreign"])
def test_a_damaged_one_is_made_anew(archive: Path, cache: Path, damage: str) -> None:
    opened(archive, cache)
    [path] = indexes(cache)
    data = bytearray(path.read_bytes())
    match damage:
        case "cut":
            data = data[: len(data) // 2]
        case "flip":
            data[len(data) // 2] ^= 1
        case "empty":
            data = bytearray()
        case "foreign":
            data = bytearray(b"SQLite format 3\0" + b"\0" * 4096)
    path.write_bytes(data)
    database, made = opened(archive, cache)
    assert made
    assert database.count == len(RECORDS)
    assert not opened(archive, cache)[1]


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200))
def test_any_bytes_in_its_place(archive: Path, cache: Path, data: bytes) -> None:
    opened(archive, cache)
    indexes(cache)[0].write_bytes(data)
    assert opened(archive, cache)[0].count == len(RECORDS)


def test_what_was_made_by_another_version_of_this_program_is_not_used(
    archive: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(archive, cache)
    monkeypatch.setattr(kept, "FORMAT", b"another")
    assert opened(archive, cache)[1]


def test_several_at_once(archive: Path, cache: Path) -> None:
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.append(opened(archive, cache)[0].digest)) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len(set(found)) == 1


def test_old_ones_are_swept_away(archive: Path, cache: Path) -> None:
    for number in range(7):
        archive.write_bytes(packed(*RECORDS, record(ALL, identity=f"X{number}", name="x")))
        opened(archive, cache)
    abandoned, fresh = cache / ".unfinished-1", cache / ".unfinished-2"
    for path in (abandoned, fresh):
        path.touch()
    os.utime(abandoned, (0, 0))
    archive.write_bytes(packed(*RECORDS))
    opened(archive, cache)
    assert len(indexes(cache)) == 4
    assert not opened(archive, cache)[1]
    assert not abandoned.exists()
    assert fresh.exists(), "somebody may be at it"


def test_a_few_records_leave_nothing_behind(archive: Path, tmp_path: Path) -> None:
    Database.open(archive, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_folder_that_cannot_be_one(archive: Path, cache: Path) -> None:
    cache.write_text("a file")
    with pytest.raises(InputError, match="no index can be kept there"):
        Database.open(archive, cache)


def test_nothing_is_left_of_an_index_that_was_not_finished(archive: Path, cache: Path) -> None:
    archive.write_bytes(packed(*RECORDS)[:-100])
    with pytest.raises(InputError):
        Database.open(archive, cache)
    assert list(cache.iterdir()) == []


def test_what_changes_while_it_is_read_is_refused(archive: Path, cache: Path) -> None:
    def tamper(line: str) -> None:
        with archive.open("ab") as file:
            file.write(b"x")

    with pytest.raises(InputError, match="it changed while it was read"):
        Database.open(archive, cache, tamper)
    assert indexes(cache) == []


def test_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DMZ_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("DMZ_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "package-dmz"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == tmp_path / ".cache" / "package-dmz"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "package-dmz"
