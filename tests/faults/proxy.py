"""A reverse proxy between the sync and the cloud: it takes notes of every request, and breaks some."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict
from yarl import URL

from tests.faults.steps import Step, step_of
from tests.sandbox.data.harness import Loop

HOP: Final = {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer"}
"""Fields that are about one connection (RFC 9110, 7.6.1)."""
_KEPT: Final = 1 << 16
"""Bytes of a request's body that are kept: enough for a name in a form, and for a small object whole."""
_FILENAME: Final = re.compile(rb'filename="([^"]+)"|"name": ?"([^"]+)"')


@dataclass
class Exchange:
    """One request and what became of it."""

    number: int
    step: Step
    method: str
    path: str
    """With its query, as it was sent."""
    head: bytes = b""
    """The beginning of the body."""
    statuses: list[int] = field(default_factory=list)
    """What the cloud answered, each time that the request was passed on."""
    fault: str = ""
    over: bool = False
    """Whether nothing more will come of it."""

    @property
    def done(self) -> bool:
        """Whether the cloud did it, whatever the sync was told."""
        return any(status < 300 for status in self.statuses)

    @property
    def subject(self) -> str:
        """The file or object that the body is of."""
        if found := _FILENAME.search(self.head):
            return (found[1] or found[2]).decode()
        content = self.head.find(b"!<arch>")  # a deb that has no name on its way
        return self.path if content < 0 else hashlib.sha256(self.head[content:]).hexdigest()


@dataclass(frozen=True)
class Answer:
    """What the cloud answered."""

    status: int
    headers: CIMultiDict[str]
    body: bytes


FaultAction = Callable[["Arrived"], Awaitable[web.StreamResponse]]
Watch = Callable[[Exchange, str], None]
"""Told of an exchange, and of what happens to it: `asked`, `sent` for a part of the body, `done`."""


@dataclass
class Injection:
    """A fault for requests of one kind."""

    step: Step
    name: str
    action: FaultAction
    times: int = 1
    skip: int = 0
    """Requests that pass before."""
    hit: int = 0
    """How often it happened."""
    idle: int = 0
    """How often of these nothing was wrong for all that: the sync was told what the cloud answered, as if
    nobody had come between."""

    @property
    def real(self) -> bool:
        """Whether something went wrong."""
        return self.hit > self.idle


class Proxy:
    """Listens on a port for each service; runs on a loop in a thread of its own."""

    def __init__(self, targets: dict[str, str]) -> None:
        """`targets`: the cloud's address by service."""
        self.loop = Loop()
        self.exchanges: list[Exchange] = []
        self.injections: list[Injection] = []
        self.watch: Watch | None = None
        self.usual: FaultAction = pass_on
        """What happens to requests that no fault is meant for."""
        self.stale: dict[str, Answer] = {}
        """First answers by path, for a listing that lags."""
        self._targets = targets
        self._session: aiohttp.ClientSession = self.loop.run(self._open())
        self.addresses = {
            name: f"http://127.0.0.1:{self.loop.serve(self._application(name))}" for name in targets
        }

    async def _open(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
            connector=aiohttp.TCPConnector(limit=0),
        )

    def close(self) -> None:
        self.loop.run(self._session.close())
        self.loop.close()

    def forget(self) -> None:
        """Begin anew: no faults, no notes."""
        self.injections, self.exchanges, self.stale, self.watch = [], [], {}, None
        self.usual = pass_on

    def inject(self, step: Step, name: str, action: FaultAction, times: int = 1, skip: int = 0) -> Injection:
        """Break the next `times` requests of a kind."""
        made = Injection(step, name, action, times, skip)
        self.injections.append(made)
        return made

    def _application(self, service: str) -> Callable[[], web.Application]:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._handle(service, request)

        def make() -> web.Application:
            app = web.Application(client_max_size=0)
            app.router.add_route("*", "/{path:.*}", handle)
            return app

        return make

    async def _handle(self, service: str, request: web.Request) -> web.StreamResponse:
        path = request.raw_path
        exchange = Exchange(len(self.exchanges), step_of(service, request.method, path), request.method, path)
        self.exchanges.append(exchange)
        arrived = Arrived(self, request, exchange, self._targets[service] + path)
        self._tell(exchange, "asked")
        for injection in self.injections:
            if injection.step == exchange.step and injection.times:
                if injection.skip:
                    injection.skip -= 1
                    continue
                injection.times -= 1
                injection.hit += 1
                exchange.fault = injection.name
                arrived.injection = injection
                return await self._deal(arrived, injection.action)
        return await self._deal(arrived, self.usual)

    def wait(self) -> None:
        """Wait until all that was sent so far has been dealt with: a kill does not call it back."""
        until = time.monotonic() + 30
        for exchange in list(self.exchanges):
            while not exchange.over and time.monotonic() < until:
                time.sleep(0.005)

    async def _deal(self, arrived: Arrived, action: FaultAction) -> web.StreamResponse:
        try:
            return await action(arrived)
        except (aiohttp.ClientError, OSError):  # the sync went away in the middle, or was killed
            arrived.reset()
            return web.Response()
        finally:
            arrived.exchange.over = True

    def _tell(self, exchange: Exchange, what: str) -> None:
        if self.watch is not None:
            self.watch(exchange, what)


