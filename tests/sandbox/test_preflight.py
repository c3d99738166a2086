"""What can't work is said at the start, with what to do."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from sandbox import aptsources, preflight
from sandbox.daemon import Daemon
from sandbox.errors import SandboxError


def text() -> str:
    return "; ".join(map(str, preflight.problems()))


def test_another_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert text() == "the sandbox runs on Linux, not on darwin: use a Debian 12 machine"


def test_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "network namespaces need root: run the command as root" in text()


def test_missing_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    there = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name in {"bwrap", "nft"} else there(name))
    assert "missing programs bwrap, nft: apt-get install --yes bubblewrap nftables" in text()


def test_no_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "apt.conf").write_text(f'Dir::Etc "{tmp_path}";\n')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    monkeypatch.delenv("DMZ_SANDBOX_MIRROR", raising=False)
    assert "add one to /etc/apt/sources.list.d, or name a mirror in DMZ_SANDBOX_MIRROR" in text()


@pytest.mark.parametrize("mirror", ["nonsense", "http://", "ftp://mirror.example/debian"])
def test_a_mirror_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, mirror: str) -> None:
    monkeypatch.setenv("DMZ_SANDBOX_MIRROR", mirror)
    assert "DMZ_SANDBOX_MIRROR names no mirror: write it like http://HOST/debian" in text()


def test_namespaces_that_are_not_permitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(aptsources, "archive", lambda *_: None)
    refused = subprocess.CompletedProcess([], 1, "", "unshare: unshare failed:\nOperation not permitted\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: refused)
    assert "not permitted here (unshare: unshare failed: Operation not permitted): give the machine" in text()


def test_nothing_is_changed_when_it_cannot_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(SandboxError, match=r"The sandbox can't run here: .*run the command as root"):
        Daemon(tmp_path / "sandbox").start(lambda line: None)
    assert not (tmp_path / "sandbox").exists()
