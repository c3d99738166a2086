"""The wire below httpx: aiohttp's, which moves a stream's bytes for a third of the CPU time.

All that is decided about a request (identity, patience, pace) stays in httpx, above this transport. It sends
and receives at the same time, so an answer that comes before the end of the body is read as the answer.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from typing import Final

import aiohttp
import httpx
import yarl

CHUNK: Final = 1 << 18
"""Bytes of a stream that are handled at a time, at most."""
_OURS: Final = frozenset({b"transfer-encoding", b"connection"})
"""Fields that aiohttp sets itself, by what is sent."""


def _trusting() -> ssl.SSLContext:
    """Whom to trust: the usual authorities, or those that the environment names. Costs 25 ms to make."""
    return _made(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _made(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    return httpx.create_ssl_context()  # which reads the two itself


class Wire(httpx.AsyncBaseTransport):
    """Sends httpx requests over one pool of connections of aiohttp."""

    def __init__(self, *, connections: int) -> None:
        """`connections`: how many there are at a time, at most; further requests wait for one."""
        self._connections = connections
        self._made: aiohttp.ClientSession | None = None

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._made is None:  # it belongs to the event loop that runs
            self._made = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections, ssl=_trusting()),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
                auto_decompress=False,
                read_bufsize=CHUNK,
                raise_for_status=False,
            )
        return self._made

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request`; what its body's stream raises comes out as it is, and cuts the connection.

        Raises:
            httpx.TransportError: no answer, or one that says that it took what was not sent yet.
        """
        timeout = request.extensions.get("timeout", {})
        body = _Body(request, timeout.get("write"))
        headers = [(key, value) for key, value in request.headers.raw if key.lower() not in _OURS]
        try:
            with _translated(request):
                async with body.watched():
                    answer = await self._session.request(
                        request.method,
                        yarl.URL(str(request.url), encoded=True),
                        headers=[(key.decode("ascii"), value.decode("latin-1")) for key, value in headers],
                        data=body.data,
                        allow_redirects=False,
                        timeout=aiohttp.ClientTimeout(
                            sock_connect=timeout.get("connect"), sock_read=timeout.get("read")
                        ),
                    )
        except httpx.TransportError:
            if body.failure is not None:
                raise body.failure from None
            raise
        stream = _Answer(answer, request, body)
        if body.failure is not None or (answer.status < 400 and not body.sent):
            await stream.aclose()
            raise body.failure or httpx.RemoteProtocolError("an answer before the end", request=request)
        return httpx.Response(
            answer.status,
            headers=list(answer.raw_headers),
            stream=stream,
            extensions={
                "http_version": b"HTTP/1.1",
                "reason_phrase": (answer.reason or "").encode("latin-1", "replace"),
            },
        )

    async def aclose(self) -> None:
        """Close the connections."""
        if self._made is not None:
            await self._made.close()


class _Body:
    """A request's body: how far it was sent, and what went wrong while it was read."""

    def __init__(self, request: httpx.Request, patience: float | None) -> None:
        """`patience`: seconds for which the server may take nothing of it."""
        self.failure: Exception | None = None
        self.sent = True
        """Whether the server may have all of it."""
        self._patience = patience
        self._watch: asyncio.Timeout | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self.data: bytes | AsyncIterator[bytes] | None = None
        stream = request.stream
        if isinstance(stream, httpx.ByteStream):
            self.data = b"".join(stream) or None
        elif isinstance(stream, httpx.AsyncByteStream):
            self.sent = False
            length = request.headers.get("content-length")
            self.data = self._read(stream, None if length is None else int(length))

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Raise a TimeoutError when the server takes nothing for too long: aiohttp would wait for ever."""
        try:
            async with asyncio.timeout(None) as self._watch:
                yield
        finally:
            self._watch = None

    async def _read(self, stream: httpx.AsyncByteStream, length: int | None) -> AsyncIterator[bytes]:
        done = 0
        self._idle.clear()
        try:
            async for chunk in stream:
                self._idle.set()
                done += len(chunk)
                self.sent = done == length
                self._patient(self._patience)
                yield chunk
                self._patient(None)
                self._idle.clear()
        except Exception as error:
            self.failure = error
            raise
        finally:
            self._idle.set()
        self.sent = True

    def _patient(self, seconds: float | None) -> None:
        if self._watch is not None and not self._watch.expired():
            when = None if seconds is None else asyncio.get_running_loop().time() + seconds
            self._watch.reschedule(when)

    async def stopped(self) -> None:
        """Wait until nobody reads from the stream any more, once aiohttp was told to stop."""
        await self._idle.wait()


class _Answer(httpx.AsyncByteStream):
    """An answer's body as it comes."""

    def __init__(self, answer: aiohttp.ClientResponse, request: httpx.Request, body: _Body) -> None:
        self._answer = answer
        self._request = request
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _translated(self._request):
            async for chunk in self._answer.content.iter_chunked(CHUNK):
                yield chunk

    async def aclose(self) -> None:
        # The connection is kept for the next request only if nothing of this one is on its way any more.
        if self._body.sent and self._answer.content.at_eof():
            self._answer.release()
        else:
            self._answer.close()
            await self._body.stopped()


@contextmanager
def _translated(request: httpx.Request) -> Iterator[None]:
    """aiohttp's errors as those of httpx."""
    try:
        yield
    except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as error:
        kind = httpx.ConnectTimeout if isinstance(error, TimeoutError) else httpx.ConnectError
        raise kind(_text(error), request=request) from error
    except TimeoutError as error:
        raise httpx.ReadTimeout(_text(error), request=request) from error
    except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError) as error:
        raise httpx.RemoteProtocolError(_text(error), request=request) from error
    except aiohttp.InvalidURL as error:
        raise httpx.UnsupportedProtocol(_text(error), request=request) from error
    except (aiohttp.ClientError, OSError) as error:
        raise httpx.NetworkError(_text(error), request=request) from error


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__
