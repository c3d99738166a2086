"""`dmz policy explain` against outer repositories: the release, or what they offer by name and version."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dmz.errors import InputError, RefusedError
from dmz.promotion import release as releases
from dmz.promotion.verdict import Verdict
from dmz.workflow.estate import Estate
from dmz.workflow.examine import examine
from dmz.workflow.sources import context
from tests.outer import OUTPUTS, offer_deb, offer_wheel, offering, served, silent
from tests.promotion.builders import release
from tests.promotion.builders import wheel as made
from tests.registries.counterpart import Counterpart

ROOT = Path(__file__).parents[1]


class Up(Estate):
    """An estate whose outer stack is up, and the inner one is not."""

    def outer_outputs(self) -> Mapping[str, Any]:
        return OUTPUTS

    def inner_outputs(self) -> Mapping[str, Any]:
        raise InputError("stack inner is not up")


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    for name in ("Pulumi.yaml", "Pulumi.outer.yaml", "Pulumi.inner.yaml", "policy.toml"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("workloads", "advisories", "waivers"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return Up(tmp_path)


@pytest.fixture
def outer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counterpart]:
    found = offering()
    for version in ("5.29.6", "6.31.0", "6.33.5"):
        offer_wheel(found, "protobuf", version)
    offer_deb(found, "jq", "1.6-2.1")
    with served(found, monkeypatch, str(tmp_path / "cache")):
        yield found


def explained(estate: Estate, package: str, version: str | None = None) -> list[Verdict]:
    return asyncio.run(examine(estate, package, version, False, silent))


def test_the_files_of_other_workloads_releases_are_known_as_such(estate: Estate) -> None:
    own, others = made("jax", "0.4.1", b"own"), made("flax", "0.12.8", b"others")
    releases.write(release(own), estate.releases)
    releases.write(release(own, others, workload="large"), estate.releases)
    found = context(estate, datetime(2026, 11, 22, tzinfo=UTC))
    assert found.previous.keys() == {"pypi/jax"}
    assert found.elsewhere == {own.sha256, others.sha256}


def test_a_version_that_is_in_no_release_is_judged_as_the_outer_repository_offers_it(
    estate: Estate, outer: Counterpart
) -> None:
    [verdict] = explained(estate, "Protobuf", "6.31")
    assert verdict.entry.artifact.filename == "protobuf-6.31.0-py3-none-any.whl"
    assert "CVE-2025-4565" in [each.id for each in verdict.refusals]
    [better] = explained(estate, "protobuf", "6.33.5")
    assert "severity" not in [each.rule for each in better.refusals]


def test_a_deb_is_judged_as_its_suite_offers_it(estate: Estate, outer: Counterpart) -> None:
    for name in ("jq", "apt/jq", "apt/jq:amd64"):
        [verdict] = explained(estate, name, "1.6-2.1")
        assert verdict.entry.artifact.origin == "apt-bookworm"
        assert verdict.evidence.upstreams == ("apt-bookworm",)


def test_what_nobody_offers_is_said_with_what_there_is(estate: Estate, outer: Counterpart) -> None:
    with pytest.raises(
        InputError, match=r"offers protobuf '7'.*the newest are pypi/protobuf 5.29.6, .*6.33.5$"
    ):
        explained(estate, "protobuf", "7")
    with pytest.raises(InputError, match=r"offers jq '9'.*apt/jq 1\.6-2\.1$"):
        explained(estate, "apt/jq", "9")
    with pytest.raises(InputError, match="look at the name"):
        explained(estate, "nothing", "1")


def test_a_release_whose_bytes_are_not_those_of_the_outer_repository_is_no_verdict(
    estate: Estate, outer: Counterpart
) -> None:
    releases.write(release(made("protobuf", "5.29.6", b"others")), estate.releases)
    with pytest.raises(RefusedError, match="find out who changed it"):
        explained(estate, "protobuf")
