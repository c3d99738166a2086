"""The calls are those that the real plugin makes for the same inputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.provider.cases import CASES, inputs
from tests.sandbox.provider.engine import Engine
from tests.sandbox.provider.recorder import Call, Recorder

ROWS = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "provider-calls.jsonl").read_text().splitlines()
]


def recorded(case: str, endpoint: str) -> list[dict[str, Any]]:
    text = json.dumps([row for row in ROWS if row["resource"] == case]).replace("{endpoint}", endpoint)
    kept = ("http", "path", "query", "body")
    return once([{key: row[key] for key in kept if key in row} for row in json.loads(text)])


def made(calls: list[Call]) -> list[dict[str, Any]]:
    return once([call.row() for call in calls if "/operations/" not in call.path])


def once(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the reads that were made before, which the recording leaves out too."""
    kept: list[dict[str, Any]] = []
    for row in rows:
        read = row["http"] == "GET" or row["path"].endswith(":getIamPolicy")
        if not (read and row in kept):
            kept.append(row)
    return kept


def prepared(case: str, recorder: Recorder) -> None:
    if case == "router-nat":
        recorder.resources["compute/beta/projects/inner/regions/us-central1/routers/router"] = {}


@pytest.mark.parametrize("case", CASES)
def test_creation_and_deletion_make_the_recorded_calls(case: str, engine: Engine, recorder: Recorder) -> None:
    prepared(case, recorder)
    kind, given = inputs(case, recorder.address)
    resource = engine.create(kind, case, given)
    engine.delete(resource)
    assert made(recorder.calls) == recorded(case, recorder.address)


def test_every_recorded_call_belongs_to_a_case() -> None:
    assert {row["resource"] for row in ROWS} == set(CASES)
