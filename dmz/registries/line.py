"""A socket that knows whether the other side has said something."""

from __future__ import annotations

import io
import select
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


_NOW_AND_THEN: Final = 0.02
"""Seconds between two looks: each makes way for all other threads, at every chunk that is sent."""


class Line:
    """As much of a connected socket as the standard library's HTTP client uses, with one reader for its life:
    what came and was not read is seen, and never lost.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._poll = select.poll()
        self._poll.register(connected, select.POLLIN)
        self._ear = _Ear(connected)
        self._reader = _Reader(self._ear)
        self._look = 0.0
        self._closing = threading.Lock()
        self._closed = False

    def heard(self) -> bool:
        """Whether something has come since it was silent: an answer, or the end. It looks now and then."""
        now = time.monotonic()
        if now < self._look:
            return False
        self._look = now + _NOW_AND_THEN
        return bool(self._poll.poll(0)) and not self.silent()

    def silent(self) -> bool:
        """Whether there is nothing to read: no byte that is left over from before, and not the end."""
        patience = self._socket.gettimeout()
        self._socket.settimeout(0)
        try:
            return not self._reader.peek(1) and not self._ear.ended
        except OSError:
            return False  # whoever reads gets it again
        finally:
            self._socket.settimeout(patience)

    def patience(self, seconds: float | None) -> None:
        """For how long the other side may take or say nothing."""
        if seconds != self._socket.gettimeout():  # which costs nothing
            self._socket.settimeout(seconds)

    def sendall(self, data: Any) -> None:
        """As a socket's."""
        self._socket.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What is to be read."""
        return self._reader

    def close(self) -> None:
        """Nothing: the client closes before all is read, `Connection` when it is done with it."""

    def cut(self) -> None:
        """Nothing comes and goes any more; may be called from any thread."""
        with self._closing, suppress(OSError):
            if not self._closed:
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close_for_good(self) -> None:
        """Close the socket."""
        with self._closing:
            self._closed = True
            self._socket.close()


class _Ear(io.RawIOBase):
    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        try:
            count = self._socket.recv_into(buffer)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None  # nothing yet, or TLS has something to say to itself, such as a new ticket
        self.ended = not count
        return count


class _Reader(io.BufferedReader):
    def close(self) -> None:
        """Nothing: it is read for further answers."""
