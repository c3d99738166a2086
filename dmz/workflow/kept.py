"""What the archive has of artifacts that the outer repositories offer no more.

Who syncs can write into the archive, and must not come by a signature that way. So a file counts as admitted
only if a record has whole lock files that name it, under the digest of which the attestor once signed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, Self

from dmz.archive import announced, records
from dmz.artifact import Artifact
from dmz.attestations import Place
from dmz.errors import InputError
from dmz.promotion import dsse, statement
from dmz.promotion.attestation import Trust, held_once
from dmz.promotion.release import Release
from dmz.promotion.retention import Record, newest_of
from dmz.registries.archive import BucketArchive
from dmz.registries.bucket import Bucket
from dmz.registries.concurrency import together
from dmz.registries.google import Google

_OUTPUTS: Final = ("archiveBucket", "attestationsBucket", "attestationPublicKey", "attestorServiceAccount")


class Kept:
    """The archive, asked about single artifacts."""

    def __init__(self, archive: Bucket, attestations: Bucket, key: str, attestor: str) -> None:
        """Args:
        archive: outer's.
        attestations: outer's.
        key: PEM of the key that releases are signed with.
        attestor: email address of who signs them.
        """
        self._archive = archive
        self._attestations = attestations
        self._trust = Trust(key, statement.verifier_id(attestor), "", timedelta(0))
        self.contents = BucketArchive(archive.google, archive.name)

    @classmethod
    def of(cls, google: Google, outputs: Mapping[str, Any]) -> Self | None:
        """The outer stack's; None if that is of an earlier version, without one."""
        if any(name not in outputs for name in _OUTPUTS):
            return None
        archive, attestations, key, attestor = (str(outputs[name]) for name in _OUTPUTS)
        return cls(Bucket(google, archive), Bucket(google, attestations), key, attestor)

    async def find(self, artifacts: Collection[Artifact]) -> dict[Artifact, datetime]:
        """Those of the artifacts that the archive has, with when they came there (UTC).

        The bytes alone don't say what they are: a release that was attested has to name them by kind, name,
        version, file name, SHA-256 and size, all as asked for.

        Raises:
            TransferError: the archive can't be read.
        """
        looked = await together(self.contents.look(each.sha256) for each in artifacts)
        there = {
            _bare(each): content.created
            for each, content in zip(artifacts, looked, strict=True)
            if content is not None and content.size == each.size
        }
        named: set[Artifact] = set()
        for record in await self._records() if there else ():
            release = await self._release(record)
            found = {_bare(each) for each in release.artifacts} & (there.keys() - named) if release else set()
            if release and found and await self._attested(record, release):
                named |= found
            if len(named) == len(there):
                break
        return {each: there[_bare(each)] for each in artifacts if _bare(each) in named}

    async def had(self, digest: str) -> bool:
        """Whether a release was ever attested and let in somewhere, just as it is.

        Raises:
            TransferError: the archive can't be read.
        """
        for record in await self._records():
            if record.digest == digest:
                release = await self._release(record)
                if release and await self._attested(record, release):
                    return True
        return False

    async def _records(self) -> list[Record]:
        return newest_of(await records(self._archive, strict=False))

    async def _release(self, record: Record) -> Release | None:
        # What can't be read names nothing.
        with contextlib.suppress(InputError):
            return await announced(self._archive, record)
        return None

    async def _attested(self, record: Record, release: Release) -> bool:
        stack = record.stack
        place = Place(stack.project, stack.location, self._attestations.name, self._trust)
        uri = statement.resource_uri(stack.project, stack.location, stack.workload)
        locks = statement.lock_digests(release.files)
        for item in await self._attestations.list(place.folder(release)):
            data = (await self._attestations.read(item.name) or b"") if item.size <= dsse.LIMIT else b""
            if held_once(data, self._trust.key, self._trust.verifier, uri, release.digest, locks):
                return True
        return False


def _bare(artifact: Artifact) -> Artifact:
    """Where it came from and why is not part of what it is."""
    return replace(artifact, origin="", why=())
