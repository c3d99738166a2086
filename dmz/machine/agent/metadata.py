"""The metadata server: who this machine is, what it is told, and the token it may use.

Source: https://cloud.google.com/compute/docs/metadata/querying-metadata
"""

from __future__ import annotations

import json
import urllib.request
from typing import Any

_BASE = "http://metadata.google.internal/computeMetadata/v1/instance/"


def _get(path: str) -> str:
    request = urllib.request.Request(_BASE + path, headers={"Metadata-Flavor": "Google"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
        text: str = response.read().decode()
        return text


def settings() -> dict[str, Any]:
    """What the stack tells this machine, from the attribute `dmz-settings`."""
    value: dict[str, Any] = json.loads(_get("attributes/dmz-settings"))
    return value


def token() -> str:
    """An access token of the machine's own service account; lasts about an hour, so ask for each step."""
    value: str = json.loads(_get("service-accounts/default/token"))["access_token"]
    return value
