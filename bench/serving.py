"""Servers beside a measurement: processes of their own, for as long as they are needed."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
NOBODY: Final = "none"
"""A token for a server that asks for none."""


@contextmanager
def serving(module: str, *arguments: str | Path) -> Iterator[dict[str, Any]]:
    """Run a module of `bench` that prints where it is and serves until its standard input ends.

    Raises:
        RuntimeError: it ended before it said so.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", f"bench.{module}", *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    try:
        if not (said := process.stdout.readline()):
            raise RuntimeError(f"bench.{module} does not start")
        yield json.loads(said)
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def environment(
    *, python: int, api: int, storage: int = 0, apt: int = 0, token: str = NOBODY
) -> dict[str, str]:
    """Where the product finds Google's services, by their ports."""
    here = "http://127.0.0.1"
    return {
        "PYTHONPATH": str(ROOT),
        "DMZ_PYTHON_REPOSITORY_ENDPOINT": f"{here}:{python}/",
        "DMZ_APT_REPOSITORY_ENDPOINT": f"{here}:{apt}/",
        "GOOGLE_ARTIFACT_REGISTRY_CUSTOM_ENDPOINT": f"{here}:{api}/v1/",
        "STORAGE_EMULATOR_HOST": f"{here}:{storage}",
        "GOOGLE_OAUTH_ACCESS_TOKEN": token,
    }


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
