"""Looking up ahead, in another process: the same answers, and none lost."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from dmz.errors import InputError
from dmz.promotion.advisories import Database, ahead, index
from dmz.promotion.finding import Finding
from tests.promotion.advisories.records import ALL, packed, record

ASKED = [("PyPI", f"n{number}", "1") for number in range(30)]
RECORDS = [
    record(ALL, identity=f"GHSA-{number}", name=f"n{number}", aliases=[f"CVE-2026-{number}"], summary="Bad")
    for number in range(20)
]


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setattr(index, "_SMALL", 0)
    monkeypatch.setattr(ahead, "ENOUGH", 10)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    path = tmp_path / "all.zip"
    path.write_bytes(packed(*RECORDS))
    Database.open(path, tmp_path / "cache")
    return Database.open(path, tmp_path / "cache")


@pytest.fixture
def here(database: Database) -> Mapping[ahead.Asked, tuple[Finding, ...]]:
    return {each: database.findings(*each) for each in ASKED}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of the packages that were looked up in this process."""
    names: list[str] = []
    said = index.Index.said

    def noted(self: index.Index, ecosystem: str, name: str) -> object:
        names.append(name)
        return said(self, ecosystem, name)

    with monkeypatch.context() as patch:
        patch.setattr(index.Index, "said", noted)
        yield names


def test_the_answers_are_the_same(
    database: Database, here: Mapping[ahead.Asked, tuple[Finding, ...]], counted: list[str]
) -> None:
    database._package.cache_clear()  # type: ignore[attr-defined]
    with database.expecting([*ASKED, *ASKED]):
        assert {each: database.findings(*each) for each in ASKED} == here
    assert counted == [name for _, name, _ in ASKED[:12]]
    assert sum(map(len, here.values())) == 20


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.stdout.write('half'); sys.exit(1)",
        "import sys; sys.stdout.write('nonsense')",
        "import sys; sys.stdout.buffer.write(bytes([0x90]))",  # a list of nothing
    ],
)
def test_what_the_other_process_could_not_do_is_done_here(
    database: Database,
    here: Mapping[ahead.Asked, tuple[Finding, ...]],
    monkeypatch: pytest.MonkeyPatch,
    code: str,
) -> None:
    monkeypatch.setattr(ahead, "_CODE", code)
    with database.expecting(ASKED):
        assert {each: database.findings(*each) for each in ASKED} == here


def test_where_it_can_not_be_started_all_is_done_here(
    database: Database, here: Mapping[ahead.Asked, tuple[Finding, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> object:
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(subprocess, "Popen", full)
    with database.expecting(ASKED):
        assert {each: database.findings(*each) for each in ASKED} == here


def test_neither_the_folder_that_it_runs_in_nor_a_token_reaches_it(
    database: Database,
    here: Mapping[ahead.Asked, tuple[Finding, ...]],
    counted: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = tmp_path / "told"
    for name in ("msgspec.py", "json.py", "sitecustomize.py"):
        (tmp_path / name).write_text(f"open({str(told)!r}, 'w'); raise SystemExit(1)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", "secret")
    code = "import os; assert 'GOOGLE_OAUTH_ACCESS_TOKEN' not in os.environ; " + ahead._CODE
    monkeypatch.setattr(ahead, "_CODE", code)
    database._package.cache_clear()  # type: ignore[attr-defined]
    with database.expecting(ASKED):
        assert {each: database.findings(*each) for each in ASKED} == here
    assert not told.exists()
    assert counted == [name for _, name, _ in ASKED[:12]], "the other process did its part"


def test_what_is_no_version_is_refused_here(database: Database) -> None:
    wrong = ("PyPI", "n7", "no version")
    with database.expecting([*ASKED, wrong]):
        assert database.findings(*ASKED[-1]) == ()
        with pytest.raises(InputError, match=r"n7: 'no version' is no version"):
            database.findings(*wrong)


def test_what_was_not_expected_is_looked_up(database: Database) -> None:
    with database.expecting(ASKED[10:]):
        assert database.findings("PyPI", "n3", "2")
    assert not database._ahead


@pytest.mark.parametrize(("count", "processors"), [(9, 2), (30, 1)])
def test_a_few_or_one_processor_start_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch, count: int, processors: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(processors)))
    with database.expecting(ASKED[:count]):
        assert not database._ahead
