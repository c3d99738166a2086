"""Streams into and out of Cloud Storage, where what lies there counts only by its digest.

See https://cloud.google.com/storage/docs/json_api/v1/objects/insert
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import google_crc32c

from dmz.artifact import Artifact
from dmz.errors import TransferError
from dmz.registries import multipart
from dmz.registries.bucket import Bucket, Object
from dmz.registries.failures import failure
from dmz.registries.sums import Sums, recorded
from dmz.threads import in_thread


async def create(bucket: Bucket, name: str, chunks: Iterator[bytes], size: int, what: str) -> bool:
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

    def summed() -> Iterator[bytes]:
        nonlocal sent
        for chunk in chunks:
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
        record = response.json()
        stored, generation = str(record["crc32c"]), str(record["generation"])
    except (ValueError, KeyError, TypeError, RecursionError):  # it may be right; whoever tries again looks
        raise TransferError(f"{what}: the service did not say what it stored; run again") from None
    if stored != recorded(sent):
        try:
            await bucket.remove(name, generation)
        except TransferError as error:
            raise TransferError(
                f"{what}: was stored with other bytes than were sent; delete it ({error}), then run again"
            ) from error
        raise TransferError(f"{what}: was stored with other bytes than were sent; removed, run again")
    return True


async def sha256(bucket: Bucket, name: str, generation: str, what: str, known: Sums | None = None) -> str:
    """The SHA-256 of one generation of an object, of which every byte is read.

    Args:
        known: what its record says, where a wrong digest for a bit that changed on the way would do harm.

    Raises:
        TransferError: it is not there, or the service failed.
    """
    url = f"{bucket.url(name)}?alt=media&generation={generation}"
    async with bucket.google.download(url, what) as chunks:
        digest, read = await in_thread(lambda: _digest(chunks))
    if known is not None and read != known[:2]:
        raise TransferError(f"{what}: other bytes came than its record speaks of; run again")
    return digest


def _digest(chunks: Iterator[bytes]) -> tuple[str, tuple[int, str]]:
    """SHA-256, and size and CRC32C as a record has them."""
    digest, size, crc32c = hashlib.sha256(), 0, 0
    for chunk in chunks:
        digest.update(chunk)
        size, crc32c = size + len(chunk), google_crc32c.extend(crc32c, chunk)
    return digest.hexdigest(), (size, recorded(crc32c))


async def is_artifact(bucket: Bucket, item: Object, artifact: Artifact, what: str) -> bool:
    """Whether an object is the artifact, by its size and every byte; if not, it is deleted.

    Raises:
        TransferError: the service refused or failed, or other bytes came than its record speaks of: a bad
            reading is no reason to delete anything.
    """
    if (
        item.size == artifact.size
        and await sha256(bucket, item.name, item.generation, what, item.sums) == artifact.sha256
    ):
        return True
    await bucket.remove(item.name, item.generation)
    return False


async def place(bucket: Bucket, name: str, chunks: Iterator[bytes], artifact: Artifact) -> None:
    """Upload an artifact as a new object. What is there already counts only by every byte, or is deleted.

    Raises:
        TransferError: the service refused or failed, or something else was there, and is deleted now.
    """
    what = f"{bucket.name}/{artifact.filename}"
    if await create(bucket, name, chunks, artifact.size, what):
        return
    there = [item for item in await bucket.list(name) if item.name == name]
    if not there or not await is_artifact(bucket, there[0], artifact, what):
        raise TransferError(f"{what}: there was something else in its place; removed, run again")
