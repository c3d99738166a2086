"""Quotas of Artifact Registry: by project, region and minute (https://cloud.google.com/artifact-registry/quotas)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final, Literal

from sandbox.cloud.context import Call, Cloud
from sandbox.cloud.discovery import Method
from sandbox.cloud.errors import ApiError
from sandbox.cloud.references import project_number
from sandbox.cloud.storage.attached import attached

Use = Literal["requests", "writes", "deletes"]

_METRICS: Final[dict[Use, tuple[str, str]]] = {
    "requests": ("Requests per project in the region", "requests"),
    "writes": ("Write requests per project in the region", "write_requests"),
    "deletes": ("Delete requests per project in the region", "delete_requests"),
}
"""How a refusal names each; the wording is that of other services of Google's, this one's was not seen."""

_USES: Final[dict[str, Use | None]] = {"GET": None, "DELETE": "deletes"}
"""What a method of the API uses by its verb of HTTP; writes if it isn't here."""


@dataclass
class _Window:
    """What one region of one project used of one quota since a moment."""

    begun: float
    used: int = 0


class Quotas:
    """The quotas of all projects of one cloud."""

    def __init__(self, cloud: Cloud) -> None:
        options = cloud.options
        self._options = options
        self._limits: dict[Use, int] = {
            "requests": options.quota_requests,
            "writes": options.quota_writes,
            "deletes": options.quota_deletes,
        }
        self._windows: dict[tuple[str, str, Use], _Window] = {}

    def charge(self, project: str, location: str, use: Use, amount: int) -> None:
        """Use `amount` of a quota; more than is left is refused and uses nothing.

        Raises:
            ApiError: 429.
        """
        limit = self._limits[use]
        if not limit:
            return
        key = (project, location, use)
        window = self._windows.get(key)
        if window is None or time.monotonic() - window.begun >= self._options.quota_seconds:
            window = self._windows[key] = _Window(time.monotonic())
        if window.used + amount > limit:
            raise self._exceeded(project, location, use, limit)
        window.used += amount

    def _exceeded(self, project: str, location: str, use: Use, limit: int) -> ApiError:
        """In the form of Service Control, as Google's APIs answer (google.rpc.ErrorInfo)."""
        title, metric = _METRICS[use]
        consumer = project_number(project)
        service = "artifactregistry.googleapis.com"
        wait = self._options.quota_retry_after
        return ApiError(
            429,
            "RESOURCE_EXHAUSTED",
            f"Quota exceeded for quota metric '{title}' and limit '{title} per minute' of service "
            f"'{service}' for consumer 'project_number:{consumer}'.",
            details=[
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "RATE_LIMIT_EXCEEDED",
                    "domain": "googleapis.com",
                    "metadata": {
                        "service": service,
                        "consumer": f"projects/{consumer}",
                        "quota_metric": f"{service}/{metric}",
                        "quota_location": location,
                        "quota_limit_value": str(limit),
                    },
                }
            ],
            headers=None if wait is None else {"Retry-After": str(wait)},
            legacy={"reason": "rateLimitExceeded"},
        )


def charge(cloud: Cloud, name: str, use: Use | None = None, amount: int = 1) -> None:
    """Charge one request about `name` (`projects/P/locations/L/…`), and what it uses besides.

    Raises:
        ApiError: 429.
    """
    parts = name.split("/")
    if len(parts) < 4 or parts[0] != "projects" or parts[2] != "locations":
        return
    quotas = attached(cloud, Quotas)
    quotas.charge(parts[1], parts[3], "requests", 1)
    if use is not None:
        quotas.charge(parts[1], parts[3], use, amount)


def charge_method(cloud: Cloud, method: Method, call: Call) -> None:
    """Charge a call of the API; a batch for each of its items.

    Raises:
        ApiError: 429.
    """
    use: Use | None
    if method.verb == "import":
        use, items = "writes", (call.body.get("gcsSource") or {}).get("uris")
    elif method.verb == "batchDelete":
        use, items = "deletes", call.body.get("names")
    else:
        use, items = _USES.get(method.http_method, "writes"), None
    name = next((call.params[key] for key in ("name", "parent", "resource") if key in call.params), "")
    charge(cloud, name, use, len(items or [""]))
