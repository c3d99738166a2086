"""The small interfaces behind which every repository and the archive stand."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Final, Protocol

from dmz.artifact import Artifact, Kind

PAGE: Final = 1000
"""Files on a page of a listing: the most that the services give."""


@dataclass(frozen=True, order=True, slots=True)
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
    owner: tuple[str, str] = field(default=("", ""), compare=False)
    """Package and version under which the record has it: what a withdrawal names."""


class Registry(Protocol):
    """A repository of one kind of artifact.

    What is put may have to be admitted before anybody can read it; whoever put it compares with the listing
    afterwards, because a service may say that it took what it did not.
    """

    async def list(self, of: Collection[Artifact] | None = None) -> list[Stored]:
        """What the repository holds, from its own record.

        Args:
            of: None for everything, by one listing and not a request for each. Otherwise only what is found
                under the names of these, asked for one by one: what is shown is so, and what is not shown may
                be there all the same.
        """
        ...

    def open(self, artifact: Artifact) -> AbstractAsyncContextManager[Iterator[bytes]]:
        """Stream the artifact's bytes; the caller hashes them.

        Raises:
            TransferError: the repository does not have it.
        """
        ...

    async def staged(self, artifacts: Collection[Artifact]) -> set[Artifact]:
        """Those that an earlier run put and nobody admitted yet; their bytes were hashed where they lie."""
        ...

    async def put(self, artifact: Artifact, chunks: Iterator[bytes]) -> None:
        """Upload from a stream that raises before its last chunk when the bytes are not the approved ones.

        Nothing is readable in the repository unless the stream ended well. A place that is taken already is
        no error, whatever is in it: the listing tells. Where that would only believe the name, other bytes in
        the place are deleted, and an error.

        Raises:
            TransferError: the repository refused or failed.
        """
        ...

    async def admit(self, artifacts: Collection[Artifact]) -> None:
        """Make what was put readable, all in one go; nothing to do where `put` itself does it.

        Raises:
            TransferError: the repository refused or failed, or took other bytes than were put.
        """
        ...

    async def settle(self, artifacts: Collection[Artifact]) -> None:
        """Wait until installers are shown these artifacts, with these digests; forget what else was staged.

        Raises:
            TransferError: they still are not, after a time that ends.
        """
        ...

    async def withdraw(self, stored: Iterable[Stored]) -> None:
        """Remove whole versions, as `Stored.owner` names them; the service has no finer unit."""
        ...


class Archive(Protocol):
    """What was ever admitted, by content: who syncs can add to it, and neither replace nor delete."""

    async def list(self) -> set[str]:
        """The SHA-256 of everything that it keeps, from one listing."""
        ...

    def open(self, artifact: Artifact) -> AbstractAsyncContextManager[Iterator[bytes]]:
        """Stream the bytes whose SHA-256 is the artifact's; the caller hashes them.

        Raises:
            TransferError: the archive does not have it.
        """
        ...

    async def put(self, artifact: Artifact, chunks: Iterator[bytes]) -> None:
        """Keep the bytes, from a stream as `Registry.put` takes it; what is kept already stays as it is.

        Raises:
            TransferError: the archive refused or failed.
        """
        ...
