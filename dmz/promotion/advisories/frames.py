"""Messages between two processes: bytes, after their number."""

from __future__ import annotations

import fcntl
import struct
from typing import IO, Final

_LENGTH: Final = struct.Struct("<Q")
_PIPE: Final = 1 << 20
"""Bytes."""
_MOST: Final = 1 << 20
"""Bytes for which room is made before any has come."""


def widen(pipe: IO[bytes]) -> None:
    """Let as much wait in a pipe as an unprivileged process may: else its writer would wait for the reader.

    Raises:
        OSError: too much waits in other pipes.
    """
    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)


def send(pipe: IO[bytes], body: bytes) -> None:
    """Write one message.

    Raises:
        OSError: nobody reads it.
    """
    pipe.write(_LENGTH.pack(len(body)))
    pipe.write(body)
    pipe.flush()


def received(pipe: IO[bytes]) -> bytes:
    """Read one message.

    Raises:
        EOFError: there is none, or not all of it.
    """
    (length,) = _LENGTH.unpack(_read(pipe, _LENGTH.size))
    return _read(pipe, length)


def _read(pipe: IO[bytes], size: int) -> bytes:
    parts = []
    while size:
        part = pipe.read(min(size, _MOST))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
