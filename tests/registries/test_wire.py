"""The wire against real servers: what stalls or breaks ends in one error, and what was an answer is one."""

from __future__ import annotations

import asyncio
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest
import trustme

from dmz.artifact import Kind
from dmz.errors import TransferError
from dmz.registries import multipart
from dmz.registries.google import Google
from dmz.registries.python import PythonRegistry
from dmz.registries.wire import Upload, Wire, blocking
from dmz.threads import in_thread
from tests.registries.conftest import as_sync
from tests.registries.counterpart import Counterpart, Fault, wheel
from tests.registries.support import artifact, stream

BLOCK = b"x" * (1 << 16)
MANY = 400
"""Blocks: more than the buffers between client and server hold."""

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def against(
    handler: Handler,
    work: Callable[[httpx.AsyncClient, str], Awaitable[None]],
    tls: ssl.SSLContext | None = None,
) -> None:
    """Run `work` against a server that says just what `handler` writes."""

    async def both() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await handler(reader, writer)
            except ConnectionError:
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
        port = server.sockets[0].getsockname()[1]
        timeout = httpx.Timeout(0.3, connect=5)
        async with server, httpx.AsyncClient(transport=Wire(), timeout=timeout) as client:
            await work(client, f"{'https' if tls else 'http'}://127.0.0.1:{port}/")

    asyncio.run(both())


class Source:
    """A body, and how much of it was asked for."""

    def __init__(self, blocks: int = MANY) -> None:
        self.size = blocks * len(BLOCK)
        self.given = 0
        self.ended = False
        self._blocks = blocks

    def __iter__(self) -> Iterator[bytes]:
        try:
            for _ in range(self._blocks):
                self.given += 1
                yield BLOCK
        finally:
            self.ended = True


async def upload(client: httpx.AsyncClient, url: str, chunks: Iterator[bytes], size: int) -> httpx.Response:
    request = client.build_request("POST", url, headers={"Content-Length": str(size)})
    request.stream = Upload(chunks)
    return await client.send(request)


async def post(client: httpx.AsyncClient, url: str, source: Source) -> httpx.Response:
    return await upload(client, url, iter(source), source.size)


ANSWER = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 14\r\n\r\nalready exists"


