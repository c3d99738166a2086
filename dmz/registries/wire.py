"""The wire below httpx: connections of the standard library's client, each exchange in a thread.

All that is decided about a request (identity, patience, pace) stays in httpx, above this transport. The bytes
of a copy go from one socket through the digest to the next within one thread: to hand them from task to task
costs as much as the copy itself.
"""

from __future__ import annotations

import http.client
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

import httpx

from dmz.registries.connection import Answer, Connection, Origin
from dmz.threads import in_thread

_STREAM: Final = "dmz.stream"


class Upload(httpx.AsyncByteStream):
    """A request's body that is read where it is sent, in a thread. The header says its length."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        """What `chunks` raises comes out of the request as it is, and cuts the connection."""
        self.chunks = chunks


def blocking(response: httpx.Response) -> Iterator[bytes]:
    """The body of a response that came by a `Wire`, as it comes; to be read in a thread.

    Raises:
        httpx.TransportError: while it is read; the connection broke.
    """
    stream = response.extensions[_STREAM]
    assert isinstance(stream, _Stream)
    return iter(stream)


class Wire(httpx.AsyncBaseTransport):
    """Sends httpx requests, and keeps the connections for further ones."""

    def __init__(self) -> None:
        self._idle: dict[Origin, list[Connection]] = defaultdict(list)
        self._busy: set[Connection] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request`, whose body is at hand or an `Upload`.

        Raises:
            httpx.TransportError: no answer, or one that says that it took what was not sent yet.
        """
        # Read, as one that follows a redirect has its body in a stream alone.
        body = request.stream.chunks if isinstance(request.stream, Upload) else await request.aread()
        origin = _origin(request)
        idle = self._idle[origin]
        connection = idle.pop() if idle else Connection(origin)
        self._busy.add(connection)
        try:
            answer = await in_thread(lambda: connection.exchange(request, body), connection.cut)
        except BaseException:
            self._release(connection, None)
            raise
        stream = _Stream(answer, lambda: self._release(connection, answer))
        return httpx.Response(
            answer.head.status,
            headers=_headers(answer.head),
            stream=stream,
            extensions={
                "http_version": b"HTTP/1.1",
                "reason_phrase": answer.head.reason.encode("latin-1", "replace"),
                _STREAM: stream,
            },
        )

    def _release(self, connection: Connection, answer: Answer | None) -> None:
        """Keep it for another request, or cut it if something of this one may still come."""
        if connection in self._busy and answer is not None and connection.reusable(answer):
            self._idle[connection.origin].append(connection)
        else:
            connection.cut()
        self._busy.discard(connection)

    async def aclose(self) -> None:
        """Close the connections, also of what is still under way."""
        for connection in self._busy.union(*self._idle.values()):
            connection.cut()
        self._busy.clear()
        self._idle.clear()


class _Stream(httpx.AsyncByteStream):
    """An answer's body as it comes: to be read in a thread, or by the event loop."""

    def __init__(self, answer: Answer, release: Callable[[], None]) -> None:
        self._answer = answer
        self._release: Callable[[], None] | None = release

    def __iter__(self) -> Iterator[bytes]:
        if self._answer.ahead:
            yield self._answer.ahead
        while not self._answer.finished:
            if chunk := self._read():
                yield chunk

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._answer.ahead:
            yield self._answer.ahead
        while not self._answer.finished:
            if chunk := await in_thread(self._read, self._answer.connection.cut):
                yield chunk

    def _read(self) -> bytes:
        return self._answer.connection.read(self._answer)

    async def aclose(self) -> None:
        release, self._release = self._release, None
        if release is not None:
            release()


def _origin(request: httpx.Request) -> Origin:
    url = request.url
    port = {"http": 80, "https": 443}.get(url.scheme)
    if port is None:
        raise httpx.UnsupportedProtocol(f"{url.scheme or 'no scheme'} is not spoken here", request=request)
    return url.scheme, url.host, url.port or port


def _headers(answer: http.client.HTTPResponse) -> list[tuple[bytes, bytes]]:
    return [(key.encode("latin-1"), value.encode("latin-1")) for key, value in answer.getheaders()]
