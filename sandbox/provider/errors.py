"""What the provider says when it cannot do what it was asked."""

from __future__ import annotations

from typing import Any


class ProviderError(Exception):
    """One clear line for the person who runs the program."""


class ApiError(ProviderError):
    """An answer of Google's REST API that is no success (its form: https://google.aip.dev/193)."""

    def __init__(self, status: int, reason: str, message: str, call: str) -> None:
        super().__init__(f"{call}: {status} {reason}: {message}".strip())
        self.status = status
        """HTTP status of the answer."""
        self.reason = reason
        """Canonical name of the error, for example ``NOT_FOUND``."""


class PartialFailureError(ProviderError):
    """The resource exists, but what should follow its creation failed: its state must be kept."""

    def __init__(self, identity: str, state: dict[str, Any], cause: ProviderError) -> None:
        super().__init__(str(cause))
        self.identity = identity
        self.state = state


class CancelledError(ProviderError):
    """The engine asked to stop while an operation was still under way."""
