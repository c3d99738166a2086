"""Several processes read the same as one."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from dmz.errors import InputError
from dmz.promotion.advisories import readers
from dmz.promotion.advisories.archive import WHOLE, Share, Source
from dmz.promotion.advisories.database import Database
from dmz.promotion.advisories.rows import Batch, batches
from tests.promotion.advisories.records import ALL, packed, record

MANY = [record(ALL, identity=f"GHSA-{number}", name=f"n{number}") for number in range(2600)]
COMMENT = b"a comment"


def children() -> set[str]:
    """The processes that this one started and that are still there, ended ones among them."""
    found: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that has ended meanwhile
            found.update((task / "children").read_text(encoding="ascii").split())
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(readers, "_LARGE", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2})
    (tmp_path / "all.zip").write_bytes(packed(*MANY, comment=COMMENT))
    (tmp_path / "one.json").write_text(json.dumps([record(ALL, identity="B", name="b")]))
    return tmp_path


@contextmanager
def opened(folder: Path) -> Iterator[list[Source]]:
    with (folder / "all.zip").open("rb") as first, (folder / "one.json").open("rb") as second:
        yield [Source(folder / "all.zip", first), Source(folder / "one.json", second)]


def ids(found: list[Batch]) -> list[tuple[int, str]]:
    return [(batch.source, row.id) for batch in found for row in batch.rows]


def test_they_read_what_one_reads(folder: Path) -> None:
    with opened(folder) as sources:
        alone, several = list(batches(sources, WHOLE)), list(readers.read(sources))
    assert len(several) > len(alone)
    assert sorted(ids(several)) == sorted(ids(alone))
    assert len(set(ids(alone))) == len(MANY) + 1
    assert {batch.comment for batch in several} == {b"", COMMENT}


def test_the_order_is_always_the_same(folder: Path) -> None:
    with opened(folder) as sources:
        assert ids(list(readers.read(sources))) == ids(list(readers.read(sources)))


def test_shares_are_disjoint_and_all() -> None:
    shares = [Share(number, 3) for number in range(3)]
    assert all(sum(share.has(place) for share in shares) == 1 for place in range(5000))


def test_the_database_is_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    several = Database.open(folder)
    monkeypatch.undo()
    alone = Database.open(folder)
    assert (several.digest, several.count, several.ecosystems) == (
        alone.digest,
        alone.count,
        alone.ecosystems,
    )
    assert several.findings("PyPI", "n2599", "1") == alone.findings("PyPI", "n2599", "1") != ()


def test_what_one_of_them_refuses_is_refused(folder: Path) -> None:
    with zipfile.ZipFile(folder / "all.zip", "a") as archive:
        archive.writestr("bad.json", "{}")
    with pytest.raises(InputError, match=r"all\.zip: bad\.json: no OSV record"):
        Database.open(folder)


def test_they_read_the_file_that_was_opened_whatever_has_its_name_now(folder: Path) -> None:
    with opened(folder) as sources:
        (folder / "other.zip").write_bytes(packed(record(ALL, identity="OTHER")))
        (folder / "other.zip").replace(folder / "all.zip")
        assert len(ids(list(readers.read(sources)))) == len(MANY) + 1


def test_one_that_dies_is_no_end_of_the_records(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "_CODE", "raise SystemExit(9)")
    with pytest.raises(InputError, match="a reading process was stopped"):
        Database.open(folder)


def test_nobody_goes_on_reading_for_nobody(folder: Path) -> None:
    before = children()
    with opened(folder) as sources:
        found = readers.read(sources)
        next(found)
        assert children() > before
        found.close()  # type: ignore[attr-defined]
    assert children() == before
