"""The one small interface behind which every repository stands: list, open, put, withdraw."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from dmz.artifact import Artifact, Kind


@dataclass(frozen=True, order=True)
class Stored:
    """One file as the destination's own record describes it."""

    kind: Kind
    name: str
    architecture: str
    version: str
    filename: str
    sha256: str
    size: int
    """Bytes."""


class Registry(Protocol):
    """A repository of one kind of artifact."""

    async def list(self) -> list[Stored]:
        """Everything the repository holds, from its own record (one listing, not a request for each)."""
        ...

    def open(self, artifact: Artifact) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Stream the artifact's bytes; the caller hashes them.

        Raises:
            TransferError: the repository does not have it.
        """
        ...

    async def put(self, artifact: Artifact, chunks: AsyncIterator[bytes]) -> None:
        """Upload from a stream that raises before its last chunk when the bytes are not the approved ones.

        Nothing is readable in the repository unless the stream ended well. A file that is there already
        with the same SHA-256 is no error.

        Raises:
            TransferError: the repository refused, or holds other bytes under this name.
        """
        ...

    async def withdraw(self, stored: Iterable[Stored]) -> None:
        """Remove whole versions; the service has no finer unit."""
        ...
