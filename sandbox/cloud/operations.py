"""Long-running operations in the form of google.longrunning (https://google.aip.dev/151)."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable
from typing import Any, Final

from sandbox.cloud.context import Cloud
from sandbox.cloud.errors import ApiError, refusal

_LOG: Final = logging.getLogger(__name__)

_CODES: Final = {
    "INVALID_ARGUMENT": 3,
    "NOT_FOUND": 5,
    "ALREADY_EXISTS": 6,
    "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8,
    "FAILED_PRECONDITION": 9,
    "ABORTED": 10,
    "UNIMPLEMENTED": 12,
    "INTERNAL": 13,
    "UNAVAILABLE": 14,
}
"""google.rpc.Code by name."""


def done(
    cloud: Cloud, parent: str, response: dict[str, Any], metadata: dict[str, Any] | None = None
) -> dict[str, Any]:
    """An operation that is over already.

    `parent` is the store's name of what it belongs to (`artifactregistry/projects/P/locations/L`; for Service
    Usage just the service), `response` has its type in `@type`, as has `metadata`.
    """
    operation = {"name": _name(parent), "done": True, "response": response}
    if metadata:
        operation["metadata"] = metadata
    _put(cloud, parent, operation)
    return operation


def start(
    cloud: Cloud, parent: str, work: Awaitable[dict[str, Any]], metadata: dict[str, Any] | None = None
) -> dict[str, Any]:
    """An operation that goes on in the background; what `work` returns becomes its response.

    An `ApiError` that `work` raises becomes the operation's error; so does anything else, as INTERNAL.
    """
    operation: dict[str, Any] = {"name": _name(parent), "done": False}
    if metadata:
        operation["metadata"] = metadata
    _put(cloud, parent, operation)

    async def carry_out() -> None:
        outcome: dict[str, Any]
        try:
            outcome = {"response": await work}
        except Exception as error:
            known = refusal(error)
            if known is None:
                _LOG.exception("operation %s failed", operation["name"])
                known = ApiError(500, "INTERNAL", str(error) or type(error).__name__)
            outcome = {"error": status(known)}
        _put(cloud, parent, {**operation, "done": True, **outcome})

    cloud.background(carry_out())
    return operation


def status(error: ApiError) -> dict[str, Any]:
    """A refusal as google.rpc.Status."""
    return {"code": _CODES.get(error.reason, 2), "message": error.message}


def forget_all(cloud: Cloud) -> None:
    """Drop the operations of an earlier run of the daemon: nobody is carrying them out any more."""
    for name in cloud.store.list(""):
        if "/operations/" in name:
            cloud.store.delete(name)


def _name(parent: str) -> str:
    _, _, path = parent.partition("/")
    return f"{path}/operations/{uuid.uuid4()}".lstrip("/")


def _put(cloud: Cloud, parent: str, operation: dict[str, Any]) -> None:
    service = parent.partition("/")[0]
    cloud.store.put(f"{service}/{operation['name']}", operation)
