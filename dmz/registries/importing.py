"""The import of debs from a bucket into an Artifact Registry repository: one call for many.

See https://cloud.google.com/artifact-registry/docs/reference/rest/v1/projects.locations.repositories.aptArtifacts/import
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dmz.errors import TransferError
from dmz.registries.failures import OperationError
from dmz.registries.repository import Repository

_BATCH: Final = 500
"""Debs in one call. No number is documented; a call has to end while its token is good, and each deb may be
counted as a write (https://cloud.google.com/artifact-registry/quotas)."""
_UNKNOWN, _NOT_FOUND, _ALREADY_EXISTS, _DENIED = 2, 5, 6, 7
"""google.rpc.Code"""
_PASSING: Final = frozenset({4, 8, 10, 13, 14})
"""google.rpc.Code: time-out, exhausted, aborted, internal, unavailable."""


@dataclass(frozen=True, order=True)
class Refusal:
    """Why the service did not import an object."""

    uri: str
    """Empty if the service did not say."""
    code: int
    """google.rpc.Code"""
    message: str


async def import_debs(repository: Repository, uris: Sequence[str]) -> None:
    """Import objects of Cloud Storage, and wait until the service is done.

    It says nothing of a deb whose name, version and architecture it has already, and leaves that as it is:
    who imports compares with the repository's record afterwards.

    Raises:
        TransferError: the service refused some; names the first, why, and what to do.
    """
    refused: list[Refusal] = []
    for start in range(0, len(uris), _BATCH):
        refused += await _persist(repository, uris[start : start + _BATCH])
    if not refused:
        return
    first = min(refused)
    more = f" (and {len(refused) - 1} more of {len(uris)})" if len(refused) > 1 else ""
    raise TransferError(
        f"{repository.id}: {first.uri or 'a file'} was not imported{more}: "
        f"{first.message or 'no reason given'} (code {first.code}); {_remedy(first)}"
    )


async def _persist(repository: Repository, uris: Sequence[str]) -> list[Refusal]:
    """Import one batch, again those that a passing failure held up; what is refused in the end."""
    refused: list[Refusal] = []
    retry = repository.google.retry
    for attempt in range(1, retry.attempts + 1):
        found = await _import(repository, uris)
        again = [each for each in found if each.code in _PASSING and each.uri in uris]
        if attempt == retry.attempts:
            again = []
        refused += (each for each in found if each not in again)
        if not again:
            break
        uris = [each.uri for each in again]
        await asyncio.sleep(retry.wait(attempt, None))
    return refused


async def _import(repository: Repository, uris: Sequence[str]) -> list[Refusal]:
    google = repository.google
    operation = await google.call(
        "POST",
        f"{repository.url}/aptArtifacts:import",
        json={"gcsSource": {"uris": list(uris)}},
        repeatable=True,  # what was taken by a first call is there already for a second
        weight=len(uris),
    )
    try:
        answer = await google.operation(operation, f"import into {repository.id}")
    except OperationError as error:
        return [Refusal(uri, error.code, str(error)) for uri in uris]
    try:
        refused = [
            Refusal(uri, int(status.get("code", _UNKNOWN)), str(status.get("message", "")))
            for each in answer.get("errors", [])
            for status in [each.get("error", {})]
            for uri in each.get("gcsSource", {}).get("uris", []) or [""]
        ]
    except (AttributeError, TypeError, ValueError):
        raise TransferError(
            f"{repository.id}: the service's account of the import can't be read; run again"
        ) from None
    return [each for each in refused if each.code != _ALREADY_EXISTS]


def _remedy(refusal: Refusal) -> str:
    if refusal.code == _DENIED:
        return (
            "the sync has to be able to read the staging bucket: run `pulumi up` on the inner stack; "
            "if the service reads as its own agent, grant service-NUMBER@gcp-sa-artifactregistry.iam."
            "gserviceaccount.com roles/storage.objectViewer on that bucket"
        )
    if refusal.code == _NOT_FOUND:
        return "it is no longer staged: run again"
    if refusal.code in _PASSING:
        return "run again"
    return "leave that package out, or take another version of it"
