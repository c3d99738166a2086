"""The releases in inner's release bucket, and which of them the machines are told to install."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping

from dmz.attestations import inside
from dmz.errors import InputError, TransferError
from dmz.promotion import lockfiles
from dmz.promotion.release import Release
from dmz.registries.bucket import Bucket, Object
from dmz.registries.concurrency import together
from dmz.registries.sums import sums_of


async def publish(bucket: Bucket, found: Mapping[str, Release], attested: Mapping[str, bytes]) -> None:
    """Write the releases and their attestations, and after them what tells the machines which to install.

    Args:
        bucket: inner's release bucket.
        found: releases by workload; a workload that is not among them has none any more.
        attested: the envelope that attests each.

    Raises:
        TransferError: the bucket can't be read or written, or somebody else writes there at the same time.
    """
    for workload, release in found.items():
        folder = f"releases/{release.digest}/"
        files = {f"{folder}{name}": body for name, body in release.files.items()}
        files[inside(release.digest)] = attested[workload]
        await _put(bucket, files, await bucket.list(folder))
    current = {
        f"current/{workload}.json": json.dumps({"workload": workload, "digest": release.digest}).encode()
        for workload, release in found.items()
    }
    there = await bucket.list("current/")
    await together(_remove(bucket, item) for item in there if item.name not in current)
    await _put(bucket, current, there)


async def _put(bucket: Bucket, files: Mapping[str, bytes], there: Iterable[Object]) -> None:
    """Write what is not there as it should be, by its checksums: whoever reads it has its digest."""
    found = {item.name: item for item in there}
    await together(_write(bucket, name, body, found.get(name)) for name, body in files.items())


async def _write(bucket: Bucket, name: str, body: bytes, there: Object | None) -> None:
    if there is None:
        written = await bucket.create(name, body)
    elif there.sums == sums_of(body):
        return
    else:
        written = await bucket.replace(name, body, there.generation)
    if written is None:
        raise _meanwhile(bucket, name)


async def _remove(bucket: Bucket, item: Object) -> None:
    if not await bucket.remove(item.name, item.generation):
        raise _meanwhile(bucket, item.name)


def _meanwhile(bucket: Bucket, name: str) -> TransferError:
    return TransferError(
        f"gs://{bucket.name}/{name}: somebody else wrote it meanwhile, which only a sync may; find out who, "
        "then run again"
    )


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
