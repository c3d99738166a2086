"""One HTTP/1.1 connection to a server, by the standard library's client. What is here blocks."""

from __future__ import annotations

import http.client
import os
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final

import httpx

from dmz.registries.line import Line

CHUNK: Final = 1 << 18
"""Bytes of a body that are handled at a time, at most: few enough to stay in a processor's cache."""
_FRAMING: Final = frozenset({b"transfer-encoding", b"connection"})
"""Fields that say how a body is framed and who keeps the connection."""
_CALLED_OFF: Final = "called off"

Origin = tuple[str, str, int]
"""Scheme, host and port."""


def _trusting() -> ssl.SSLContext:
    """Whom to trust: the usual authorities, or those that the environment names. Costs 25 ms to make."""
    return _made(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _made(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    return httpx.create_ssl_context()  # which reads the two itself


class Connection:
    """A connection, made when a request needs it: the first one, or one after the server ended it.

    `cut` may be called from any thread.
    """

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        scheme, host, port = origin
        self._http: http.client.HTTPConnection = (
            http.client.HTTPSConnection(host, port, context=_trusting())
            if scheme == "https"
            else http.client.HTTPConnection(host, port)
        )
        self._http.auto_open = 0  # or the rest of a body that was cut would go to a new connection
        self._line: Line | None = None
        self._current: Answer | None = None
        self._in_use = threading.Lock()
        self._cut = False

    def reusable(self, answer: Answer) -> bool:
        """Whether nothing of an exchange, the last one, is on its way, and the server goes on listening."""
        return answer is self._current and answer.finished and answer.keeps and not self._cut

    def exchange(self, request: httpx.Request, body: bytes | Iterator[bytes]) -> Answer:
        """Send a request and read the head of its answer, with its body if that is small.

        It listens while it sends a stream: an answer that comes before the end of it is read as the answer.

        Raises:
            httpx.TransportError: no answer, or one that says that it took what was not sent yet.
            Whatever `body` raises: as it is; the connection has to be cut then.
        """
        patience = request.extensions.get("timeout", {})
        with self._used():
            self._current = None
            if (line := self._waiting()) is None:
                line = self._connected(request, patience.get("connect"))
            line.patience(patience.get("write"))
            sent = self._send(request, body, line)
            line.patience(patience.get("read"))
            with _translated(request, httpx.ReadTimeout, httpx.ReadError):
                found = self._http.getresponse()
                _check(found)
            if not sent and found.status < 400:
                raise httpx.RemoteProtocolError("an answer before the end", request=request)
            self._current = answer = Answer(self, request, found, keeps=sent and not found.will_close)
            if found.length is not None and found.length <= CHUNK:
                answer.ahead = self._read(answer)
        return answer

    def read(self, answer: Answer) -> bytes:
        """The next bytes of an answer's body, none at its end.

        Raises:
            httpx.TransportError: it broke, ended before it was complete, or was called off.
        """
        with self._used():
            return self._read(answer)

    def _read(self, answer: Answer) -> bytes:
        if answer is not self._current:  # whoever comes late gets nothing of the next one
            raise httpx.ReadError(_CALLED_OFF, request=answer.request)
        with _translated(answer.request, httpx.ReadTimeout, httpx.ReadError):
            data = answer.head.read(CHUNK)
            if not data and answer.head.length:
                raise http.client.IncompleteRead(data, answer.head.length)
        return data

    def _waiting(self) -> Line | None:
        """The line, if the server has said nothing since its last answer, not even that it closes."""
        if self._line is None or self._line.silent():
            return self._line
        self._line.close_for_good()
        self._http.close()
        return None

    def _connected(self, request: httpx.Request, patience: float | None) -> Line:
        self._http.timeout = patience
        with _translated(request, httpx.ConnectTimeout, httpx.ConnectError):
            self._http.connect()
        self._line = Line(self._http.sock)
        self._http.sock = self._line  # as much of a socket as the client uses
        if self._cut:
            raise httpx.ConnectError(_CALLED_OFF, request=request)
        return self._line

    def _send(self, request: httpx.Request, body: bytes | Iterator[bytes], line: Line) -> bool:
        """Send all of it, or until an answer comes; whether it was all."""
        with _translated(request, httpx.WriteTimeout, httpx.WriteError):
            target = request.url.raw_path.decode("ascii")
            self._http.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
            for key, value in request.headers.raw:
                if key.lower() not in _FRAMING:
                    self._field(key, value)
            self._http.endheaders()
        for chunk in (body,) if isinstance(body, bytes) else body:
            if not chunk:
                continue
            if chunk is not body and line.heard():
                return False
            try:
                line.sendall(chunk)
            except OSError:
                if not line.silent():  # why the server takes no more
                    return False
                with _translated(request, httpx.WriteTimeout, httpx.WriteError):
                    raise
        return True

    def _field(self, key: bytes, value: bytes) -> None:
        try:
            self._http.putheader(key, value)
        except ValueError:  # which shows the value, and that may be a secret
            raise http.client.HTTPException(
                f"the field {key.decode('latin-1')!r} has characters that can't be sent"
            ) from None

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


class Answer:
    """The answer of one exchange; what is left of its body comes by `Connection.read`."""

    def __init__(
        self,
        connection: Connection,
        request: httpx.Request,
        head: http.client.HTTPResponse,
        *,
        keeps: bool,
    ) -> None:
        self.connection = connection
        self.request = request
        self.head = head
        self.keeps = keeps
        """Whether all was sent, and the server goes on listening after this."""
        self.ahead = b""
        """What was read of its body with the head."""

    @property
    def finished(self) -> bool:
        """Whether all of its body was read."""
        return self.head.isclosed()


def _check(answer: http.client.HTTPResponse) -> None:
    """What the standard library lets pass: no final answer, and a body whose length nobody can tell."""
    if answer.status < 200:
        raise http.client.HTTPException(f"{answer.status} where an answer is due")
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
