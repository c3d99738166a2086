"""Refusals in the form that Google's APIs give them (https://cloud.google.com/apis/design/errors)."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Mapping
from typing import Any, Final

_FULL: Final = {errno.ENOSPC, errno.EDQUOT}
_SQLITE_FULL: Final = {13, 778, 4874}
"""SQLITE_FULL, and what its journal says when it can't grow: SQLITE_IOERR_WRITE, SQLITE_IOERR_SHMSIZE
(https://www.sqlite.org/rescode.html)."""


class ApiError(Exception):
    """A call that is refused; the server renders it as Google's JSON error."""

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        details: list[dict[str, Any]] | None = None,
        headers: Mapping[str, str] | None = None,
        legacy: Mapping[str, str] | None = None,
    ) -> None:
        """`status` is the HTTP status, `reason` the canonical code (`NOT_FOUND`), `message` one line.

        `details` are messages of google.rpc, `headers` go out with the answer, and `legacy` is what the older
        form of errors has besides or instead (`reason`, `location`).
        """
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.details = details
        self.headers = headers or {}
        self.legacy = legacy or {}

    def body(self) -> dict[str, Any]:
        """The answer's body: the canonical code, and the older `errors` list that some clients read."""
        head, *tail = self.reason.lower().split("_")
        legacy = head + "".join(word.capitalize() for word in tail)
        if self.reason == "PERMISSION_DENIED":
            legacy = "forbidden"
        older = {"message": self.message, "domain": "global", "reason": legacy, **self.legacy}
        error = {"code": self.status, "message": self.message, "status": self.reason, "errors": [older]}
        return {"error": {**error, "details": self.details} if self.details else error}


def refusal(error: BaseException) -> ApiError | None:
    """What a failure of this host is to a client: 507 if the disk is full; None for anything else."""
    if isinstance(error, ApiError):
        return error
    full = isinstance(error, OSError) and error.errno in _FULL
    full |= isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode in _SQLITE_FULL
    if not full:
        return None
    return ApiError(507, "RESOURCE_EXHAUSTED", "The sandbox's disk is full; make room there, then try again")


def invalid(message: str) -> ApiError:
    """400: the request itself is wrong, whatever the state of the system."""
    return ApiError(400, "INVALID_ARGUMENT", message)


def failed_precondition(message: str) -> ApiError:
    """400: the system is not in the state that the call needs (a network still in use)."""
    return ApiError(400, "FAILED_PRECONDITION", message)


def unauthenticated(message: str) -> ApiError:
    """401: no token, or one that this sandbox did not issue or that has expired."""
    return ApiError(401, "UNAUTHENTICATED", message)


def denied(message: str) -> ApiError:
    """403: the identity may not do this."""
    return ApiError(403, "PERMISSION_DENIED", message)


def not_found(message: str) -> ApiError:
    """404: no such resource, or no such path."""
    return ApiError(404, "NOT_FOUND", message)


def already_exists(message: str) -> ApiError:
    """409: the name is taken."""
    return ApiError(409, "ALREADY_EXISTS", message)


def aborted(message: str) -> ApiError:
    """409: somebody else changed it since it was read (an old etag)."""
    return ApiError(409, "ABORTED", message)


def unimplemented(message: str) -> ApiError:
    """501: Google has this, the sandbox has not."""
    return ApiError(501, "UNIMPLEMENTED", message)
