"""A sandbox for these tests: real namespaces and machines, and a small double of the cloud's front."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiohttp import web

from sandbox.cloud.authority import Authority
from sandbox.cloud.context import Cloud
from sandbox.machines import Machines
from tests.sandbox.machines.declare import Resources

T = TypeVar("T")

_CACHE = Path(__file__).parents[3] / ".sandbox" / "cache"


class Front:
    """Stands for the cloud's daemon: says which host was asked, and hands out startup scripts by address."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self.scripts: dict[tuple[str, str], str] = {}
        self.open: set[web.BaseSite] = set()

    async def serve(self, sock: socket.socket, tls: bool) -> Site:
        async def answer(request: web.Request) -> web.Response:
            return web.json_response({"host": request.host, "peer": request.remote})

        return await self._site(answer, sock, self._authority.server_context() if tls else None)

    async def serve_metadata(self, sock: socket.socket, network: str) -> Site:
        async def answer(request: web.Request) -> web.Response:
            if request.headers.get("Metadata-Flavor") != "Google":
                raise web.HTTPForbidden
            script = self.scripts.get((network, str(request.remote)))
            if script is None:
                raise web.HTTPNotFound
            return web.Response(text=script)

        return await self._site(answer, sock, None)

    def tls_context(self) -> ssl.SSLContext:
        return self._authority.server_context()

    async def _site(self, answer: Any, sock: socket.socket, tls: ssl.SSLContext | None) -> Site:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        site = web.SockSite(runner, sock, ssl_context=tls)
        await site.start()
        self.open.add(site)
        return Site(self, runner, site)


class Site:
    """One served socket of the front."""

    def __init__(self, front: Front, runner: web.AppRunner, site: web.BaseSite) -> None:
        self._front, self._runner, self._site = front, runner, site

    async def stop(self) -> None:
        await self._runner.cleanup()
        self._front.open.discard(self._site)


class Box:
    """Machines on an event loop in a thread of its own, driven from a test."""

    def __init__(self, root: Path, cache: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="loop")
        self._thread.start()
        self.cloud = Cloud.open(root, cache)
        self.front = Front(Authority(root))
        self.machines = Machines(self.cloud, self.front)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def declare(self, resources: Resources) -> None:
        """Put resources into the store, and bring the machines in line."""
        for name, body in resources.items():
            self.cloud.store.put(name, body)
        self.do(self.machines.reconcile())

    def remove(self, resources: Resources) -> None:
        for name in resources:
            self.cloud.store.delete(name)
        self.do(self.machines.reconcile())

    def boot(self, node: dict[str, Any]) -> str:
        """Create a node as the cloud does; its name."""
        name: str = node["name"]
        self.cloud.store.put(f"tpu/{name}", node)
        self.do(self.machines.create(node))
        return name

    def run(self, node: str, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside a machine."""
        return subprocess.run(
            self.machines.command(node, list(argv)), capture_output=True, text=True, timeout=120, check=False
        )

    def lines(self, name: str) -> list[dict[str, Any]]:
        """A log of JSON lines in the sandbox's folder."""
        return [json.loads(line) for line in (self.cloud.root / name).read_text().splitlines()]

    def console(self, node: str, until: str) -> str:
        """The console's text, once it has what is waited for."""
        _, project, _, zone, _, name = node.split("/")
        log = self.cloud.root / "machines" / f"{project}.{zone}.{name}" / "console.log"
        deadline = time.monotonic() + 60
        while until not in (text := log.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return text

    def close(self) -> None:
        self.do(self.machines.stop())
        self.do(self.cloud.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="session")
def cache() -> Path:
    """The base images, kept over test runs as over `down`."""
    return Path(os.environ.get("DMZ_SANDBOX_CACHE", _CACHE)).absolute()


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Box]:
    """A sandbox that has started and declares nothing."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    made = Box(tmp_path_factory.mktemp("sandbox"), cache)
    try:
        made.do(made.machines.start())
        yield made
    finally:
        made.close()
