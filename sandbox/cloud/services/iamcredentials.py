"""IAM credentials: impersonation (https://cloud.google.com/iam/docs/reference/credentials/rest)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from sandbox.cloud.access.accounts import find
from sandbox.cloud.context import Call, Cloud, Handler
from sandbox.cloud.errors import invalid, unimplemented
from sandbox.cloud.kinds import Resource
from sandbox.cloud.tokens import LIFETIME


async def _generate(cloud: Cloud, call: Call) -> Resource:
    """A token for a service account, for whoever has the permission on the account or on its project."""
    parts = call.name.split("/")
    _, account = find(cloud, parts[2], parts[4])
    if call.body.get("delegates"):
        raise unimplemented("The sandbox has no chains of delegates: grant the role to the caller itself.")
    scopes = call.body.get("scope")
    if not scopes:
        raise invalid("scope is required")
    found = re.fullmatch(r"(\d+)(\.\d+)?s", call.body.get("lifetime") or f"{LIFETIME}s")
    lifetime = int(found[1]) if found else 0
    if not 0 < lifetime <= LIFETIME:
        raise invalid(f"The token lifetime must be between 1s and {LIFETIME}s: '{call.body.get('lifetime')}'")
    end = datetime.now(UTC) + timedelta(seconds=lifetime)
    return {
        "accessToken": cloud.tokens.issue(f"serviceAccount:{account['email']}", lifetime, scopes),
        "expireTime": end.isoformat(timespec="seconds").replace("+00:00", "Z"),
    }


OVERRIDES: Final[dict[str, Handler]] = {
    "iamcredentials.projects.serviceAccounts.generateAccessToken": _generate
}
