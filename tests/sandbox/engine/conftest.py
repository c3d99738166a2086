"""A project of its own for each test, with the engine as `pulumi` and a gcp stand-in on PATH."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.engine.secrets import Crypter
from sandbox.engine.state import Snapshot, snapshot_to_json
from sandbox.engine.workspace import Workspace

DATA = Path(__file__).parent / "data"
ROOT = Path(__file__).parents[3]
PASSPHRASE = "pw"
"""The one of the recordings."""
SALT = json.loads((DATA / "states.json").read_text())["2-up-create"]["deployment"]["secrets_providers"][
    "state"
]["salt"]


@dataclass
class World:
    """A folder with a project, a backend and a PATH."""

    folder: Path
    environment: dict[str, str]

    @property
    def project(self) -> Path:
        return self.folder / "project"

    @property
    def state_file(self) -> Path:
        return self.folder / "state/.pulumi/stacks/demo/inner.json"

    def run(
        self, *arguments: str, check: bool = True, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            ["pulumi", *arguments],
            cwd=self.project,
            env={**self.environment, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if check:
            assert result.returncode == 0, result.stdout + result.stderr
        return result

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["pulumi", *arguments],
            cwd=self.project,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def program(self, text: str) -> None:
        """Replace the program."""
        (self.project / "__main__.py").write_text("import pulumi\nimport gcp\n" + text)

    def up(
        self, *arguments: str, check: bool = True, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return self.run("up", "--yes", "--skip-preview", *arguments, check=check, environment=environment)

    def resources(self) -> list[dict[str, Any]]:
        """The resources of the state, without providers and the stack itself."""
        deployment = json.loads(self.state_file.read_text())["checkpoint"]["latest"]
        return [
            item
            for item in deployment.get("resources", [])
            if item["type"] != "pulumi:pulumi:Stack" and not item["type"].startswith("pulumi:providers:")
        ]

    def store(self) -> dict[str, Any]:
        """What the stand-in holds."""
        file = Path(self.environment["ENGINE_TEST_STORE"])
        return dict(json.loads(file.read_text())) if file.exists() else {}

    def calls(self) -> list[dict[str, Any]]:
        """The requests that providers got since the last time this was asked."""
        file = Path(self.environment["ENGINE_TEST_CALLS"])
        if not file.exists():
            return []
        lines = file.read_text().splitlines()
        file.unlink()
        return [json.loads(line) for line in lines]


def _script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An empty stack `inner` of the project `demo`."""
    bin_ = tmp_path / "bin"
    for folder in (bin_, tmp_path / "state", tmp_path / "home"):
        folder.mkdir()
    shutil.copytree(DATA / "project", tmp_path / "project")
    _script(
        bin_ / "pulumi", f'PYTHONPATH="{ROOT}:$PYTHONPATH" exec "{sys.executable}" -m sandbox.engine "$@"'
    )
    _script(bin_ / "pulumi-resource-gcp", f'exec "{sys.executable}" "{DATA}/plugin/gcp_plugin.py" "$@"')
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "ENGINE_TEST_"))
    }
    environment.update(
        PATH=f"{bin_}:{os.environ['PATH']}",
        PYTHONPATH=str(DATA / "recorder"),
        PYTHONDONTWRITEBYTECODE="1",
        PULUMI_BACKEND_URL=f"file://{tmp_path / 'state'}",
        PULUMI_CONFIG_PASSPHRASE=PASSPHRASE,
        PULUMI_HOME=str(tmp_path / "home"),
        ENGINE_TEST_CALLS=str(tmp_path / "calls.jsonl"),
        ENGINE_TEST_STORE=str(tmp_path / "store.json"),
    )
    result = World(tmp_path, environment)
    workspace = Workspace(result.project, environment)
    name = workspace.name("inner")
    crypter = Crypter(PASSPHRASE, SALT)  # its key is derived once for all tests
    workspace.backend().create(name, snapshot_to_json(Snapshot(), crypter))
    workspace.select(name)
    return result
