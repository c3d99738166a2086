"""HTTP calls to Google's REST APIs, and waiting for the long-running operations that they answer with."""

from __future__ import annotations

import os
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import grpc  # type: ignore[import-untyped]
import httpx

from sandbox.provider.errors import ApiError, CancelledError, ProviderError
from sandbox.provider.scope import last

ENDPOINTS: Final[Mapping[str, tuple[str, ...]]] = {
    "artifactregistry": ("GOOGLE_ARTIFACT_REGISTRY_CUSTOM_ENDPOINT",),
    "cloudkms": ("GOOGLE_KMS_CUSTOM_ENDPOINT",),
    "cloudresourcemanager": (
        "GOOGLE_RESOURCE_MANAGER_CUSTOM_ENDPOINT",
        "GOOGLE_CLOUD_RESOURCE_MANAGER_CUSTOM_ENDPOINT",
    ),
    "compute": ("GOOGLE_COMPUTE_CUSTOM_ENDPOINT",),
    "dns": ("GOOGLE_DNS_CUSTOM_ENDPOINT",),
    "iam": ("GOOGLE_IAM_BETA_CUSTOM_ENDPOINT", "GOOGLE_IAM_CUSTOM_ENDPOINT"),
    "serviceusage": ("GOOGLE_SERVICE_USAGE_CUSTOM_ENDPOINT",),
    "storage": ("GOOGLE_STORAGE_CUSTOM_ENDPOINT",),
    "tpu": ("GOOGLE_TPU_V2_CUSTOM_ENDPOINT",),
}
"""Variables that name a service's address, as terraform-provider-google reads them (its product.go files)."""

TIMEOUT: Final = 20 * 60.0
"""Seconds that an operation may take, as in the real provider."""
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 2.0
"""Seconds between two looks at an operation, doubled from the first to the longest."""
TRIES: Final = 5
"""How often a call is made that the service is too busy for."""
CODES: Final = {code.value[0]: code.name for code in grpc.StatusCode}
"""Canonical names of errors by gRPC's numbers."""
STATUSES: Final = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""HTTP statuses by those names (google/rpc/code.proto); the others are 500."""
BUSY: Final = frozenset({429, 502, 503, 504})

Query = Mapping[str, str]
Body = dict[str, Any]


def token() -> str:
    """The access token: the plugin's variable, else the application default credentials."""
    if given := os.environ.get("GOOGLE_OAUTH_ACCESS_TOKEN"):
        return given
    import google.auth
    import google.auth.exceptions
    import google.auth.transport.requests

    try:
        credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
        credentials.refresh(google.auth.transport.requests.Request())  # type: ignore[no-untyped-call]
    except google.auth.exceptions.GoogleAuthError as error:
        reason = str(error).splitlines()[0]
        raise ProviderError(
            f"no access token: set GOOGLE_OAUTH_ACCESS_TOKEN (there are no default credentials: {reason})"
        ) from None
    return str(credentials.token)


