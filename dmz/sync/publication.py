"""The releases in inner's release bucket, and which of them the machines are told to install."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping

from dmz.attestations import inside
from dmz.errors import InputError
from dmz.promotion import lockfiles
from dmz.promotion.release import Release
from dmz.registries.bucket import Bucket


async def publish(bucket: Bucket, found: Mapping[str, Release], attested: Mapping[str, bytes]) -> None:
    """Write the releases and their attestations, and after them what tells the machines which to install.

    Args:
        bucket: inner's release bucket.
        found: releases by workload; a workload that is not among them has none any more.
        attested: the envelope that attests each.

    Raises:
        TransferError: the bucket can't be read or written.
    """
    for workload, release in found.items():
        for name, body in release.files.items():
            await _put(bucket, f"releases/{release.digest}/{name}", body)
        await _put(bucket, inside(release.digest), attested[workload])
    current = {
        f"current/{workload}.json": json.dumps({"workload": workload, "digest": release.digest}).encode()
        for workload, release in found.items()
    }
    for item in await bucket.list("current/"):
        if item.name not in current:
            await bucket.delete(item.name)
    for name, body in current.items():
        await _put(bucket, name, body)


async def _put(bucket: Bucket, name: str, body: bytes) -> None:
    if await bucket.read(name) != body:
        await bucket.write(name, body)


async def published(bucket: Bucket) -> dict[str, str]:
    """Release digest by workload, for those whose lock files are there and whole.

    Raises:
        TransferError: the bucket can't be read.
    """
    found: dict[str, str] = {}
    for item in await bucket.list("current/"):
        workload = item.name.removeprefix("current/").removesuffix(".json")
        with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError, InputError):
            digest = str(json.loads(await bucket.read(item.name) or b"")["digest"])
            bodies = {
                name: await bucket.read(f"releases/{digest}/{name}") or b""
                for name in lockfiles.names(workload)
            }
            if Release.parse(workload, bodies, bucket.name).digest == digest:
                found[workload] = digest
    return found
