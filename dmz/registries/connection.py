"""One HTTP/1.1 connection to a server, by the standard library's client. What is here blocks."""

from __future__ import annotations

import http.client
import io
import os
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import httpx

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CHUNK: Final = 1 << 18
"""Bytes of a body that are handled at a time, at most: few enough to stay in a processor's cache."""
_OURS: Final = frozenset({b"transfer-encoding", b"connection"})
"""Fields that say how a body is framed and who keeps the connection."""

Origin = tuple[str, str, int | None]
"""Scheme, host and port."""


def _trusting() -> ssl.SSLContext:
    """Whom to trust: the usual authorities, or those that the environment names. Costs 25 ms to make."""
    return _made(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _made(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    return httpx.create_ssl_context()  # which reads the two itself


class Connection:
    """A connection, made when the first request needs it. `cut` may be called from any thread."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        scheme, host, port = origin
        self._http: http.client.HTTPConnection = (
            http.client.HTTPSConnection(host, port, context=_trusting())
            if scheme == "https"
            else http.client.HTTPConnection(host, port)
        )
        self._http.auto_open = 0  # or the rest of a body that was cut would go to a new connection
        self._line: _Line | None = None
        self._sent = True
        self._answer: http.client.HTTPResponse | None = None
        self._ahead = b""
        self._in_use = threading.Lock()
        self._cut = False

    @property
    def finished(self) -> bool:
        """Whether all of the answer's body was read."""
        return self._answer is not None and self._answer.isclosed()

    @property
    def reusable(self) -> bool:
        """Whether nothing of the exchange is on its way any more, and the server goes on listening."""
        answer = self._answer
        return self._sent and self.finished and answer is not None and not answer.will_close and not self._cut

    def silent(self) -> bool:
        """Whether the server has said nothing since, not even that it closes."""
        return self._line is not None and not self._line.heard()

    def exchange(self, request: httpx.Request, body: bytes | Iterator[bytes]) -> http.client.HTTPResponse:
        """Send a request and return the head of its answer.

        It listens while it sends a stream: an answer that comes before the end of it is read as the answer.

        Raises:
            httpx.TransportError: no answer, or one that says that it took what was not sent yet.
            Whatever `body` raises: as it is; the connection has to be cut then.
        """
        patience = request.extensions.get("timeout", {})
        with self._used():
            line = self._line or self._connected(request, patience.get("connect"))
            line.patience(patience.get("write"))
            self._sent, self._answer, self._ahead = False, None, b""
            self._sent = self._send(request, body, line)
            line.patience(patience.get("read"))
            with _translated(request, httpx.ReadTimeout, httpx.ReadError):
                self._answer = answer = self._http.getresponse()
                _check(answer)
            if not self._sent and answer.status < 400:
                raise httpx.RemoteProtocolError("an answer before the end", request=request)
            if answer.length is not None and answer.length <= CHUNK:
                self._ahead = self._read(request)
        return answer

    def ahead(self) -> bytes:
        """What was read of the answer's body already, once."""
        data, self._ahead = self._ahead, b""
        return data

    def read(self, request: httpx.Request) -> bytes:
        """The next bytes of the answer's body, none at its end.

        Raises:
            httpx.TransportError: it broke, or ended before it was complete.
        """
        with self._used():
            return self._read(request)

    def _read(self, request: httpx.Request) -> bytes:
        assert self._answer is not None
        with _translated(request, httpx.ReadTimeout, httpx.ReadError):
            data = self._answer.read(CHUNK)
            if not data and self._answer.length:
                raise http.client.IncompleteRead(data, self._answer.length)
        return data

    def _connected(self, request: httpx.Request, patience: float | None) -> _Line:
        self._http.timeout = patience
        with _translated(request, httpx.ConnectTimeout, httpx.ConnectError):
            self._http.connect()
        self._line = _Line(self._http.sock)
        self._http.sock = self._line  # as much of a socket as the client uses
        if self._cut:
            raise httpx.ConnectError("called off", request=request)
        return self._line

    def _send(self, request: httpx.Request, body: bytes | Iterator[bytes], line: _Line) -> bool:
        """Send all of it, or until an answer comes; whether it was all."""
        with _translated(request, httpx.WriteTimeout, httpx.WriteError):
            target = request.url.raw_path.decode("ascii")
            self._http.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
            for key, value in request.headers.raw:
                if key.lower() not in _OURS:
                    self._http.putheader(key, value)
            self._http.endheaders()
        for chunk in (body,) if isinstance(body, bytes) else body:
            if not chunk:
                continue
            if chunk is not body and line.heard():
                return False
            try:
                line.sendall(chunk)
            except OSError:
                if line.heard():  # why the server takes no more
                    return False
                with _translated(request, httpx.WriteTimeout, httpx.WriteError):
                    raise
        return True

    def cut(self) -> None:
        """Break it off: what waits for it in a thread gets an error, and nothing more is sent."""
        self._cut = True
        if self._line is not None:
            self._line.cut()
        self._close()

    @contextmanager
    def _used(self) -> Iterator[None]:
        try:
            with self._in_use:
                yield
        finally:
            if self._cut:
                self._close()

    def _close(self) -> None:
        # Not while a thread uses it: the number of a closed socket may soon be another's.
        if self._in_use.acquire(blocking=False):
            try:
                if self._line is not None:
                    self._line.close_for_good()
            finally:
                self._in_use.release()


class _Line:
    """A socket that knows whether the other side has said something."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._poll = select.poll()
        self._poll.register(connected, select.POLLIN)
        self._said = b""

    def heard(self) -> bool:
        """Whether there is something to read: an answer, or the end."""
        if self._said:
            return True
        if not self._poll.poll(0):
            return False
        before = self._socket.gettimeout()
        self._socket.settimeout(0)
        try:
            self._said = self._socket.recv(CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False  # TLS has something to say to itself, such as a new ticket
        except OSError:
            pass  # whoever reads gets it again
        finally:
            self._socket.settimeout(before)
        return True

    def patience(self, seconds: float | None) -> None:
        """For how long the other side may take or say nothing."""
        self._socket.settimeout(seconds)

    def sendall(self, data: Any) -> None:
        """As a socket's."""
        self._socket.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What is to be read, from what was heard already on."""
        return io.BufferedReader(_Ear(self))

    def receive(self, buffer: WriteableBuffer) -> int:
        """As a socket's `recv_into`."""
        if not self._said:
            return self._socket.recv_into(buffer)
        view = memoryview(buffer)
        count = min(len(view), len(self._said))
        view[:count], self._said = self._said[:count], self._said[count:]
        return count

    def close(self) -> None:
        """The client closes before all is read; `Connection` does when it is done with it."""

    def cut(self) -> None:
        """Nothing comes and goes any more."""
        with suppress(OSError):  # it is closed
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close_for_good(self) -> None:
        self._socket.close()


class _Ear(io.RawIOBase):
    def __init__(self, line: _Line) -> None:
        self._line = line

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        return self._line.receive(buffer)


def _check(answer: http.client.HTTPResponse) -> None:
    """What the standard library lets pass: a body whose length nobody can tell."""
    lengths = set(answer.headers.get_all("content-length", ()))
    if len(lengths) > 1 or not all(each.isascii() and each.isdigit() for each in lengths):
        raise http.client.HTTPException(f"a body of length {', '.join(sorted(lengths))}")


@contextmanager
def _translated(
    request: httpx.Request, late: type[httpx.TransportError], broken: type[httpx.TransportError]
) -> Iterator[None]:
    """The standard library's errors as those of httpx."""
    try:
        yield
    except TimeoutError as error:
        raise late(_text(error), request=request) from error
    except OSError as error:
        raise broken(_text(error), request=request) from error
    except (http.client.HTTPException, ValueError) as error:
        raise httpx.RemoteProtocolError(_text(error), request=request) from error


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__
