"""The sandbox as a person has it: up, down, and its command line."""

from __future__ import annotations

import json
import os
import shlex
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from sandbox.cli import sandbox
from sandbox.daemon import PASSPHRASE, Daemon
from sandbox.errors import SandboxError
from sandbox.machines import sandbox_id
from sandbox.target import SandboxTarget


def silent(line: str) -> None:
    pass


class TestDown:
    """Without a sandbox."""

    def test_there_is_no_environment(self, tmp_path: Path) -> None:
        with pytest.raises(SandboxError, match="no sandbox is up here; start it with"):
            Daemon(tmp_path).environment()
        result = CliRunner().invoke(sandbox, ["env", "--root", str(tmp_path)])
        assert (result.exit_code, result.stdout) == (1, "")
        assert "start it with 'dmz sandbox up'" in result.stderr

    def test_down_is_harmless(self, tmp_path: Path) -> None:
        result = CliRunner().invoke(sandbox, ["down", "--json", "--root", str(tmp_path / "none")])
        assert (result.exit_code, json.loads(result.stdout)["was_up"]) == (0, False)
        assert not (tmp_path / "none").exists()

    def test_logs_and_machines_that_are_not_there(self, tmp_path: Path) -> None:
        result = CliRunner().invoke(sandbox, ["log", "--root", str(tmp_path)])
        assert (result.exit_code, "there is no such log" in result.stderr) == (1, True)
        for command in ("log", "shell"):
            result = CliRunner().invoke(sandbox, [command, "inner", "--root", str(tmp_path)])
            assert result.exit_code == 1
            assert "'inner' is no machine of this sandbox; there are: none" in result.stderr

    @pytest.mark.parametrize("command", ["up", "down", "env", "log", "shell"])
    def test_help(self, command: str) -> None:
        result = CliRunner().invoke(sandbox, [command, "--help"])
        assert result.exit_code == 0
        assert "--root" in result.stdout


@pytest.mark.sandbox
class TestUp:
    """With a real daemon, and namespaces of its own."""

    @pytest.fixture
    def daemon(self, tmp_path: Path) -> Iterator[Daemon]:
        made = Daemon(tmp_path / "sandbox")
        yield made
        made.stop(silent)

    def namespaces(self, daemon: Daemon) -> list[str]:
        listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
        return [line.split()[0] for line in listed.splitlines() if f"dmz-{sandbox_id(daemon.root)}-" in line]

    def test_up_and_down_and_up_again(self, daemon: Daemon) -> None:
        target = SandboxTarget(daemon)
        said: list[str] = []
        first = target.up(said.append)
        assert said[0].startswith("starting the sandbox")
        pid = json.loads((daemon.root / "daemon.json").read_text())["pid"]
        assert target.up(silent) == first
        assert json.loads((daemon.root / "daemon.json").read_text())["pid"] == pid
        assert self.namespaces(daemon) != []

        url = f"{first['GOOGLE_COMPUTE_CUSTOM_ENDPOINT']}projects/inner/global/networks"
        headers = {"Authorization": f"Bearer {first['GOOGLE_OAUTH_ACCESS_TOKEN']}"}
        body = {"name": "vpc", "autoCreateSubnetworks": False}
        httpx.post(url, json=body, headers=headers, trust_env=False).raise_for_status()
        assert any("vpc-inner.vpc" in name for name in self.namespaces(daemon))

        target.down()
        target.down()
        assert not daemon.running
        assert self.namespaces(daemon) == []
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

        second = target.up(silent)
        # Ports stay, and so do what was declared and tokens that were given out.
        assert {**second, "GOOGLE_OAUTH_ACCESS_TOKEN": ""} == {**first, "GOOGLE_OAUTH_ACCESS_TOKEN": ""}
        assert httpx.get(f"{url}/vpc", headers=headers, trust_env=False).json()["name"] == "vpc"
        assert any("vpc-inner.vpc" in name for name in self.namespaces(daemon))

    def test_a_daemon_that_was_killed_leaves_nothing_after_down(self, daemon: Daemon) -> None:
        daemon.start(silent)
        os.kill(json.loads((daemon.root / "daemon.json").read_text())["pid"], signal.SIGKILL)
        while daemon.running:
            time.sleep(0.01)
        assert self.namespaces(daemon) != []
        daemon.stop(silent)
        assert self.namespaces(daemon) == []

    def test_the_environment_works_in_a_shell(self, daemon: Daemon) -> None:
        daemon.start(silent)
        result = CliRunner().invoke(sandbox, ["env", "--root", str(daemon.root)])
        asked = 'printf "%s\\n" "$PATH" "$PULUMI_CONFIG_PASSPHRASE_FILE"; command -v pulumi-resource-gcp'
        done = subprocess.run(
            ["sh", "-c", f"{result.stdout}\n{asked}"], capture_output=True, text=True, check=True
        )
        path, passphrase, provider = done.stdout.splitlines()
        assert path.endswith(f":{daemon.root / 'bin'}")
        assert stat.S_IMODE(Path(passphrase).stat().st_mode) == 0o600
        assert os.access(provider, os.X_OK)
        values = json.loads(CliRunner().invoke(sandbox, ["env", "--json", "--root", str(daemon.root)]).stdout)
        assert "PULUMI_CONFIG_PASSPHRASE" not in values
        assert Path(passphrase).read_text() == PASSPHRASE  # not one of this sandbox alone
        for name, value in values.items():
            assert f"export {name}={shlex.quote(value)}" in result.stdout

    def test_a_port_that_somebody_else_took(self, daemon: Daemon) -> None:
        import socket

        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            daemon.root.mkdir()
            (daemon.root / "ports.json").write_text(json.dumps({"compute": other.getsockname()[1]}))
            with pytest.raises(SandboxError, match="of compute is taken"):
                daemon.start(silent)
        assert self.namespaces(daemon) == []