class Api:
    """Google's services behind the endpoints that the environment names; safe to use from several threads."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment
        self._client = httpx.Client(timeout=httpx.Timeout(300.0, connect=10.0), trust_env=False)
        self._stop = threading.Event()
        self._guard = threading.Lock()
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._token = ""

    def close(self) -> None:
        """Let the connections go."""
        self._client.close()

    def cancel(self) -> None:
        """Stop waiting for operations."""
        self._stop.set()

    def endpoint(self, service: str) -> str:
        """Where a service is served, with the API's base path and a slash at the end."""
        for name in ENDPOINTS[service]:
            if value := self._environment.get(name):
                return value if value.endswith("/") else value + "/"
        raise ProviderError(
            f"no endpoint for {service}: set {ENDPOINTS[service][0]}; "
            "this provider serves the sandbox only and never calls Google"
        )

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """One at a time for what is read, changed and written back."""
        with self._guard:
            lock = self._locks[key]
        with lock:
            yield

    def pause(self, seconds: float) -> None:
        """Sleep, unless the engine asks to stop."""
        if self._stop.wait(seconds):
            raise CancelledError("cancelled while the operation was still under way")

    def call(
        self, service: str, method: str, path: str, query: Query | None = None, body: Body | None = None
    ) -> Body:
        """Make a call and return the JSON of the answer, at once."""
        url = self.endpoint(service) + path
        where = f"{method} {service} {path}"
        for attempt in range(1, TRIES + 1):
            try:
                answer = self._client.request(method, url, params=query, json=body, headers=self._headers())
            except httpx.HTTPError as error:
                raise ProviderError(f"{where}: {url} does not answer: {error}") from None
            if answer.status_code not in BUSY or attempt == TRIES:
                break
            self.pause(0.25 * 2**attempt)
        if answer.is_success:
            return _json(answer, where)
        raise _error(answer, where)

    def get(self, service: str, path: str, query: Query | None = None) -> Body | None:
        """Read a resource; None if there is none."""
        try:
            return self.call(service, "GET", path, query)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def pages(self, service: str, path: str, items: str, query: Query | None = None) -> Iterator[Body]:
        """All items of a list, page by page."""
        query = dict(query or {})
        while True:
            page = self.call(service, "GET", path, query)
            yield from page.get(items, [])
            if not page.get("nextPageToken"):
                return
            query["pageToken"] = page["nextPageToken"]

    def run(
        self, service: str, method: str, path: str, query: Query | None = None, body: Body | None = None
    ) -> Body:
        """Make a call and, if the answer is an operation, wait until it is done.

        Returns the answer, or the operation's response where it has one.
        """
        answer = self.call(service, method, path, query, body)
        pause, deadline = FIRST_PAUSE, time.monotonic() + TIMEOUT
        while (poll := operation_path(service, answer)) is not None:
            where = f"{method} {service} {path}"
            if done(answer):
                _raise_failed(answer, where)
                response = answer.get("response")
                return response if isinstance(response, dict) else answer
            if time.monotonic() > deadline:
                raise ProviderError(f"{where}: not done after {TIMEOUT / 60:.0f} minutes ({poll})")
            self.pause(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            answer = self.call(service, "GET", poll)
        return answer

    def _headers(self) -> dict[str, str]:
        with self._guard:
            if not self._token:
                self._token = token()
        return {"Authorization": f"Bearer {self._token}"}


def operation_path(service: str, answer: Body) -> str | None:
    """Where an operation is looked at, None if the answer is no operation.

    Compute's operations are global, of a region or of a zone; elsewhere they have a name as
    https://google.aip.dev/151 says.
    """
    name = str(answer.get("name", ""))
    if service == "compute":
        if answer.get("kind") != "compute#operation":
            return None
        project = re.search(r"projects/([^/]+)/", str(answer.get("selfLink", "")))
        if project is None:
            raise ProviderError(f"compute operation {name} does not say its project")
        place = "global"
        for part in ("zone", "region"):
            if answer.get(part):
                place = f"{part}s/{last(str(answer[part]))}"
        return f"projects/{project[1]}/{place}/operations/{name}"
    return name if re.search(r"(^|/)operations/[^/]+$", name) else None


def done(operation: Body) -> bool:
    """Whether an operation has ended, well or not."""
    return operation.get("done") is True or operation.get("status") == "DONE"


def _raise_failed(operation: Body, where: str) -> None:
    error = operation.get("error")
    if not error:
        return
    if error.get("errors"):  # Compute's form
        first = error["errors"][0]
        status, reason = int(operation.get("httpErrorStatusCode") or 500), str(first.get("code", ""))
    else:  # google.rpc.Status, whose code is that of gRPC
        first = error
        reason = CODES.get(int(error.get("code", 2)), "UNKNOWN")
        status = STATUSES.get(reason, 500)
    raise ApiError(status, reason, str(first.get("message", "the operation failed")), where)


def _json(answer: httpx.Response, where: str) -> Body:
    if not answer.content:
        return {}
    try:
        value = answer.json()
    except ValueError:
        raise ProviderError(f"{where}: the answer is no JSON") from None
    if not isinstance(value, dict):
        raise ProviderError(f"{where}: the answer is no JSON object")
    return value


def _error(answer: httpx.Response, where: str) -> ApiError:
    try:
        error = answer.json()["error"]
        reason = error.get("status") or (error.get("errors") or [{}])[0].get("reason", "")
        return ApiError(answer.status_code, str(reason), str(error.get("message", "")), where)
    except (ValueError, KeyError, TypeError, AttributeError):
        text = " ".join(answer.text.split())[:200]
        return ApiError(answer.status_code, answer.reason_phrase, text, where)
