from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from dmz.promotion.advisories.database import Database
from dmz.promotion.finding import Finding
from dmz.promotion.versions import PYPI
from tests.accuracy.measure import CASES, RECORDS, Case, cases, measure

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def labelled() -> list[Case]:
    return cases()


@pytest.fixture(scope="module")
def database() -> Database:
    return Database.open(RECORDS)


@pytest.fixture(scope="module")
def records() -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_bytes()) for path in RECORDS.glob("*.json")}


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.accuracy", *arguments], cwd=ROOT, capture_output=True, text=True
    )


def test_nothing_is_wrong(database: Database, labelled: list[Case]) -> None:
    measured = measure(database, labelled)
    assert (list(map(str, measured.false_alarms)), list(map(str, measured.misses))) == ([], [])
    assert measured.records == len(labelled) >= 300


def test_the_command_says_so_in_one_line(labelled: list[Case]) -> None:
    done = command()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"records={len(labelled)} false_alarms=0 misses=0\n"


def test_the_command_names_what_is_wrong_and_fails(tmp_path: Path) -> None:
    text = CASES.read_text(encoding="utf-8")
    for right, wrong in (
        ('affected = ["2.31.0"]\nclean = ["2.32.0"]', 'affected = ["2.32.0"]\nclean = ["2.31.0"]'),
        ('affected = ["2.36-9+deb12u3"]\nclean', 'affected = ["2.36-9+deb12u5"]\nclean'),
    ):
        assert text.count(right) == 1
        text = text.replace(right, wrong)
    (tmp_path / "wrong.toml").write_text(text, encoding="utf-8")
    done = command(str(tmp_path / "wrong.toml"))
    assert done.returncode == 1
    assert done.stdout.endswith("false_alarms=1 misses=2\n")
    assert done.stderr.splitlines() == [
        "false alarm: PyPI requests 2.31.0 (CVE-2024-35195)",
        "miss: PyPI requests 2.32.0 (CVE-2024-35195)",
        "miss: Debian:12 libc-bin 2.36-9+deb12u5 (CVE-2023-6246)",
    ]


def test_every_wrong_label_is_noticed(database: Database, labelled: list[Case]) -> None:
    turned = [replace(case, affected=not case.affected) for case in labelled]
    measured = measure(database, turned)
    assert set(measured.misses) == {case for case in turned if case.affected}
    assert set(measured.false_alarms) == {case for case in turned if not case.affected}


def test_a_finding_that_does_not_say_malware_is_a_miss(database: Database, labelled: list[Case]) -> None:
    attack = next(case for case in labelled if case.malware and case.affected)
    assert measure(database, [replace(attack, malware=False)]).misses
    weakness = next(case for case in labelled if not case.malware and case.affected)
    assert measure(database, [replace(weakness, malware=True)]).misses


def test_one_thing_told_twice_is_a_false_alarm(database: Database, labelled: list[Case]) -> None:
    class Stutter:
        name, as_of, digest = "twice", None, ""

        def findings(self, *asked: str) -> Sequence[Finding]:
            found = database.findings(*asked)
            return (*found, *found)

    affected = [case for case in labelled if case.affected]
    assert len(measure(Stutter(), affected).false_alarms) == len(affected)


def test_a_case_that_stands_twice_is_an_error(tmp_path: Path) -> None:
    table = (
        '[[package]]\necosystem = "PyPI"\nname = "a"\nadvisory = "CVE-1"\naffected = ["1"]\nclean = ["1"]\n'
    )
    (tmp_path / "twice.toml").write_text(table)
    with pytest.raises(ValueError, match="stand twice"):
        cases(tmp_path / "twice.toml")


def test_every_record_is_asked_about_and_says_where_it_is_from(
    records: dict[str, dict[str, Any]], labelled: list[Case]
) -> None:
    asked = {case.advisory for case in labelled}
    for name, record in records.items():
        assert name == record["id"]
        names = {name, *record.get("aliases", ()), *record.get("upstream", ())}
        assert names & asked, f"no case asks for {name}"
        assert record["database_specific"]["comment"]


def test_every_sort_of_boundary_is_in_the_set(
    records: dict[str, dict[str, Any]], labelled: list[Case]
) -> None:
    python = [Version(case.version) for case in labelled if case.ecosystem == PYPI]
    debian = [case.version for case in labelled if case.ecosystem != PYPI]
    assert any(version.local for version in python)
    assert any(version.is_prerelease for version in python)
    assert any(version.is_postrelease for version in python)
    for mark in ("1:", "3:", "~deb", "+deb", "~bpo12+1", "+b1", "ubuntu", "+really"):
        assert any(mark in version for version in debian), mark
    assert any("(" in case.source for case in labelled)
    said = [affected for record in records.values() for affected in record["affected"]]
    events = [[event for each in affected.get("ranges", ()) for event in each["events"]] for affected in said]
    assert any("last_affected" in event for each in events for event in each)
    assert any("dev" in event.get("fixed", "") for each in events for event in each)
    assert any("post" in event.get("fixed", "") for each in events for event in each)
    assert max(sum("introduced" in event for event in each) for each in events) >= 7
    assert any("versions" in affected and "ranges" not in affected for affected in said)
    assert any("withdrawn" in record for record in records.values())
    assert any(len(record.get("aliases", ())) > 1 for record in records.values())
    assert {case.ecosystem for case in labelled} > {PYPI, "Debian:11", "Debian:12", "Ubuntu:22.04:LTS"}