class TestEarlyAnswers:
    @pytest.mark.parametrize("then", ["closes", "reads nothing", "reads on"])
    def test_one_before_the_body_was_read_is_the_answer(self, then: str) -> None:
        async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(ANSWER)
            await writer.drain()
            if then == "reads nothing":
                await asyncio.sleep(5)
            elif then == "reads on":
                await asyncio.sleep(0.05)
                while await reader.read(1 << 20):
                    pass

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

        def slow() -> Iterator[bytes]:
            yield b"a"
            time.sleep(0.6)  # twice the time-out
            yield b"b"

        async def work(client: httpx.AsyncClient, url: str) -> None:
            response = await upload(client, url, slow(), 2)
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
        "said",
        [
            b"",
            b"SMTP ready\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        ],
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

        def broken() -> Iterator[bytes]:
            yield b"abc"
            raise KeyError("gone")

        async def work(client: httpx.AsyncClient, url: str) -> None:
            with pytest.raises(KeyError, match="gone"):
                await upload(client, url, broken(), 4)
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

    def test_what_comes_without_being_asked_is_nobodys_answer(self) -> None:
        async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while head := await reader.readline():
                await reader.readuntil(b"\r\n\r\n")
                answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + head.split()[1][-1:]
                writer.write(answer)
                await writer.drain()
                await asyncio.sleep(0.01)
                writer.write(answer)

        async def work(client: httpx.AsyncClient, url: str) -> None:
            for name in "abc":
                assert (await client.get(url + name)).text == name
                await asyncio.sleep(0.05)

        against(twice, work)


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's, whose authority the environment names."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 4  # they come while the body is sent, and are no answer
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


class TestEncrypted:
    def test_a_body_goes_out_whole_and_the_connection_is_kept(self, tls: ssl.SSLContext) -> None:
        sizes: list[int] = []
        connections = 0

        async def taking(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            for _ in range(2):
                await reader.readuntil(b"\r\n\r\n")
                sizes.append(len(await reader.readexactly(MANY * len(BLOCK))))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                await writer.drain()

        async def work(client: httpx.AsyncClient, url: str) -> None:
            client.timeout = httpx.Timeout(60)
            for _ in range(2):
                assert (await post(client, url, Source())).text == "ok"

        against(taking, work, tls)
        assert (sizes, connections) == ([MANY * len(BLOCK)] * 2, 1)

    def test_an_early_answer_is_the_answer(self, tls: ssl.SSLContext) -> None:
        async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(ANSWER)
            await writer.drain()
            await asyncio.sleep(5)

        async def work(client: httpx.AsyncClient, url: str) -> None:
            assert (await post(client, url, Source())).text == "already exists"

        against(early, work, tls)

    def test_who_is_not_trusted_gets_nothing(
        self, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("SSL_CERT_FILE")
        heard: list[bytes] = []

        async def taking(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.read(1))

        async def work(client: httpx.AsyncClient, url: str) -> None:
            with pytest.raises(httpx.ConnectError, match="certificate"):
                await client.get(url)

        against(taking, work, tls)
        assert heard in ([], [b""])


class TestAnswers:
    def test_what_is_left_of_one_is_nobodys(self) -> None:
        """A thread that comes late gets nothing of the next answer on its connection."""

        async def naming(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while head := await reader.readline():
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n" + head.split()[1][1:])
                await writer.drain()

        async def work(client: httpx.AsyncClient, url: str) -> None:
            async with client.stream("GET", url + "first.") as response:
                late = blocking(response)
            async with client.stream("GET", url + "second") as response:
                assert list(late) in ([], [b"first."])
                assert b"".join([chunk async for chunk in response.aiter_raw()]) == b"second"

        against(naming, work)

    def test_a_large_one_that_was_left_is_not_read_on(self) -> None:
        async def large(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            await asyncio.sleep(5)

        async def work(client: httpx.AsyncClient, url: str) -> None:
            async with client.stream("GET", url) as response:
                late = blocking(response)
            with pytest.raises(httpx.ReadError):
                await in_thread(lambda: list(late))

        against(large, work)

    @pytest.mark.parametrize("status", [b"101 Switching", b"103 Early Hints"])
    def test_one_that_is_not_final_is_none(self, status: bytes) -> None:
        async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 " + status + b"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
            await writer.drain()
            await asyncio.sleep(0.1)

        async def work(client: httpx.AsyncClient, url: str) -> None:
            with pytest.raises(httpx.RemoteProtocolError, match="where an answer is due"):
                await client.get(url)

        against(early, work)

    def test_bytes_behind_one_end_the_connection(self) -> None:
        connections = 0

        async def more(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            while head := await reader.readline():
                await reader.readuntil(b"\r\n\r\n")
                answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"
                writer.write(answer + head.split()[1][-1:] + answer + b"?")
                await writer.drain()

        async def work(client: httpx.AsyncClient, url: str) -> None:
            for name in "abc":
                assert (await client.get(url + name)).text == name

        against(more, work)
        assert connections == 3


def test_a_secret_that_can_not_be_sent_is_not_shown() -> None:
    async def work(client: httpx.AsyncClient, url: str) -> None:
        with pytest.raises(httpx.RemoteProtocolError, match="authorization") as caught:
            await client.get(url, headers={"authorization": "Bearer secret\n"})
        assert "secret" not in str(caught.value)

    async def nobody(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    against(nobody, work)


def test_only_http_is_spoken() -> None:
    async def ask() -> None:
        async with httpx.AsyncClient(transport=Wire()) as client:
            await client.get("ftp://127.0.0.1/")

    with pytest.raises(httpx.UnsupportedProtocol, match="ftp"):
        asyncio.run(ask())


class TestCalledOff:
    @pytest.mark.parametrize("waiting", ["for the answer", "for the server to take more", "for its body"])
    def test_it_ends_at_once_and_the_server_notices(self, waiting: str) -> None:
        reached, noticed = asyncio.Event(), asyncio.Event()
        source = Source(1 if waiting == "for the answer" else 2000)

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            if waiting == "for the answer":
                await reader.readexactly(source.size)
            if waiting == "for its body":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n")
                await writer.drain()
            reached.set()
            while await reader.read(1 << 20):
                if waiting == "for the server to take more":
                    await asyncio.sleep(0.01)
            noticed.set()

        async def work(client: httpx.AsyncClient, url: str) -> None:
            client.timeout = httpx.Timeout(60)
            asked = client.get(url) if waiting == "for its body" else post(client, url, source)
            task = asyncio.ensure_future(asked)
            await reached.wait()
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            given = source.given
            await asyncio.wait_for(noticed.wait(), 5)
            assert source.given <= given + 1 < 2000, "nothing is read any more, but what was being read"

        before = len(sys._current_frames())
        against(silent, work)
        until = time.monotonic() + 5
        while len(sys._current_frames()) > before and time.monotonic() < until:
            time.sleep(0.01)
        assert len(sys._current_frames()) <= before
