"""Releases of several workloads in one inner stack."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from dmz.promotion import lines
from dmz.promotion.entry import Entry
from tests.program.program import run
from tests.program.releases import DEB, WHEEL, write_release

SYNC = "pulumi-python:dynamic/dmz:PackageSync"


def other(entry: Entry, version: str, filename: str, digit: str) -> Entry:
    artifact = replace(entry.artifact, version=version, filename=filename, sha256=digit * 64)
    return replace(entry, artifact=artifact)


NEWER = other(WHEEL, "0.5", "jax-0.5-py3-none-any.whl", "e")


def test_each_is_published_and_the_repositories_hold_all(checkout: Path) -> None:
    small = write_release(checkout / "releases", DEB, WHEEL)
    large = write_release(checkout / "releases", DEB, NEWER, workload="large")
    done = run("inner")
    assert done.error is None
    [sync] = done.of(SYNC)
    assert sync.inputs["releases"] == {"large": large.digest, "small": small.digest}
    assert {artifact.filename for artifact in lines.parse(sync.inputs["packages"])} == {
        "git_2.39.5-0_amd64.deb",
        "jax-0.4-py3-none-any.whl",
        "jax-0.5-py3-none-any.whl",
    }
    # One package is one line of the preview, with its versions.
    first, second = sync.inputs["packages"]["pypi/jax"].split(" | ")
    assert (first.split(" ")[0], second.split(" ")[0]) == ("0.4", "0.5")


def test_the_machine_runs_the_stacks_own(checkout: Path) -> None:
    write_release(checkout / "releases", WHEEL)
    write_release(checkout / "releases", NEWER, workload="large")
    [machine] = run("inner").of("gcp:tpu/v2Vm:V2Vm")
    assert json.loads(machine.inputs["metadata"]["dmz-settings"])["workload"] == "small"


def test_another_workloads_release_is_no_release_of_the_stacks_own(checkout: Path) -> None:
    write_release(checkout / "releases", WHEEL, workload="large")
    done = run("inner")
    assert not done.of(SYNC)
    assert not done.of("gcp:tpu/v2Vm:V2Vm")


def test_one_file_name_with_two_contents_is_refused_and_both_are_named(checkout: Path) -> None:
    write_release(checkout / "releases", WHEEL)
    changed = replace(WHEEL, artifact=replace(WHEEL.artifact, sha256="e" * 64))
    write_release(checkout / "releases", changed, workload="large")
    done = run("inner")
    assert not done.of(SYNC)
    assert "jax-0.4-py3-none-any.whl: the releases of large and small approve different bytes" in str(
        done.error
    )


def test_one_deb_with_two_contents_is_refused_too(checkout: Path) -> None:
    write_release(checkout / "releases", DEB, WHEEL)
    changed = replace(DEB, artifact=replace(DEB.artifact, sha256="e" * 64, origin="apt-bookworm-security"))
    write_release(checkout / "releases", changed, workload="large")
    assert "the releases of large and small" in str(run("inner").error)


def test_a_damaged_release_of_another_workload_stops_everything(checkout: Path) -> None:
    write_release(checkout / "releases", WHEEL)
    write_release(checkout / "releases", WHEEL, workload="large")
    (checkout / "releases" / "files.large.lock").unlink()
    done = run("inner")
    assert "files.large.lock is missing" in str(done.error)
    assert not done.of(SYNC)
