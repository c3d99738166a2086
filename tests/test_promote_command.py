# ruff: noqa: F811 - fixtures of another module
"""`dmz promote`: what people and scripts are told of a shard, and of a schedule."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dmz.cli import cli
from dmz.commands.common import Setting
from dmz.workflow.estate import Estate
from tests.attestations import ATTESTOR, POLICY, pem
from tests.registries.counterpart import SYNC, Counterpart
from tests.test_sync import (  # noqa: F401
    ALL,
    APT,
    JAX,
    PYTHON,
    Attested,
    attested,
    cloud,
    create,
    digests,
    held,
    released,
)


class Up(Estate):
    """A checkout whose stacks are up, and whose sync has run with what `state` says, if it has."""

    state: tuple[dict[str, Any], ...] = ()
    missing = ""
    """An output that an earlier version did not have."""
    adopt = False

    @property
    def releases(self) -> Path:
        return Path("releases")

    @property
    def workload(self) -> Any:
        return SimpleNamespace(name="small")

    @property
    def inner_settings(self) -> Any:
        return SimpleNamespace(releases=Path("releases"), adopt=self.adopt, withdraw_on_delete=False)

    @property
    def policy(self) -> Any:
        return SimpleNamespace(digest=POLICY, limits=SimpleNamespace(attestation_max_age=timedelta(days=7)))

    @property
    def inner(self) -> Any:
        return SimpleNamespace(resources=lambda _: [{"outputs": each} for each in self.state])

    def inner_outputs(self) -> Mapping[str, Any]:
        found = {
            "side": "inner",
            "project": "inner",
            "location": "us-central1",
            "pythonRepository": "python",
            "aptRepository": "apt",
            "releaseBucket": "inner-release",
            "stagingBucket": "inner-staging",
        }
        return {name: value for name, value in found.items() if name != self.missing}

    def outer_outputs(self) -> Mapping[str, Any]:
        return {
            "side": "outer",
            "project": "outer",
            "filesBucket": "outer-files",
            "archiveBucket": "outer-archive",
            "attestationsBucket": "outer-attestations",
            "attestationPublicKey": pem(),
            "attestorServiceAccount": ATTESTOR,
            "syncServiceAccount": SYNC,
        }


@pytest.fixture(autouse=True)
def estate(monkeypatch: pytest.MonkeyPatch) -> type[Up]:
    monkeypatch.setattr(Setting, "entered", lambda *_: Up(Path()))
    for name in ("state", "missing", "adopt"):
        monkeypatch.setattr(Up, name, getattr(Up, name))
    return Up


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["promote", *arguments])


def test_a_shard_says_what_it_copied_and_the_second_time_that_there_was_nothing(
    cloud: Counterpart, attested: Attested
) -> None:
    attested(*ALL)
    done = json.loads(call("--json").stdout)
    assert (done["copied"], done["bytes"], done["kept"]) == (5, sum(each.size for each in ALL), 0)
    assert held(cloud) == digests(*ALL) - {APT.sha256}
    again = call("--json")
    told = json.loads(again.stdout)
    assert (told["copied"], told["staged"], told["kept"], told["contested"]) == (0, 1, 4, [])
    assert call().stdout.strip() == "Nothing had to be copied."


def test_shards_share_the_work(cloud: Counterpart, attested: Attested) -> None:
    attested(*ALL)
    told = [json.loads(call("--shard", f"{index}/3", "--json").stdout) for index in (1, 2, 3)]
    assert [each["shard"] for each in told] == ["1/3", "2/3", "3/3"]
    assert sum(each["copied"] for each in told) == len(ALL)


def test_what_waits_for_the_sync_is_named(
    cloud: Counterpart, attested: Attested, monkeypatch: pytest.MonkeyPatch
) -> None:
    attested(*ALL)
    cloud.keep("inner/python", JAX[0], b"other bytes")
    refused = call()
    assert (refused.exit_code, refused.stderr.count("dmz:adopt")) == (3, 1)
    monkeypatch.setattr(Up, "adopt", True)
    assert "1 files wait for the next `pulumi up`, such as pypi/jax 0.10.2" in call().stdout


def test_a_stack_that_has_synced_may_withdraw_and_so_a_shard_need_not_wait(
    cloud: Counterpart, attested: Attested, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = create(attested(PYTHON["flax"]))
    monkeypatch.setattr(Up, "state", (first,))
    attested(PYTHON["jax"])
    assert call().exit_code == 0
    assert held(cloud) == digests(PYTHON["jax"], PYTHON["flax"])


@pytest.mark.parametrize("text", ["0/4", "5/4", "a/b", "1", ""])
def test_a_shard_that_is_none_is_bad_input_before_anything_comes_up(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("came up")

    monkeypatch.setattr(Setting, "entered", never)
    result = call("--shard", text)
    assert (result.exit_code, len(result.stderr.strip().splitlines())) == (2, 1)
    assert "write I/N" in result.stderr


def test_what_nobody_attested_is_refused(cloud: Counterpart) -> None:
    released(*ALL)
    result = call("--json")
    assert result.exit_code == 3
    assert "not attested yet" in json.loads(result.stdout)["error"]
    assert not held(cloud)


def test_a_stack_of_an_earlier_version_is_named(
    cloud: Counterpart, attested: Attested, monkeypatch: pytest.MonkeyPatch
) -> None:
    attested(*ALL)
    monkeypatch.setattr(Up, "missing", "stagingBucket")
    result = call()
    assert (result.exit_code, "'stagingBucket'; run: pulumi up -s inner" in result.stderr) == (2, True)


def test_a_schedule_copies_nothing(cloud: Counterpart, attested: Attested) -> None:
    attested(*ALL)
    told = json.loads(call("--schedule", "4", "--json").stdout)
    assert (told["tasks"], told["files"], told["recommended"]) == (4, len(ALL), 1)
    assert told["writes_per_minute_and_task"] == pytest.approx(0.95 * 18_000 / 4)
    shown = call("--schedule", "4").stdout
    assert "5 files" in shown
    assert "worth it: 1 tasks" in shown
    assert not held(cloud)
    assert call("--schedule", "0").exit_code == 2
