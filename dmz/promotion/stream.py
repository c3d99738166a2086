"""Streams of bytes: checked on the way, and split where one reading serves two writers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

from dmz.artifact import Artifact
from dmz.digest import Digest
from dmz.errors import TransferError

_AHEAD: Final = 4
"""Chunks by which one writer may be ahead of another: bounds what is held in memory."""
_CHANGED: Final = "it changed since the release: find out why, then run `dmz screen` again"


class UnapprovedError(TransferError):
    """The bytes are not the approved ones. Trying again does not make them so."""


async def approved(artifact: Artifact, chunks: AsyncIterator[bytes], source: str) -> AsyncIterator[bytes]:
    """Pass the bytes on as they come, but the last ones only when all of them are the approved ones.

    An upload that is fed from this stream cannot complete with anything else.

    Args:
        artifact: what was approved.
        chunks: what comes.
        source: who sends it, for the refusal.

    Raises:
        TransferError: fewer bytes came, and they ended as if they were all.
        UnapprovedError: the SHA-256 differs, or there are more bytes; names the artifact and both digests.
    """
    digest = Digest()
    size = 0
    held = b""
    async for chunk in chunks:
        await digest.update(chunk)
        size += len(chunk)
        if size > artifact.size:
            raise UnapprovedError(
                f"{artifact.key} {artifact.filename}: {source} sends more than the approved {artifact.size} "
                f"bytes (SHA-256 {artifact.sha256}, {await digest.hexdigest()} so far); {_CHANGED}"
            )
        if chunk:
            if held:
                yield held
            held = chunk
    if size < artifact.size:
        raise TransferError(
            f"{artifact.key} {artifact.filename}: {source} sent {size} of the approved {artifact.size} bytes "
            f"(SHA-256 {artifact.sha256}, {await digest.hexdigest()} so far); run again; if it stays, "
            f"{_CHANGED}"
        )
    if await digest.hexdigest() != artifact.sha256:
        raise UnapprovedError(
            f"{artifact.key} {artifact.filename}: {source} served SHA-256 {await digest.hexdigest()} "
            f"({size} bytes), approved is {artifact.sha256} ({artifact.size} bytes); {_CHANGED}"
        )
    if held:
        yield held


Writer = Callable[[AsyncIterator[bytes]], Awaitable[None]]


async def split(chunks: AsyncIterator[bytes], writers: Sequence[Writer]) -> None:
    """Read once for several writers, none of them more than a few chunks ahead of another.

    When the stream or a writer fails, no writer gets the end of the stream, so that none can complete.

    Raises:
        Whatever the stream or the first writer to fail raised; CancelledError if it was called off as well.
    """
    if len(writers) == 1:
        await writers[0](chunks)
        return
    lanes: list[asyncio.Queue[bytes | None]] = [asyncio.Queue(_AHEAD) for _ in writers]

    async def read() -> None:
        async for chunk in chunks:
            for lane in lanes:
                await lane.put(chunk)
        for lane in lanes:
            await lane.put(None)

    async def write(writer: Writer, lane: asyncio.Queue[bytes | None]) -> None:
        finished = False

        async def stream() -> AsyncIterator[bytes]:
            nonlocal finished
            while (chunk := await lane.get()) is not None:
                yield chunk
            finished = True

        await writer(stream())
        while not finished:  # one that has the file already need not read it all
            finished = await lane.get() is None

    def stop(ended: asyncio.Task[None]) -> None:
        if not ended.cancelled() and ended.exception() is not None:
            for task in tasks:
                task.cancel()

    # No task group: before Python 3.13 one that fails while it is called off forgets the latter, and whoever
    # tries again after a failure would go on for ever.
    tasks = [asyncio.create_task(read())]
    tasks += (asyncio.create_task(write(*pair)) for pair in zip(writers, lanes, strict=True))
    for task in tasks:
        task.add_done_callback(stop)
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in sorted(done, key=asyncio.Task.cancelled):  # what failed, before what was called off for it
        task.result()
