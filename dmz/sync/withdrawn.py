"""The records of what was withdrawn at once, in inner's release bucket."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from dmz.artifact import Artifact
from dmz.errors import InputError
from dmz.promotion import withdrawal
from dmz.promotion.withdrawal import Withdrawal
from dmz.registries.bucket import Bucket
from dmz.registries.concurrency import together

_UNREADABLE = "somebody unknown"


async def withdrawn(bucket: Bucket, among: Collection[str] | None = None) -> Mapping[str, Withdrawal]:
    """What was withdrawn, by SHA-256; costs a listing, and a request for each record that is asked for.

    Args:
        bucket: inner's release bucket.
        among: the SHA-256 that matter; None for all.

    Raises:
        TransferError: the bucket can't be read.
    """
    names = {
        digest: item.name
        for item in await bucket.list(withdrawal.FOLDER)
        if (digest := withdrawal.digest(item.name))
    }
    wanted = [digest for digest in names if among is None or digest in among]
    bodies = await together(bucket.read(names[digest]) for digest in wanted)
    return {
        digest: _read(bucket, digest, body)
        for digest, body in zip(wanted, bodies, strict=True)
        if body is not None
    }


async def refuse_withdrawn(bucket: Bucket, artifacts: Collection[Artifact]) -> None:
    """Refuse what was withdrawn; costs one listing while nothing was.

    Raises:
        RefusedError: one of the artifacts was; says who did that, when and why, and what to do.
        TransferError: the bucket can't be read.
    """
    withdrawal.check(artifacts, await withdrawn(bucket, {each.sha256 for each in artifacts}))


def _read(bucket: Bucket, digest: str, body: bytes) -> Withdrawal:
    """A record; one that can't be read counts all the same, as what it is about stands in its name."""
    where = withdrawal.object_name(digest)
    try:
        found = withdrawal.parse(body, where)
    except InputError:
        found = None
    if found is not None and found.sha256 == digest:
        return found
    why = f"gs://{bucket.name}/{where} can't be read"
    return Withdrawal(1, digest, "unknown", "unknown", "unknown", _UNREADABLE, why, "an unknown time", "")


async def bar(bucket: Bucket, withdrawals: Iterable[Withdrawal]) -> None:
    """Write records; one that is there already stays as it is.

    Raises:
        TransferError: one could not be written.
    """
    await together(bucket.create(withdrawal.object_name(each.sha256), each.render()) for each in withdrawals)


async def unbar(bucket: Bucket, withdrawals: Iterable[Withdrawal]) -> None:
    """Remove records.

    Raises:
        TransferError: one could not be removed.
    """
    await together(bucket.delete(withdrawal.object_name(each.sha256)) for each in withdrawals)
