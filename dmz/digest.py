"""A SHA-256 that is reckoned while the next bytes come."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Final

_BATCH: Final = 1 << 19
"""Bytes that a thread hashes in one go: fewer cost more to hand over than to hash. What is held in memory for
one file is at most twice as much."""


class Digest:
    """SHA-256 of a stream: a thread hashes what came, which leaves the event loop to the connections."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._batch: list[bytes] = []
        self._size = 0
        self._running: asyncio.Future[None] | None = None

    async def update(self, chunk: bytes) -> None:
        """Take more bytes; waits only while the thread is a batch behind."""
        self._batch.append(chunk)
        self._size += len(chunk)
        if self._size >= _BATCH:
            await self._finish()
            batch, self._batch, self._size = self._batch, [], 0
            self._running = asyncio.get_running_loop().run_in_executor(None, self._add, batch)

    async def hexdigest(self) -> str:
        """Of all that was taken so far, as 64 hexadecimal digits."""
        await self._finish()
        self._add(self._batch)  # less than a batch is not worth a thread
        self._batch, self._size = [], 0
        return self._digest.hexdigest()

    async def _finish(self) -> None:
        if self._running is not None:
            await self._running

    def _add(self, batch: list[bytes]) -> None:
        for chunk in batch:
            self._digest.update(chunk)
