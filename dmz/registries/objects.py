"""Streams into and out of Cloud Storage, where what lies there counts only by its digest.

See https://cloud.google.com/storage/docs/json_api/v1/objects/insert
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator

import google_crc32c

from dmz.artifact import Artifact
from dmz.digest import Digest
from dmz.errors import TransferError
from dmz.registries import multipart
from dmz.registries.bucket import Bucket, Object
from dmz.registries.failures import failure


async def create(bucket: Bucket, name: str, chunks: AsyncIterator[bytes], size: int, what: str) -> bool:
    """Upload a new object of `size` bytes; `what` names it in errors.

    There is no object unless `chunks` ended well. Its CRC32C in the service's record, which every object has,
    must be that of what was sent, or it is removed again.
    See https://cloud.google.com/storage/docs/data-validation

    Returns:
        False if there is an object of this name already: it stays, whatever is in it.

    Raises:
        TransferError: the service refused or failed, or stored something else.
    """
    sent = 0  # against accidents on the way; the SHA-256 is the caller's

    async def summed() -> AsyncIterator[bytes]:
        nonlocal sent
        async for chunk in chunks:
            sent = google_crc32c.extend(sent, chunk)
            yield chunk

    response = await bucket.google.upload(
        bucket.uploads,
        multipart.related({"name": name}, "application/octet-stream"),
        summed(),
        size,
        what,
        params={"uploadType": "multipart", "ifGenerationMatch": "0"},
    )
    if response.status_code == 412:
        return False
    if response.is_error:
        raise failure(what, response)
    try:
        recorded = response.json().get("crc32c")
    except (ValueError, AttributeError, RecursionError):
        recorded = None
    if recorded != base64.b64encode(sent.to_bytes(4, "big")).decode():
        removed = await bucket.google.send("DELETE", bucket.url(name))
        state = "; delete it there, then" if removed.is_error else "; removed,"
        raise TransferError(f"{what}: was stored with other bytes than were sent{state} run again")
    return True


async def sha256(bucket: Bucket, name: str, generation: str, what: str) -> str:
    """The SHA-256 of one generation of an object, of which every byte is read.

    Raises:
        TransferError: it is not there, or the service failed.
    """
    digest = Digest()
    url = f"{bucket.url(name)}?alt=media&generation={generation}"
    async with bucket.google.download(url, what) as chunks:
        async for chunk in chunks:
            await digest.update(chunk)
    return await digest.hexdigest()


async def is_artifact(bucket: Bucket, item: Object, artifact: Artifact, what: str) -> bool:
    """Whether an object is the artifact, by its size and every byte; if not, it is deleted.

    Raises:
        TransferError: the service refused or failed.
    """
    if (
        item.size == artifact.size
        and await sha256(bucket, item.name, item.generation, what) == artifact.sha256
    ):
        return True
    await bucket.remove(item.name, item.generation)
    return False
