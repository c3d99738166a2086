"""The releases that are published inside, as the sealed machines read them."""

from __future__ import annotations

import json
from collections.abc import Mapping

from dmz.errors import InputError
from dmz.promotion import lockfiles
from dmz.promotion.release import Release
from dmz.registries.bucket import Bucket
from dmz.registries.concurrency import together

CURRENT = "current/"
"""Where the release bucket says which release of each workload counts."""


async def published(bucket: Bucket) -> list[Release]:
    """The releases that the machines are pointed at, by workload.

    Raises:
        InputError: one of them is not whole, or not what its name says.
    """
    items = await bucket.list(CURRENT)
    return sorted(
        await together(_release(bucket, item.name) for item in items), key=lambda each: each.workload
    )


async def _release(bucket: Bucket, pointer: str) -> Release:
    where = f"gs://{bucket.name}/{pointer}"
    try:
        document = json.loads(await bucket.read(pointer) or b"")
        workload, digest = str(document["workload"]), str(document["digest"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(f"{where} names no release; run `pulumi up` for the inner stack again") from None
    folder = f"releases/{digest}"
    found = await together(bucket.read(f"{folder}/{name}") for name in lockfiles.names(workload))
    bodies: Mapping[str, bytes] = {
        name: body for name, body in zip(lockfiles.names(workload), found, strict=True) if body is not None
    }
    release = Release.parse(workload, bodies, f"gs://{bucket.name}/{folder}")
    if release.digest != digest:
        raise InputError(
            f"{where} names {digest}, its lock files are {release.digest}; run `pulumi up` again"
        )
    return release
