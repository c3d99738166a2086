"""The staging bucket: where debs wait, hashed, until the repository imports them.

Only the sync may write or read it. An object is `<sha256>/<file name>` and created only if it is absent.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from typing import Final

from dmz.artifact import Artifact
from dmz.errors import TransferError
from dmz.registries import objects
from dmz.registries.bucket import Bucket, Object
from dmz.registries.concurrency import together
from dmz.registries.google import Google

_AT_ONCE: Final = 8
"""Objects that are hashed or deleted at the same time."""


class Staging:
    """Artifacts on their way into a repository that imports from a bucket."""

    def __init__(self, google: Google, bucket: str) -> None:
        self._bucket = Bucket(google, bucket)

    def uri(self, artifact: Artifact) -> str:
        """Where the service finds it."""
        return f"gs://{self._bucket.name}/{_name(artifact)}"

    async def put(self, artifact: Artifact, chunks: Iterator[bytes]) -> None:
        """Stage the bytes, from a stream as `Registry.put` takes it.

        What is there already counts only if it is the approved file, by every byte of it; else it is deleted.

        Raises:
            TransferError: the service refused or failed, or something else was there, and is deleted now.
        """
        await objects.place(self._bucket, _name(artifact), chunks, artifact)

    async def held(self, artifacts: Collection[Artifact]) -> set[Artifact]:
        """Those that are staged, by one listing and by every byte of them; what is wrong is deleted.

        One that can't be read just now counts as not staged: whoever stages it looks again.
        """
        places = {item.name: item for item in await self._bucket.list()}
        found = [(artifact, places[_name(artifact)]) for artifact in artifacts if _name(artifact) in places]

        async def right(artifact: Artifact, item: Object) -> bool:
            with contextlib.suppress(TransferError):
                return await objects.is_artifact(self._bucket, item, artifact, self._what(artifact))
            return False

        fine = await together((right(*pair) for pair in found), at_once=_AT_ONCE)
        return {artifact for (artifact, _), held in zip(found, fine, strict=True) if held}

    async def empty(self) -> None:
        """Delete everything that is staged."""
        names = [item.name for item in await self._bucket.list()]
        await together(map(self._bucket.delete, names), at_once=_AT_ONCE)

    def _what(self, artifact: Artifact) -> str:
        return f"{self._bucket.name}/{artifact.filename}"


def _name(artifact: Artifact) -> str:
    return f"{artifact.sha256}/{artifact.filename}"
