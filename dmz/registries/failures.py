"""What a service's refusal says to a person: one line, never the request."""

from __future__ import annotations

from typing import Final

import httpx

from dmz.errors import TransferError
from dmz.registries.retry import TRANSIENT, retry_after

_MOST: Final = 120.0
"""Seconds, the longest that a service's wish to be left alone is honoured."""


class OperationError(TransferError):
    """A long-running operation ended with an error."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code
        """A code of google.rpc.Code; 6 is ALREADY_EXISTS."""


def reason(response: httpx.Response) -> str:
    """What Google gives as the reason, with the status: one line, never the request."""
    try:
        body = response.json()
        text = body["error"]["message"] if isinstance(body["error"], dict) else str(body["error"])
    except (ValueError, KeyError, TypeError, RecursionError):
        text = response.text[:300] if "html" not in response.headers.get("content-type", "") else ""
    return " ".join(f"{response.status_code} {text or response.reason_phrase}".split())


def failure(what: str, response: httpx.Response) -> TransferError:
    """The error for an answer that was not wanted."""
    remedy = {
        401: "the token is not accepted: log in again",
        403: "the identity lacks a role: run `pulumi up` on the stack that grants it",
        404: "it is not there",
    }.get(response.status_code, "try again" if response.status_code in TRANSIENT else "")
    busy = response.status_code in {429, 503}
    wait = min(_MOST, retry_after(response.headers.get("retry-after"))) if busy else 0.0
    return TransferError(
        f"{what}: {reason(response)}" + (f"; {remedy}" if remedy else ""), busy=busy, wait=wait
    )


def unreachable(url: str, error: httpx.RequestError) -> TransferError:
    """The error for a service that gave no answer."""
    host = httpx.URL(url).netloc.decode()
    return TransferError(
        f"{host} gave no answer ({type(error).__name__}: {error}); check the network and the endpoint "
        "variables, then run again"
    )
