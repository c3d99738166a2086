from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.cloud.artifact_registry import Options
from tests.sandbox.data.harness import Running, running


@pytest.fixture
def options() -> Options:
    return Options()


@pytest.fixture
def sandbox(tmp_path: Path, options: Options) -> Iterator[Running]:
    with running(tmp_path / "root", options) as here:
        yield here
