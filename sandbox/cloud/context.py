"""What every service of the cloud gets: the resources, the identities, the log, and the call at hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from aiohttp import web

from sandbox.cloud import options
from sandbox.cloud.options import Options
from sandbox.cloud.requests import RequestLog
from sandbox.cloud.store import Store
from sandbox.cloud.tokens import Tokens

OPERATOR: Final = "user:operator@sandbox.invalid"
"""The identity of whoever started the sandbox."""


class Machinery(Protocol):
    """What the cloud needs of the machines (`sandbox.machines.Machines`)."""

    async def start(self) -> None:
        """Take hold of the host, and boot the nodes that are declared already."""

    async def stop(self) -> None:
        """Remove every namespace, mount and process."""

    async def reconcile(self) -> None:
        """Make networks, routes, firewalls and DNS equal to the declared resources."""

    async def create(self, node: dict[str, Any]) -> None:
        """Boot a TPU node; returns once its startup script has been started."""

    async def delete(self, node_name: str) -> None:
        """Take a TPU node away; `node_name` is `projects/P/locations/ZONE/nodes/NODE`."""

    def running(self, node_name: str) -> bool:
        """Whether the node's processes are alive."""

    def endpoints(self, node_name: str) -> list[dict[str, Any]]:
        """The node's addresses, as `networkEndpoints` has them."""

    def node_at(self, network: str, address: str) -> str | None:
        """The node that has `address` in the VPC `projects/P/global/networks/N`."""


@dataclass
class Cloud:
    """What every service gets."""

    root: Path
    """The sandbox's folder; absolute."""
    cache: Path
    """What stays over `down`: base images and fetched upstream files."""
    store: Store
    tokens: Tokens
    requests: RequestLog
    options: Options = field(default_factory=Options)
    machines: Machinery | None = None
    """None only while the daemon starts."""
    endpoints: dict[str, str] = field(default_factory=dict)
    """Where each service listens on this host: `compute` -> `http://127.0.0.1:PORT`."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    """Work that goes on after its request was answered (long-running operations)."""
    _reconciling: asyncio.Lock = field(default_factory=asyncio.Lock)
    _wanted: int = 0
    _reconciled: int = 0

    @classmethod
    def open(cls, root: Path, cache: Path | None = None, said: Options | None = None) -> Cloud:
        """The cloud whose state lies in `root`; begins one when there is none.

        Its options are those that are `said`, or else in `root`'s file of options.

        Raises:
            SandboxError: that file says something that can't be.
        """
        root = root.absolute()
        cache = (cache or root / "cache").absolute()
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        cache.mkdir(parents=True, exist_ok=True)
        return cls(
            root=root,
            cache=cache,
            store=Store(root / "resources.jsonl"),
            tokens=Tokens(root / "token.key"),
            requests=RequestLog(root / "requests.jsonl"),
            options=said or Options.read(root / options.FILE),
        )

    @property
    def authority(self) -> Path:
        """The certificate (PEM) of the authority that signs for Google's names in this sandbox."""
        return self.root / "authority.pem"

    async def reconcile(self) -> None:
        """Bring the machines in line with the store; calls that wait at the same time share one run."""
        self._wanted += 1
        mine = self._wanted
        async with self._reconciling:
            if self._reconciled >= mine or self.machines is None:
                return
            covered = self._wanted
            await self.machines.reconcile()
            self._reconciled = covered

    def background(self, work: Awaitable[None]) -> None:
        """Carry on with `work` after the request was answered."""

        async def run() -> None:
            await work

        task = asyncio.get_running_loop().create_task(run())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def finish_tasks(self) -> None:
        """Stop the work in the background, and wait until it has stopped."""
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Stop the work in the background, and close the files."""
        await self.finish_tasks()
        self.store.close()
        self.requests.close()


@dataclass
class Call:
    """One call of an API method, already checked against the discovery document."""

    method_id: str
    """As the discovery document has it: `compute.networks.insert`."""
    params: dict[str, str]
    """Path parameters, decoded."""
    query: dict[str, str]
    body: dict[str, Any]
    """The JSON body; empty for media uploads, whose body the handler reads from `request`."""
    identity: str
    request: web.Request
    name: str = ""
    """The store's name for what the path is about, such as `compute/projects/P/global/networks`."""


Handler = Callable[[Cloud, Call], Awaitable[dict[str, Any] | web.StreamResponse]]
"""Behaviour written by hand for one method; a module has its own in `OVERRIDES`, by method id."""
