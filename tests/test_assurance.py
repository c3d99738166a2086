"""docs/assurance.md names tests: each of them has to be there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAMED = re.findall(r"`([a-z0-9_/]+\.py)(?:::\w+)*?(?:::(\w+))?`", (ROOT / "docs/assurance.md").read_text())


def _tests(file: Path) -> set[str]:
    nodes = ast.walk(ast.parse(file.read_text()))
    functions = (node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {node.name for node in functions if node.name.startswith("test_")}


def test_every_test_that_is_named_exists() -> None:
    missing = []
    for name, test in NAMED:
        file = ROOT / "tests" / name.removeprefix("tests/")
        if not file.exists() or (test and test not in _tests(file)):
            missing.append(f"{name}::{test}")
    assert not missing


def test_no_row_claims_without_a_test() -> None:
    rows = [line for line in (ROOT / "docs/assurance.md").read_text().splitlines() if line.startswith("| ")]
    claims = [row for row in rows if "**yes**" in row or "*partly*" in row]
    assert len(claims) > 15
    assert not [row for row in claims if ".py::" not in row]
