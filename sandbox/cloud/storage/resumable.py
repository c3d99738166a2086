"""Resumable uploads: sessions that take an object's bytes in several requests.

See https://cloud.google.com/storage/docs/performing-resumable-uploads. Sessions live in memory: after a
restart of the daemon a client is told 404 and begins again, as the documentation has it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import hdrs, web

from sandbox.cloud.context import Cloud
from sandbox.cloud.errors import ApiError, invalid, not_found
from sandbox.cloud.requests import note_data
from sandbox.cloud.storage.blobs import CHUNK, BlobWriter
from sandbox.cloud.storage.objects import Preconditions

LIFETIME: Final = 7 * 24 * 3600
"""Seconds that a session may be used, as Google's."""

_CONTENT_RANGE: Final = re.compile(r"bytes (?:\*|(\d+)-(\d+))/(?:\*|(\d+))")


@dataclass
class Session:
    """One upload that has begun."""

    bucket: str
    name: str
    metadata: dict[str, Any]
    preconditions: Preconditions
    identity: str | None
    writer: BlobWriter
    begun: float = field(default_factory=time.monotonic)
    busy: bool = False
    """Whether a request is writing into it."""


class Sessions:
    """All resumable uploads of one cloud."""

    def __init__(self, cloud: Cloud) -> None:
        del cloud
        self._sessions: dict[str, Session] = {}

    def begin(self, session: Session) -> str:
        """Keep a session; returns its id, which is as good as a credential."""
        for key, old in list(self._sessions.items()):
            if time.monotonic() - old.begun > LIFETIME:
                self.end(key)
        key = secrets.token_urlsafe(32)
        self._sessions[key] = session
        return key

    def get(self, key: str) -> Session:
        """The session.

        Raises:
            ApiError: there is none of that id.
        """
        session = self._sessions.get(key)
        if session is None:
            raise not_found("No such resumable upload; begin again")
        return session

    def end(self, key: str) -> None:
        """Forget a session and what it took."""
        session = self._sessions.pop(key, None)
        if session is not None:
            session.writer.close()


async def take(request: web.Request, session: Session) -> bool:
    """Take this request's bytes; returns whether they were the last.

    Bytes that arrived before a connection broke are kept: the client asks how many, and goes on from there.

    Raises:
        ApiError: the range doesn't go on where the last one ended.
    """
    if session.busy:
        raise ApiError(409, "ABORTED", "Another request is writing to this resumable upload")
    session.busy = True
    try:
        header = request.headers.get(hdrs.CONTENT_RANGE)
        if header is None:
            if session.writer.size:
                raise invalid("This resumable upload has begun; say with Content-Range where it goes on")
            await _receive(request, session.writer)
            return True
        found = _CONTENT_RANGE.fullmatch(header)
        if found is None:
            raise invalid(f"Content-Range '{header}' is not of the form 'bytes FIRST-LAST/TOTAL'")
        first, last, total = (None if text is None else int(text) for text in found.groups())
        if first is not None and last is not None:
            if first != session.writer.size:
                return False  # the answer says where to go on
            await _receive(request, session.writer)
            if session.writer.size != last + 1:
                raise invalid(f"Content-Range '{header}' doesn't fit the body that came with it")
        return total is not None and session.writer.size == total
    finally:
        session.busy = False


async def _receive(request: web.Request, writer: BlobWriter) -> None:
    part = hashlib.sha256()
    before = writer.size
    try:
        async for data in request.content.iter_chunked(CHUNK):
            part.update(data)
            await writer.write(data)
    finally:
        note_data(request, writer.size - before, part.hexdigest())
