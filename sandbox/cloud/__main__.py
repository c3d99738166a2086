"""The daemon of one sandbox: `python -m sandbox.cloud --root DIR`."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Final

import click
from aiohttp import web

from sandbox.cloud import operations
from sandbox.cloud.context import OPERATOR, Cloud
from sandbox.cloud.endpoints import address, listen
from sandbox.cloud.server import GoogleFront
from sandbox.cloud.services import buckets, tpu
from sandbox.cloud.tokens import write_secret
from sandbox.errors import SandboxError
from sandbox.machines import Machines

_LOG: Final = logging.getLogger("sandbox.cloud")
_OPERATOR_LIFETIME: Final = 30 * 24 * 3600
"""Seconds that the operator's token lasts; each start of the daemon issues it anew."""


async def run(root: Path, cache: Path | None) -> None:
    """Serve until SIGTERM or SIGINT, then take everything down again."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    sockets = listen(root)
    ports = {name: sock.getsockname()[1] for name, sock in sockets.items()}
    cloud = Cloud.open(root, cache)
    cloud.endpoints = {name: address(ports, name) for name in ports}
    operations.forget_all(cloud)
    buckets.started(cloud)
    write_secret(root / "operator.token", cloud.tokens.issue(OPERATOR, _OPERATOR_LIFETIME))
    front = GoogleFront(cloud)
    machines = cloud.machines = Machines(cloud, front)
    record = root / "daemon.json"
    try:
        await front.start()
        await front.serve_here(sockets)
        _LOG.info("starting the machines")
        await machines.start()
        tpu.started(cloud)
        write_secret(record, json.dumps({"pid": os.getpid(), "ports": ports}, indent=1))
        _LOG.info("ready")
        await stop.wait()
        _LOG.info("stopping")
    finally:
        await cloud.finish_tasks()
        await machines.stop()
        await front.stop()
        await cloud.close()
        record.unlink(missing_ok=True)
        _LOG.info("stopped")


@click.command()
@click.option("--root", type=click.Path(path_type=Path), required=True, help="The sandbox's folder.")
@click.option("--cache", type=click.Path(path_type=Path), help="Folder for base images and upstream files.")
def main(root: Path, cache: Path | None) -> None:
    """Serve Google's APIs for the sandbox in ROOT until the process is told to end."""
    warnings.filterwarnings(
        "ignore", category=web.NotAppKeyWarning
    )  # `identity` is a plain name for all services
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    root = root.absolute()
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (root / "daemon.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.exit(f"{root}: a daemon of this sandbox is running already")
        try:
            asyncio.run(run(root, cache))
        except SandboxError as error:
            sys.exit(str(error))
        except OSError as error:
            _LOG.exception("the daemon failed")
            sys.exit(str(error))


if __name__ == "__main__":
    main()
