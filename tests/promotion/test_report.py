from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmz.artifact import Kind
from dmz.errors import InputError
from dmz.promotion import report
from dmz.promotion.verification import Held
from tests.promotion import test_inventory

FINE: dict[str, Any] = {
    "schema": 1,
    "workload": "small",
    "release": "e" * 64,
    "machine": "dmz-inner",
    "created": "2026-11-22T10:29:00Z",
    "base_image": test_inventory.FINE["base_image"],
    "installed": {
        "apt": [{"name": "jq", "version": "1.6-2.1", "architecture": "amd64", "sha256": "a" * 64}],
        "pypi": [
            {
                "name": "JAX",
                "version": "0.4.1",
                "filename": "jax-0.4.1-py3-none-any.whl",
                "sha256": "b" * 64,
            }
        ],
        "files": [{"name": "data.tgz", "sha256": "c" * 64}],
    },
    "check": {"exit": 0, "output": "loss 3 -> 0.5\n\x1b[31mred", "sha256": "d" * 64},
    "probes": [{"name": "tcp", "target": "203.0.113.1:443", "observed": "blocked", "detail": ""}],
    "error": None,
}


def read(document: Any) -> report.Report:
    return report.parse(json.dumps(document).encode(), "reports/x.json")


def test_a_complete_report() -> None:
    found = read(FINE)
    assert found.passed
    assert found.held == (
        Held(Kind.APT, "jq", "amd64", "1.6-2.1", "a" * 64),
        Held(Kind.PYPI, "jax", "", "0.4.1", "b" * 64),
        Held(Kind.FILE, "data.tgz", "", "c" * 64, "c" * 64),
    )


def test_the_output_keeps_its_lines_and_loses_what_a_terminal_would_obey() -> None:
    check = read(FINE).check
    assert check
    assert check.output == "loss 3 -> 0.5\n?[31mred"


def test_a_failed_check_and_a_failed_installation_have_not_passed() -> None:
    assert not read(FINE | {"check": {"exit": 1, "output": ""}}).passed
    failed = read(FINE | {"check": None, "error": "other bytes"})
    assert not failed.passed
    assert failed.error == "other bytes"
    assert not read(FINE | {"error": "said so, and still a check"}).passed


def test_a_report_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="neither a check nor an error"):
        read(FINE | {"check": None})


@pytest.mark.parametrize("key", sorted(FINE))
def test_every_key_is_needed(key: str) -> None:
    with pytest.raises(InputError, match="is missing"):
        read({name: value for name, value in FINE.items() if name != key})


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        report.parse(data, "x.json")


@given(key=st.sampled_from(sorted(FINE)), value=test_inventory.json_values)
def test_any_value_anywhere_passes_whole_or_is_refused(key: str, value: Any) -> None:
    document = copy.deepcopy(FINE) | {key: value}
    try:
        found = read(document)
    except InputError as refusal:
        said = str(refusal)
    else:
        said = "fine"
        assert found.passed or found.error is not None or (found.check and found.check.exit)
    assert said.isprintable()
