"""Looking up ahead, in another process: the same answers, and none lost."""

from __future__ import annotations

import gc
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from dmz.errors import InputError
from dmz.promotion.advisories import ahead, index, kept
from dmz.promotion.advisories.database import Database
from dmz.promotion.finding import Finding
from tests.promotion.advisories.records import ALL, packed, record
from tests.promotion.advisories.test_readers import children

ASKED = [("PyPI", f"n{number}", "1") for number in range(30)]
RECORDS = [
    record(ALL, identity=f"GHSA-{number}", name=f"n{number}", aliases=[f"CVE-2026-{number}"], summary="Bad")
    for number in range(20)
]


FIRST = ASKED[:5]
"""What is looked up at a time, so that the other process always has something to do."""


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setattr(kept, "_SMALL", 0)
    monkeypatch.setattr(ahead, "ENOUGH", 10)
    monkeypatch.setattr(ahead, "_AT_ONCE", len(FIRST))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    path = tmp_path / "all.zip"
    path.write_bytes(packed(*RECORDS))
    return Database.open(path, tmp_path / "cache")


@pytest.fixture
def here(database: Database) -> Mapping[ahead.Asked, tuple[Finding, ...]]:
    alone = Database.open(database.path)
    return {each: alone.findings(*each) for each in ASKED}


@pytest.fixture
def counted(
    here: Mapping[ahead.Asked, tuple[Finding, ...]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[str]]:
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
    with database.expecting([*ASKED, *ASKED]):
        assert {each: database.findings(*each) for each in ASKED} == here
        assert {each: database.findings(*each) for each in reversed(ASKED)} == here
    assert len(counted) == len(set(counted)), "nothing is looked up twice"
    assert set(counted).isdisjoint(name for _, name, _ in FIRST)
    assert sum(map(len, here.values())) == 20


def test_this_process_waits_only_for_what_the_other_is_at(
    database: Database,
    here: Mapping[ahead.Asked, tuple[Finding, ...]],
    counted: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waiting = tmp_path / "waiting"
    code = f"import os, time\nwhile not os.path.exists({str(waiting)!r}): time.sleep(0.01)\n"
    monkeypatch.setattr(ahead, "_CODE", code + ahead._CODE)
    receive = ahead.Ahead._receive

    def noted(self: ahead.Ahead, other: ahead.Other) -> None:
        waiting.touch()
        receive(self, other)

    monkeypatch.setattr(ahead.Ahead, "_receive", noted)
    with database.expecting(ASKED):
        assert database.findings(*ASKED[0]) == here[ASKED[0]]
    assert sorted(counted) == sorted(name for _, name, _ in ASKED[len(FIRST) :])


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.exit(1)",
        "import sys; sys.stdout.write('half')",
        "import sys; sys.stdout.write('nonsense, and a lot of it')",
        "import sys; sys.stdout.buffer.write(bytes([1, *bytes(7), 0xC0]))",  # no list
        "import sys; sys.stdout.buffer.write(bytes([1, *bytes(7), 0x90]))",  # a list of nothing
        """
from dmz.promotion.advisories import worker
send = worker.send
def once(*message):
    send(*message)
    raise SystemExit(1)
worker.send = once
worker.main()
""",
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
    with database.expecting(ASKED):
        assert {each: database.findings(*each) for each in ASKED} == here
    assert not told.exists()
    assert set(counted).isdisjoint(name for _, name, _ in FIRST), "the other process did its part"


def test_what_is_no_version_is_refused_here(database: Database) -> None:
    wrong = ("PyPI", "n7", "no version")
    with database.expecting([*ASKED, wrong]):
        assert database.findings(*ASKED[-1]) == ()
        with pytest.raises(InputError, match=r"n7: 'no version' is no version"):
            database.findings(*wrong)


def test_what_was_not_expected_is_looked_up(database: Database) -> None:
    with database.expecting(ASKED[10:]):
        assert database.findings("PyPI", "n3", "2")
    assert database._ahead is None


def test_it_starts_while_the_questions_are_gathered(
    database: Database, here: Mapping[ahead.Asked, tuple[Finding, ...]]
) -> None:
    before = children()
    waiting = Database.open(database.path, database.path.parent / "cache", expected=len(ASKED))
    [process] = children() - before
    with waiting.expecting(ASKED[:9]):
        assert [waiting.findings(*each) for each in ASKED[:9]] == [here[each] for each in ASKED[:9]]
    assert children() - before == {process}, "a few leave it to more"
    with waiting.expecting(ASKED):
        assert children() - before == {process}
        assert {each: waiting.findings(*each) for each in ASKED} == here
    assert children() == before


def test_what_nobody_asked_ends_with_the_database(database: Database) -> None:
    before = children()
    waiting = Database.open(database.path, database.path.parent / "cache", expected=len(ASKED))
    assert len(children() - before) == 1
    del waiting
    gc.collect()
    assert children() == before


@pytest.mark.parametrize(("count", "processors"), [(9, 2), (30, 1)])
def test_a_few_or_one_processor_start_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch, count: int, processors: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(processors)))
    with database.expecting(ASKED[:count]):
        assert database._ahead is None
