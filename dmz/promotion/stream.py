"""Streams of bytes: checked on the way, and split where one reading serves two writers.

They block, so they are read in threads.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

from dmz.artifact import Artifact
from dmz.errors import TransferError
from dmz.threads import in_thread

_AHEAD: Final = 4
"""Chunks by which one writer may be ahead of another: bounds what is held in memory."""
_CHANGED: Final = "it changed since the release: find out why, then run `dmz screen` again"


class UnapprovedError(TransferError):
    """The bytes are not the approved ones. Trying again does not make them so."""


class ShortError(TransferError):
    """Fewer bytes came than were approved, and they ended as if they were all."""


def approved(artifact: Artifact, chunks: Iterator[bytes], source: str) -> Iterator[bytes]:
    """Pass the bytes on as they come, but the last ones only when all of them are the approved ones.

    An upload that is fed from this stream cannot complete with anything else.

    Args:
        artifact: what was approved.
        chunks: what comes.
        source: who sends it, for the refusal.

    Raises:
        ShortError: fewer bytes came, and they ended as if they were all.
        UnapprovedError: the SHA-256 differs, or there are more bytes; names the artifact and both digests.
    """
    digest = hashlib.sha256()
    size = 0
    held = b""
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
        if size > artifact.size:
            raise UnapprovedError(
                f"{artifact.key} {artifact.filename}: {source} sends more than the approved {artifact.size} "
                f"bytes (SHA-256 {artifact.sha256}, {digest.hexdigest()} so far); {_CHANGED}"
            )
        if chunk:
            if held:
                yield held
            held = chunk
    if size < artifact.size:
        raise ShortError(
            f"{artifact.key} {artifact.filename}: {source} sent {size} of the approved {artifact.size} bytes "
            f"(SHA-256 {artifact.sha256}, {digest.hexdigest()} so far); run again; if it stays, "
            f"{_CHANGED}"
        )
    if digest.hexdigest() != artifact.sha256:
        raise UnapprovedError(
            f"{artifact.key} {artifact.filename}: {source} served SHA-256 {digest.hexdigest()} "
            f"({size} bytes), approved is {artifact.sha256} ({artifact.size} bytes); {_CHANGED}"
        )
    if held:
        yield held


Writer = Callable[[Iterator[bytes]], Awaitable[None]]


async def split(chunks: Iterator[bytes], writers: Sequence[Writer]) -> None:
    """Read once for several writers, none of them more than a few chunks ahead of another.

    When the stream fails, no writer gets its end, so that none can complete. When a writer fails, the others
    are called off.

    Args:
        chunks: what to read; a thread does.
        writers: each reads the stream that it is given in a thread of its own; one that returns before the
            end wants no more of it.

    Raises:
        Whatever the stream or the first writer to fail raised; CancelledError if it was called off as well.
    """
    if len(writers) == 1:
        await writers[0](chunks)
        return
    lanes = [_Lane() for _ in writers]

    def read() -> None:
        try:
            for chunk in chunks:
                for lane in lanes:
                    lane.put(chunk)
        except BaseException as error:
            for lane in lanes:
                lane.stop(error)
            raise
        for lane in lanes:
            lane.stop(None)

    async def write(writer: Writer, lane: _Lane) -> None:
        await writer(lane.chunks())
        lane.leave()

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            for other in tasks:
                other.cancel()

    # No task group: before Python 3.13 one that fails while it is called off forgets the latter, and whoever
    # tries again after a failure would go on for ever.
    tasks = [asyncio.create_task(in_thread(read))]
    tasks += (asyncio.create_task(write(*pair)) for pair in zip(writers, lanes, strict=True))
    for task in tasks:
        task.add_done_callback(ended)
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        for lane in lanes:
            lane.stop(TransferError("called off"))  # to nobody: it only ends the threads
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in sorted(done, key=asyncio.Task.cancelled):  # what failed, before what was called off for it
        task.result()


class _Lane:
    """What one writer has not read yet: a few chunks."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._left = False
        self._ended = False
        self._failure: BaseException | None = None

    def put(self, chunk: bytes) -> None:
        """Wait for a place, and put the next chunk there; whoever left gets no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._left or self._ended or len(self._waiting) < _AHEAD)
            if self._failure is not None:
                raise self._failure
            if not self._left:
                self._waiting.append(chunk)
                self._changed.notify_all()

    def chunks(self) -> Iterator[bytes]:
        """What is put, until it ends: well, or with the failure of whoever puts. Who stops reading leaves."""
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._waiting or self._ended)
                    if self._failure is not None:
                        raise self._failure
                    if not self._waiting:
                        return
                    chunk = self._waiting.popleft()
                    self._changed.notify_all()
                yield chunk
        finally:
            self.leave()

    def leave(self) -> None:
        """Nobody reads any more."""
        with self._changed:
            self._left = True
            self._waiting.clear()
            self._changed.notify_all()

    def stop(self, failure: BaseException | None) -> None:
        """That was all, or there is no more because of a failure; what comes first counts."""
        with self._changed:
            if not self._ended:
                self._ended, self._failure = True, failure
                self._changed.notify_all()
