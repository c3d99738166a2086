"""Refusals in the form that Google's APIs give them (https://cloud.google.com/apis/design/errors)."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """A call that is refused; the server renders it as Google's JSON error."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        """`status` is the HTTP status, `reason` the canonical code (`NOT_FOUND`), `message` one line."""
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message

    def body(self) -> dict[str, Any]:
        """The answer's body: the canonical code, and the older `errors` list that some clients read."""
        head, *tail = self.reason.lower().split("_")
        legacy = head + "".join(word.capitalize() for word in tail)
        if self.reason == "PERMISSION_DENIED":
            legacy = "forbidden"
        return {
            "error": {
                "code": self.status,
                "message": self.message,
                "status": self.reason,
                "errors": [{"message": self.message, "domain": "global", "reason": legacy}],
            }
        }


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
