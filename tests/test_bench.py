"""The measurements: that they can be made, and that what came of them has the form that others read."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest

import bench
from bench import tables
from bench.bars import bars
from bench.harness import HERE, RESULTS, Result, result, run

MODULES = sorted(each.name for each in pkgutil.iter_modules(bench.__path__))


@pytest.mark.parametrize("name", MODULES)
def test_every_module_imports_and_measures_nothing_by_that(name: str) -> None:
    assert importlib.import_module(f"bench.{name}").__doc__


def test_results_have_the_form() -> None:
    names = [field.name for field in fields(Result)]
    results: list[dict[str, Any]] = json.loads(RESULTS.read_text())
    assert results
    assert len({each["name"] for each in results}) == len(results)
    for each in results:
        assert list(each) == names
        assert each["min"] <= each["median"] == each["ours"] <= each["max"]
        assert (each["other"] is None) == (each["ratio"] is None)
        assert (each["target"] is None) == (each["holds"] is None)
        assert each["holds"] is None or each["holds"] == (each["median"] <= each["target"])


def test_a_result_says_other_to_ours_and_whether_the_target_holds() -> None:
    found = result("n", "s", [1.0, 4.0, 2.0], target=2.0, other=[10.0, 30.0, 20.0])
    assert found == Result("n", "s", 2.0, 20.0, 10.0, 1.0, 2.0, 4.0, 2.0, holds=True)
    assert result("n", "s", [2.1], target=2.0).holds is False


def test_the_tables_say_what_the_results_say() -> None:
    text = tables.README.read_text()
    assert "<!-- results: " in text
    assert tables.made(text, json.loads(RESULTS.read_text())) == text


def test_a_table_has_the_results_that_are_meant() -> None:
    one = asdict(result("72 wheels", "s", [1.0], target=0.5, other=[4.0]))
    two = asdict(result("100 debs", "s", [1.0]))
    text = tables.made("a\n<!-- results: \\d+ wheels -->\nold\n<!-- end of results -->\nb", [one, two])
    assert "| 72 wheels | 1 s | 1 to 1 | 4 s | 4 times as long | at most 0.5 s: **missed** |\n<!--" in text
    assert "old" not in text
    assert "debs" not in text


def test_what_is_fetched_is_pinned() -> None:
    pinned = re.compile(r"[a-z0-9-]+==\S+ --hash=sha256:[0-9a-f]{64}")
    lines = [line for line in (HERE / "wheels.txt").read_text().splitlines() if not line.startswith("#")]
    assert len(lines) >= 70
    assert all(map(pinned.fullmatch, lines))
    assert len(set((HERE / "debs.txt").read_text().split())) == 100


def test_a_process_is_given_its_input_and_says_why_it_failed(tmp_path: Path) -> None:
    assert run(["cat"], folder=tmp_path, given="text").output == "text"
    with pytest.raises(RuntimeError, match=r"exit code 3: the reason"):
        run(["sh", "-c", "echo the reason >&2; exit 3"])


def test_a_chart_has_a_bar_for_each_and_escapes_names() -> None:
    chart = bars("title", {"<ours>": 1.0, "other": 20.0}, ours=frozenset({"<ours>"}), unit="s")
    assert chart.count("&lt;ours&gt;") == 1
    assert chart.count("<rect") == 3  # and the ground
    assert "100 s" in chart
