from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.program.program import ROOT, Run, run
from tests.program.releases import ENTRIES, write_release
from tests.registries.counterpart import Counterpart, running

WORKLOAD = """
name = "small"
summary = "A step of training"
base-image = "sandbox-debian-12"
apt = ["git"]
python = ["jax"]
check = "python -c 'import jax'"
"""


@pytest.fixture(scope="package", autouse=True)
def services() -> Iterator[Counterpart]:
    """What the program looks at: outer's bucket of attestations."""
    bucket: dict[str, bytes] = {}
    told = Counterpart(buckets={"dmz-outer-attestations": bucket})
    with running(told) as counterpart, pytest.MonkeyPatch.context() as patch:
        for name, value in counterpart.environment().items():
            patch.setenv(name, value)
        yield counterpart


@pytest.fixture(autouse=True)
def attestations(services: Counterpart) -> dict[str, bytes]:
    """The bucket, empty again for every test."""
    services.may_impersonate = True
    services.buckets = {"dmz-outer-attestations": {}}
    return services.buckets["dmz-outer-attestations"]


def make_checkout(folder: Path) -> Path:
    """A checkout with a policy and a workload, and nothing released."""
    shutil.copy(ROOT / "policy.toml", folder)
    (folder / "workloads").mkdir()
    (folder / "workloads" / "small.toml").write_text(WORKLOAD, encoding="utf-8")
    return folder


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of its own, in which the program runs."""
    monkeypatch.chdir(make_checkout(tmp_path))
    return tmp_path


@pytest.fixture(scope="package")
def outer(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The outer side of the demo."""
    with contextlib.chdir(make_checkout(tmp_path_factory.mktemp("outer"))):
        done = run("outer")
    assert done.error is None
    return done


@pytest.fixture(scope="package")
def inner(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The inner side of the demo, with a release."""
    with contextlib.chdir(make_checkout(tmp_path_factory.mktemp("inner"))):
        write_release(Path("releases"), *ENTRIES)
        done = run("inner")
    assert done.error is None
    return done