class Arrived:
    """A request that came to the proxy, for a fault to deal with."""

    def __init__(self, proxy: Proxy, request: web.Request, exchange: Exchange, url: str) -> None:
        self.proxy = proxy
        self.request = request
        self.exchange = exchange
        self.injection: Injection | None = None
        self._url = url
        self._body: bytes | None = None
        self._replaced = False
        self._right: Answer | None = None

    async def read(self) -> bytes:
        """The whole body; it can be forwarded more than once then."""
        if self._body is None:
            self._body = await self.request.read()
            self.exchange.head = self._body[:_KEPT]
        return self._body

    def replace(self, body: bytes) -> None:
        """Another body than the one that came; announced with the length of that."""
        self._body, self._replaced = body, True

    async def forward(self) -> Answer:
        """Pass the request on to the cloud, as it comes; what it answers."""
        headers = CIMultiDict(
            (name, value) for name, value in self.request.headers.items() if name.lower() not in HOP
        )
        body: Any = self._body
        if body is None and self.request.can_read_body:
            body = self._stream()
        async with self.proxy._session.request(
            self.request.method, _raw(self._url), headers=headers, data=body, allow_redirects=False
        ) as response:
            data = await response.read()
            self.exchange.statuses.append(response.status)
            kept = CIMultiDict(
                (name, value) for name, value in response.headers.items() if name.lower() not in HOP
            )
        self.proxy._tell(self.exchange, "done")
        self._right = Answer(
            response.status, kept, _going_on(data) if self.request.method == "POST" else data
        )
        return self._right

    async def _stream(self) -> AsyncIterator[bytes]:
        async for chunk in self.request.content.iter_any():
            if len(self.exchange.head) < _KEPT:
                self.exchange.head += chunk[: _KEPT - len(self.exchange.head)]
            self.proxy._tell(self.exchange, "sent")
            yield chunk

    async def answer(self, answer: Answer) -> web.StreamResponse:
        """Tell the sync what the cloud answered, or something else."""
        self._note(self._right == answer and len(self.exchange.statuses) == 1 and not self._replaced)
        headers = answer.headers.copy()
        headers.popall(hdrs.CONTENT_LENGTH, None)
        return web.Response(status=answer.status, headers=headers, body=answer.body)

    async def partial(self, answer: Answer, size: int) -> web.StreamResponse:
        """Announce the whole answer, send `size` bytes of it and reset the connection."""
        self._note(size == len(answer.body))
        headers = answer.headers.copy()
        headers[hdrs.CONTENT_LENGTH] = str(len(answer.body))
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(self.request)
        await response.write(answer.body[:size])
        self.reset()
        return response

    def _note(self, idle: bool) -> None:
        if self.injection is not None:
            self.injection.idle += idle

    def reset(self) -> None:
        """End the connection with a reset (RST), as a machine does that went away."""
        transport = self.request.transport
        if transport is None:
            return
        sock: socket.socket | None = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

    async def gone(self) -> web.StreamResponse:
        """Wait until the client gives up."""
        # aiohttp says nowhere else that the client went away.
        while self.request.transport is not None and not self.request.transport.is_closing():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return web.Response()


async def pass_on(arrived: Arrived) -> web.StreamResponse:
    """What happens to a request that nothing happens to."""
    return await arrived.answer(await arrived.forward())


def _going_on(body: bytes) -> bytes:
    """A method's answer as Google gives it, where the sandbox was done at once: its operation goes on."""
    if b"/operations/" not in body[:_KEPT]:
        return body
    answer: dict[str, Any] = json.loads(body)
    operation = answer.get("operation", answer)
    operation.pop("response", None)
    operation["done"] = False
    return json.dumps(answer).encode()


def _raw(url: str) -> URL:
    return URL(url, encoded=True)
