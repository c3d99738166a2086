"""What every test leaves as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module", autouse=True)
def same_surroundings() -> Iterator[None]:
    """Variables and folder of the process: what one file of tests sets must not lead the next one astray."""
    before = _surroundings()
    yield
    assert _surroundings() == before, "a fixture outlives its file, or forgot what it set"


def _surroundings() -> tuple[dict[str, str], Path]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return variables, Path.cwd()
