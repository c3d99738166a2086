"""devpi: a server of its own; wheels go to one index, and are pushed from there to a second one."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.harness import Run, run
from bench.script import AT_ONCE, tool
from bench.serving import free_port
from dmz.artifact import Artifact

_STARTS: Final = 30
"""Seconds."""


class Devpi:
    """A running server, and a client that is logged in."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._client = folder / "client"
        self._folder = folder

    def index(self, name: str) -> None:
        """Make an empty index."""
        self._say("index", "--create", name, "bases=", "volatile=True")

    def upload(self, wheels: Path, name: str) -> Run:
        """Upload all wheels of a folder, in one process."""
        self._say("use", f"root/{name}")
        return self._say("upload", "--from-dir", str(wheels))

    def push(self, artifacts: Sequence[Artifact], source: str, target: str) -> Run:
        """Push each distribution from one index to another: a process for each, as the command has it."""
        self._say("use", f"root/{source}")
        push = [tool("devpi"), "push", "--clientdir", str(self._client), "--index", f"root/{source}"]
        return run(
            ["xargs", "-P", str(AT_ONCE), "-I", "{}", *push, "{}", f"root/{target}"],
            self._variables,
            given="\n".join(f"{each.name}=={each.version}" for each in artifacts),
        )

    def sums(self, name: str, artifacts: Sequence[Artifact]) -> dict[str, str]:
        """The SHA-256 of what an index has, by file name, as its pages say."""
        found = {}
        for each in artifacts:
            request = urllib.request.Request(  # noqa: S310 - the server that was started here
                f"{self._url}/root/{name}/+simple/{each.name}/",
                headers={"Accept": "application/vnd.pypi.simple.v1+json"},
            )
            with urllib.request.urlopen(request) as answer:  # noqa: S310
                for file in json.load(answer)["files"]:
                    found[file["filename"]] = file["hashes"]["sha256"]
        return found

    @property
    def _variables(self) -> Mapping[str, str]:
        return {"HOME": str(self._folder), "PYTHONWARNINGS": "ignore"}

    def _say(self, command: str, *arguments: str) -> Run:
        return run([tool("devpi"), command, "--clientdir", str(self._client), *arguments], self._variables)

    def login(self) -> None:
        """Log in as the one who owns the indexes."""
        self._say("use", self._url)
        self._say("login", "root", "--password", "root")


@contextmanager
def running(folder: Path) -> Iterator[Devpi]:
    """A server with its state in a folder."""
    folder.mkdir()
    port, state = free_port(), str(folder / "server")
    run([tool("devpi-init"), "--serverdir", state, "--no-root-pypi", "--root-passwd", "root"])
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [tool("devpi-server"), "--serverdir", state, "--host", "127.0.0.1", "--port", str(port)],
            stdout=log,
            stderr=log,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _await(url, process)
            devpi = Devpi(url, folder)
            devpi.login()
            yield devpi
        finally:
            process.terminate()
            process.wait()


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _STARTS
    while process.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"{url}/+api"):  # noqa: S310 - the server that was started here
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("devpi-server does not start")
