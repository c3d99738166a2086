# ruff: noqa: F811 - fixtures of another module
"""`dmz plan` says what the next sync does, also after one that came to no end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dmz.cli import cli
from dmz.commands.common import Setting
from dmz.errors import RefusedError, TransferError
from tests.registries.counterpart import Counterpart, Fault
from tests.test_promote_command import Up
from tests.test_sync import (  # noqa: F401
    ALL,
    APT,
    FILE,
    JAX,
    PYTHON,
    Attested,
    attested,
    cloud,
    create,
    digests,
    held,
)


@pytest.fixture(autouse=True)
def entered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Setting, "entered", lambda *_: Up(Path()))


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["plan", *arguments])


def told() -> tuple[int, dict[str, Any]]:
    done = call("--json")
    return done.exit_code, json.loads(done.stdout)


def test_what_nobody_ever_approved_waits_for_a_person(cloud: Counterpart, attested: Attested) -> None:
    props = attested(*ALL)
    cloud.keep("inner/python", JAX[0], b"other bytes")
    code, document = told()
    assert (code, document["foreign"]) == (3, [JAX[0]])
    with pytest.raises(RefusedError, match="dmz:adopt"):
        create(props)


def test_what_a_first_run_left_is_no_strangers(cloud: Counterpart, attested: Attested) -> None:
    props = attested(*ALL)
    cloud.faults.append(Fault("POST", "aptArtifacts:import", status=400, times=99))
    with pytest.raises(TransferError):
        create(props)
    cloud.faults.clear()
    left = held(cloud)
    assert left == digests(*ALL) - {APT.sha256}
    # The state knows nothing of it, and the next release has only one of the files.
    props = attested(FILE)
    code, document = told()
    assert (code, document["foreign"]) == (0, [])
    assert sorted(document["withdraw"]) == sorted(each.filename for each in PYTHON.values())
    assert "waits for dmz:adopt" not in call().stdout
    assert create(props)["withdrawn"] == len(document["withdraw"])
    assert held(cloud) == digests(FILE)


def test_the_archive_is_asked_only_if_something_seems_foreign(cloud: Counterpart, attested: Attested) -> None:
    attested(*ALL)
    assert told()[0] == 0
    assert not [path for _, path, _ in cloud.requests if "outer-archive" in path]


def test_who_may_not_read_it_is_told_so(cloud: Counterpart, attested: Attested) -> None:
    attested(*ALL)
    cloud.keep("inner/python", JAX[0], b"other bytes")
    cloud.faults.append(Fault("GET", "b/outer-archive/o", status=403, times=99))
    done = call()
    assert done.exit_code == 1
    assert "403" in done.stderr
