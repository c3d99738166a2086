"""The wire against real servers: what stalls or breaks ends in one error, and what was an answer is one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest

from dmz.artifact import Kind
from dmz.errors import TransferError
from dmz.registries import multipart
from dmz.registries.google import Google
from dmz.registries.python import PythonRegistry
from dmz.registries.wire import Wire
from tests.registries.conftest import as_sync
from tests.registries.counterpart import Counterpart, Fault, wheel
from tests.registries.support import artifact, stream

BLOCK = b"x" * (1 << 16)
MANY = 400
"""Blocks: more than the buffers between client and server hold."""

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def against(handler: Handler, work: Callable[[httpx.AsyncClient, str], Awaitable[None]]) -> None:
    """Run `work` against a server that says just what `handler` writes."""

    async def both() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await handler(reader, writer)
            except ConnectionError:
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        timeout = httpx.Timeout(0.3, connect=5)
        async with server, httpx.AsyncClient(transport=Wire(connections=4), timeout=timeout) as client:
            await work(client, f"http://127.0.0.1:{port}/")

    asyncio.run(both())


class Source:
    """A body, and how much of it was asked for."""

    def __init__(self, blocks: int = MANY) -> None:
        self.size = blocks * len(BLOCK)
        self.given = 0
        self.ended = False
        self._blocks = blocks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            for _ in range(self._blocks):
                self.given += 1
                yield BLOCK
        finally:
            self.ended = True


async def post(client: httpx.AsyncClient, url: str, source: Source) -> httpx.Response:
    return await client.post(url, content=aiter(source), headers={"Content-Length": str(source.size)})


ANSWER = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 14\r\n\r\nalready exists"


class TestEarlyAnswers:
    @pytest.mark.parametrize("closing", [True, False])
    def test_one_before_the_body_was_read_is_the_answer(self, closing: bool) -> None:
        async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(ANSWER)
            await writer.drain()
            if not closing:
                await asyncio.sleep(5)

        async def work(client: httpx.AsyncClient, url: str) -> None:
            source = Source()
            response = await post(client, url, source)
            assert (response.status_code, response.text) == (400, "already exists")
            given = source.given
            await asyncio.sleep(0.02)
            assert source.given == given < MANY, "nobody reads on after the answer"

        against(early, work)

    def test_a_success_before_the_end_is_none(self) -> None:
        async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(5)

        async def work(client: httpx.AsyncClient, url: str) -> None:
            with pytest.raises(httpx.RemoteProtocolError, match="before the end"):
                await post(client, url, Source())

        against(early, work)

    def test_a_taken_place_is_read_although_the_server_closes(self, cloud: Counterpart) -> None:
        cloud.add("inner/python", "PYTHON")
        name, _ = wheel("big", "1.0")
        data = BLOCK * 200
        wanted = artifact(Kind.PYPI, "big", "1.0", name, data)
        cloud.faults.append(Fault("POST", "/python/inner", status=400, early=True, text="already exists"))

        async def put(google: Google) -> None:
            registry = PythonRegistry(google, "inner", "us-central1", "python")
            await registry.put(wanted, stream(*[BLOCK] * 200))

        as_sync(put)


class TestBreaks:
    @pytest.mark.parametrize("fault", ["reset", "lost"])
    def test_an_upload_ends_with_one_line(self, cloud: Counterpart, fault: str) -> None:
        cloud.buckets["box"] = {}
        cloud.faults.append(Fault("POST", "/b/box/o", reset=fault == "reset", lost=fault == "lost"))

        async def put(google: Google) -> None:
            await google.upload(
                f"{cloud.url}/upload/storage/v1/b/box/o",
                multipart.related({"name": "a"}, "text/plain"),
                stream(*[BLOCK] * 100),
                100 * len(BLOCK),
                "box/a",
                params={"uploadType": "multipart"},
            )

        with pytest.raises(TransferError, match="gave no answer") as caught:
            as_sync(put)
        assert "\n" not in str(caught.value)
        assert ("a" in cloud.buckets["box"]) == (fault == "lost")

    def test_a_server_that_takes_nothing_more(self) -> None:
        async def stuck(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(5)

        async def work(client: httpx.AsyncClient, url: str) -> None:
            with pytest.raises(httpx.TimeoutException):
                await post(client, url, Source(2000))

        against(stuck, work)

    def test_a_slow_source_is_not_the_servers_fault(self) -> None:
        async def patient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(2)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            await writer.drain()

        async def slow() -> AsyncIterator[bytes]:
            yield b"a"
            await asyncio.sleep(0.6)  # twice the time-out
            yield b"b"

        async def work(client: httpx.AsyncClient, url: str) -> None:
            response = await client.post(url, content=slow(), headers={"Content-Length": "2"})
            assert response.text == "ok"

        against(patient, work)

    @pytest.mark.parametrize("framing", [b"Content-Length: 9", b"Transfer-Encoding: chunked"])
    def test_a_body_that_ends_too_soon(self, framing: bytes) -> None:
        async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n4\r\nx")
            await writer.drain()

        async def work(client: httpx.AsyncClient, url: str) -> None:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get(url)

        against(half, work)

    @pytest.mark.parametrize(
        "said", [b"", b"SMTP ready\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"]
    )
    def test_what_is_no_answer(self, said: bytes) -> None:
        async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(said)
            await writer.drain()

        async def work(client: httpx.AsyncClient, url: str) -> None:
            with pytest.raises(httpx.TransportError):
                await client.get(url)

        against(other, work)

    def test_what_the_source_raises_comes_out_as_it_is(self) -> None:
        bodies: list[bytes] = []

        async def whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            bodies.append(await reader.read())

        async def broken() -> AsyncIterator[bytes]:
            yield b"abc"
            raise KeyError("gone")

        async def work(client: httpx.AsyncClient, url: str) -> None:
            with pytest.raises(KeyError, match="gone"):
                await client.post(url, content=broken(), headers={"Content-Length": "4"})
            await asyncio.sleep(0.02)

        against(whole, work)
        assert bodies in ([b"abc"], [b""]), "less than was announced, and the connection is cut"


class TestConnections:
    def test_they_are_used_again_and_headers_pass_unchanged(self) -> None:
        connections, heads = 0, []

        async def keeping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            while True:
                try:
                    heads.append(await reader.readuntil(b"\r\n\r\n"))
                except asyncio.IncompleteReadError:
                    return
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                await writer.drain()

        async def work(client: httpx.AsyncClient, url: str) -> None:
            for _ in range(3):
                response = await client.get(url + "a%2Fb?x=%20y", headers={"Accept-Encoding": "identity"})
                assert response.text == "ok"

        against(keeping, work)
        assert connections == 1
        assert len(heads) == 3
        assert heads[0].startswith(b"GET /a%2Fb?x=%20y HTTP/1.1\r\n")
        assert heads[0].lower().count(b"accept-encoding") == 1

    def test_packed_answers_are_unpacked_once(self) -> None:
        import gzip

        data = gzip.compress(b'{"a": 1}')

        async def packed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(data)}\r\n\r\n"
            writer.write(head.encode() + data)
            await writer.drain()

        async def work(client: httpx.AsyncClient, url: str) -> None:
            assert (await client.get(url)).json() == {"a": 1}

        against(packed, work)
