"""A repository in memory behind the real interface, with the rules that Artifact Registry has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from contextlib import asynccontextmanager

from dmz.artifact import Artifact
from dmz.errors import TransferError
from dmz.promotion.place import Slot, slot, unit
from dmz.registries.interface import Archive, Registry, Stored
from dmz.threads import in_thread
from tests.promotion.builders import sha


class Memory:
    """Holds bytes; never two contents in one place; a withdrawal takes whole versions."""

    def __init__(self, chunk: int = 7, *, stages: bool = False) -> None:
        """`stages`: whether what is put has to be admitted before anybody sees it."""
        self.held: dict[Slot, tuple[Stored, bytes]] = {}
        self.stages = stages
        self.waiting: dict[Artifact, bytes] = {}
        self.log: list[str] = []
        self.failures: dict[str, int] = {}
        """File name → how many more transfers of it break off."""
        self.chunk = chunk
        self.active = self.most_active = 0

    def add(self, artifact: Artifact, content: bytes) -> None:
        record = Stored(
            artifact.kind,
            artifact.name,
            artifact.architecture,
            artifact.version,
            artifact.filename,
            sha(content),
            len(content),
        )
        self.held[slot(artifact)] = (record, content)

    async def list(self, of: Collection[Artifact] | None = None) -> list[Stored]:
        self.log.append("list" if of is None else f"list {len(of)}")
        wanted = None if of is None else {unit(each) for each in of}
        return [record for record, _ in self.held.values() if wanted is None or unit(record) in wanted]

    @asynccontextmanager
    async def open(self, artifact: Artifact) -> AsyncIterator[Iterator[bytes]]:
        if slot(artifact) not in self.held:
            raise TransferError(f"{artifact.key} is not there")
        self.log.append(f"open {artifact.filename}")
        yield self._chunks(artifact.filename, self.held[slot(artifact)][1])

    def _chunks(self, filename: str, content: bytes) -> Iterator[bytes]:
        for at in range(0, len(content), self.chunk):
            yield content[at : at + self.chunk]
            if self.failures.get(filename, 0) > 0:
                self.failures[filename] -= 1
                raise TransferError(f"{filename}: the connection broke")

    async def put(self, artifact: Artifact, chunks: Iterator[bytes]) -> None:
        self.active += 1
        self.most_active = max(self.active, self.most_active)
        try:
            content = await in_thread(lambda: b"".join(chunks))
        finally:
            self.active -= 1
        self.log.append(f"put {artifact.filename}")
        if self.stages:
            self.waiting[artifact] = content
        elif slot(artifact) not in self.held:
            self.add(artifact, content)

    async def staged(self, artifacts: Collection[Artifact]) -> set[Artifact]:
        return self.waiting.keys() & set(artifacts)

    async def admit(self, artifacts: Collection[Artifact]) -> None:
        if self.stages:
            self.log.append(f"admit {len(artifacts)}")
        for artifact in artifacts:
            content = self.waiting.pop(artifact, None)
            if content is not None and slot(artifact) not in self.held:
                self.add(artifact, content)

    async def settle(self, artifacts: Collection[Artifact]) -> None:
        if self.stages:
            self.log.append(f"settle {len(artifacts)}")
            self.waiting.clear()

    async def withdraw(self, stored: Iterable[Stored]) -> None:
        going = {unit(each) for each in stored}
        self.log.append(f"withdraw {len(going)}")
        self.held = {place: each for place, each in self.held.items() if unit(each[0]) not in going}


class MemoryArchive:
    """Keeps bytes by their digest; never replaces, never deletes."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.log: list[str] = []

    async def list(self) -> set[str]:
        return set(self.kept)

    @asynccontextmanager
    async def open(self, artifact: Artifact) -> AsyncIterator[Iterator[bytes]]:
        if artifact.sha256 not in self.kept:
            raise TransferError(f"{artifact.key} is not in the archive")
        self.log.append(f"open {artifact.filename}")
        yield self._chunks(self.kept[artifact.sha256])

    def _chunks(self, content: bytes) -> Iterator[bytes]:
        for at in range(0, len(content), 5):
            yield content[at : at + 5]

    async def put(self, artifact: Artifact, chunks: Iterator[bytes]) -> None:
        content = await in_thread(lambda: b"".join(chunks))
        self.log.append(f"put {artifact.filename}")
        self.kept.setdefault(artifact.sha256, content)


def registry(memory: Memory) -> Registry:
    """The fakes are held to the real interfaces here, by mypy."""
    return memory


def archive(memory: MemoryArchive) -> Archive:
    """As `registry`."""
    return memory
