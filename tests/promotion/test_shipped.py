"""The workloads and advisories that come with the project."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from dmz.artifact import Kind
from dmz.promotion import workload
from dmz.promotion.advisories.database import Database
from dmz.promotion.base_image import base_images
from dmz.promotion.finding import Severity
from tests.promotion.builders import DEBIAN
from tests.promotion.test_screening import PROTOBUF, screening

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", sorted((ROOT / "workloads").glob("*.toml")), ids=lambda path: str(path.name))
def test_each_workload_reads_and_has_a_base_image(path: Path) -> None:
    found = workload.read(path)
    assert found.name == path.stem
    assert found.base_image in base_images([DEBIAN])


def test_the_small_one_is_capped_to_a_version_that_is_refused_and_has_a_way_out() -> None:
    small = workload.read(ROOT / "workloads/small.toml")
    [cap] = [text for text in small.python if Requirement(text).name == "protobuf"]
    allowed = [text for text in PROTOBUF if text != "dev" and text in Requirement(cap).specifier]
    screen = screening()
    newest = allowed[-1]
    assert newest not in screen.passing_versions(Kind.PYPI, "protobuf", allowed)
    assert screen.passing_versions(Kind.PYPI, "protobuf", allowed) == ["5.29.6"]
    assert len(small.apt) >= 3


def test_each_advisory_is_named_after_its_id_and_meant_for_something() -> None:
    paths = sorted((ROOT / "advisories").glob("*.json"))
    assert Database.open(ROOT / "advisories").count == len(paths) >= 2
    for path in paths:
        record = json.loads(path.read_text())
        assert record["id"] == path.stem
        assert record["references"]
        assert all(affected["ranges"] for affected in record["affected"])


def test_the_protobuf_records_are_high() -> None:
    found = Database.open(ROOT / "advisories").findings("PyPI", "protobuf", "6.31.0")
    assert [finding.severity for finding in found] == [Severity.HIGH, Severity.HIGH]
