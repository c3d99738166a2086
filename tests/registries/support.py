"""Artifacts and streams for the tests of registries."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from dmz.artifact import Artifact, Kind
from dmz.registries.interface import Registry, Stored
from dmz.threads import in_thread


def artifact(
    kind: Kind,
    name: str,
    version: str,
    filename: str,
    data: bytes,
    *,
    architecture: str = "",
    origin: str = "python-remote",
) -> Artifact:
    digest = hashlib.sha256(data).hexdigest()
    return Artifact(kind, name, architecture, version, filename, digest, len(data), origin, ("requested",))


def stream(*chunks: bytes) -> Iterator[bytes]:
    yield from chunks


def refused(*chunks: bytes) -> Iterator[bytes]:
    """What the transfer hands to `put` when the bytes are not the approved ones."""
    yield from chunks
    raise ValueError("not the approved bytes")


async def read(registry: Registry, wanted: Artifact) -> bytes:
    async with registry.open(wanted) as chunks:
        return await in_thread(lambda: b"".join(chunks))


def stored(wanted: Artifact) -> Stored:
    return Stored(
        wanted.kind,
        wanted.name,
        wanted.architecture,
        wanted.version,
        wanted.filename,
        wanted.sha256,
        wanted.size,
    )
