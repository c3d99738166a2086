"""Answering with the bytes of a file, whole or one range of it (RFC 9110, section 14)."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from aiohttp import hdrs, web

from sandbox.cloud.requests import note_data
from sandbox.cloud.storage.blobs import CHUNK

P = TypeVar("P")
T = TypeVar("T")

_FEW: Final = 128 << 10
"""Bytes that are read, or hashed, in less time than a thread takes to be told."""


async def send_file(request: web.Request, path: Path, headers: Mapping[str, str]) -> web.StreamResponse:
    """Stream the file at `path`; what was sent of it goes to the request log.

    One byte range is honoured; several, or a malformed one, are answered with the whole file, as the RFC
    allows.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        start, stop = _range(request, size)
        partial = (start, stop) != (0, size)
        response = web.StreamResponse(status=206 if partial else 200, headers=headers)
        response.headers[hdrs.ACCEPT_RANGES] = "bytes"
        if partial:
            response.headers[hdrs.CONTENT_RANGE] = f"bytes {start}-{stop - 1}/{size}"
        response.content_length = stop - start
        await response.prepare(request)
        if request.method == hdrs.METH_HEAD:
            return response
        file.seek(start)
        place, sent = start, hashlib.sha256()
        with contextlib.suppress(ConnectionError):  # a client that has read enough may leave
            while place < stop:
                data = await _aside(stop - place, file.read, min(CHUNK, stop - place))
                if not data:
                    raise EOFError(f"{path} ended before its size")
                await response.write(data)
                await _aside(len(data), sent.update, data)
                place += len(data)
            await response.write_eof()
        note_data(request, place - start, sent.hexdigest())
    return response


async def _aside(size: int, work: Callable[[P], T], argument: P) -> T:
    """Do what takes long in a thread; with a few bytes, to go there takes longer."""
    return work(argument) if size <= _FEW else await asyncio.to_thread(work, argument)


def _range(request: web.Request, size: int) -> tuple[int, int]:
    try:
        wanted = request.http_range
    except ValueError:
        return 0, size
    if wanted.start is None and wanted.stop is None:
        return 0, size
    start = wanted.start or 0
    if start < 0:
        start = max(0, size + start)
    stop = size if wanted.stop is None else min(size, wanted.stop)
    if start >= size or start >= stop:
        raise web.HTTPRequestRangeNotSatisfiable(headers={hdrs.CONTENT_RANGE: f"bytes */{size}"})
    return start, stop
