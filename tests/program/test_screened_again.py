"""A preview warns of what is in the releases and would be refused today; it does not fail for it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.program.program import ROOT, run
from tests.program.releases import ENTRIES, write_release


@pytest.fixture
def advisories(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    monkeypatch.setenv("DMZ_CACHE", str(tmp_path_factory.mktemp("cache")))
    shutil.copytree(ROOT / "advisories", checkout / "advisories")
    write_release(checkout / "releases", *ENTRIES)
    return checkout / "advisories"


def test_what_became_vulnerable_is_named(advisories: Path) -> None:
    assert not [words for words in run("inner").warnings if "refused" in words]
    record = {
        "id": "GHSA-1",
        "modified": "2026-11-01T00:00:00Z",
        "affected": [{"package": {"ecosystem": "PyPI", "name": "jax"}, "versions": ["0.4"]}],
    }
    (advisories / "GHSA-1.json").write_text(json.dumps(record))
    done = run("inner")
    assert done.error is None
    [said] = [words for words in done.warnings if "refused" in words]
    assert said.startswith("small: pypi/jax 0.4 would be refused now: GHSA-1")
    assert done.of("pulumi-python:dynamic/dmz:PackageSync")


def test_advisories_that_do_not_read_are_named(advisories: Path) -> None:
    (advisories / "broken.json").write_text("{")
    done = run("inner")
    assert done.error is None
    [said] = [words for words in done.warnings if "screened again" in words]
    assert "broken.json" in said
