"""IAM policies: who has which role on a resource (https://cloud.google.com/iam/docs/reference/rest/v1/Policy)."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any, Final

from sandbox.cloud.access.roles import ROLES
from sandbox.cloud.errors import ApiError, aborted, invalid
from sandbox.cloud.store import Store

_MEMBER: Final = re.compile(
    r"allUsers|allAuthenticatedUsers|(user|serviceAccount|group|domain|projectOwner|projectEditor|projectViewer"
    r"|deleted:(user|serviceAccount|group)):[^\s]+|principal(Set)?://[^\s]+"
)
_ROLE: Final = re.compile(r"(roles|(projects|organizations)/[^/]+/roles)/[A-Za-z0-9_.]+")
_GRANTABLE: Final = {
    "artifactregistry": re.compile(r"roles/(artifactregistry\.|\w+$)"),
    "cloudkms": re.compile(r"roles/(cloudkms\.|\w+$)"),
    "cloudresourcemanager": re.compile(r"roles/(?!storage\.legacy)"),
    "iam": re.compile(r"roles/(iam\.serviceAccount|\w+$)"),
    "storage": re.compile(r"roles/storage\."),
}
"""The roles that can be granted on a resource of a service, where Google is known to refuse others."""
_OWN_ACCOUNT: Final = re.compile(r"serviceAccount:([^@]+@(?!gcp-sa-)([^.@]+)\.iam\.gserviceaccount\.com)")
"""A service account of a project; those at `gcp-sa-…` are Google's own service agents."""


def get(store: Store, name: str) -> dict[str, Any]:
    """The policy of the resource that the store has as `name`; an empty one has an etag as well."""
    policy = store.get(f"policies/{name}") or {"version": 1}
    return {**policy, "etag": _etag(policy)}


def bindings(store: Store, name: str) -> list[dict[str, Any]]:
    """The bindings alone: every request is asked for them, and an etag takes longer than all the rest."""
    found: list[dict[str, Any]] = (store.get(f"policies/{name}") or {}).get("bindings", [])
    return found


def put(store: Store, name: str, policy: dict[str, Any], mask: str | None = None) -> dict[str, Any]:
    """Replace the policy of `name`, checked as Google checks it, and return the new one.

    `mask` names the fields to take (default: `bindings` and `etag`). 409 if the policy carries an etag that
    isn't the present one, 400 for members and roles that cannot be.
    """
    present = store.get(f"policies/{name}") or {"version": 1}
    if policy.get("etag") and policy["etag"] != _etag(present):
        raise aborted(
            "There were concurrent policy changes. Please retry the whole read-modify-write with exponential "
            "backoff. The request's ETag did not match the current policy's ETag."
        )
    wanted = set((mask or "bindings,etag").replace(" ", "").split(",")) - {"etag", "version"}
    if unknown := wanted - {"bindings", "auditConfigs"}:
        raise invalid(f"Invalid update mask: unknown field '{min(unknown)}'.")
    new = {key: value for key, value in present.items() if key not in wanted}
    if "bindings" in wanted and (bindings := _bindings(store, name, policy)):
        new["bindings"] = bindings
    if "auditConfigs" in wanted and policy.get("auditConfigs"):
        new["auditConfigs"] = policy["auditConfigs"]
    new["version"] = 3 if any("condition" in binding for binding in new.get("bindings", [])) else 1
    store.put(f"policies/{name}", new)
    return get(store, name)


def _bindings(store: Store, name: str, policy: dict[str, Any]) -> list[dict[str, Any]]:
    """The policy's bindings, one for a role, members sorted, empty ones left out.

    A condition is refused: the sandbox has no way to evaluate one. So is a role that it does not know, as
    what that allows could not be enforced.
    """
    grantable = _GRANTABLE.get(name.partition("/")[0])
    merged: dict[str, set[str]] = {}
    for binding in policy.get("bindings") or []:
        role = binding.get("role", "")
        if not _ROLE.fullmatch(role):
            raise invalid(f"Role name must be in the format \"roles/{{role}}\", not '{role}'.")
        if role not in ROLES:
            raise ApiError(
                501,
                "UNIMPLEMENTED",
                f"The sandbox does not know the role {role}: see sandbox/cloud/access/roles.py.",
            )
        if grantable and not grantable.match(role):
            raise invalid(f"Role {role} is not supported for this resource.")
        if binding.get("condition"):
            raise ApiError(
                501,
                "UNIMPLEMENTED",
                f"The sandbox does not evaluate IAM conditions: remove the one on {role}.",
            )
        for member in binding.get("members") or []:
            if not _MEMBER.fullmatch(member):
                raise invalid(
                    f"Invalid member: '{member}' has no known type; write TYPE:NAME, such as user:…"
                )
            own = _OWN_ACCOUNT.fullmatch(member)
            if own and not store.get(f"iam/projects/{own[2]}/serviceAccounts/{own[1]}"):
                raise invalid(f"Service account {own[1]} does not exist.")
            merged.setdefault(role, set()).add(member)
    return [{"role": role, "members": sorted(merged[role])} for role in sorted(merged)]


def _etag(policy: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(policy, sort_keys=True).encode()).digest()
    return base64.b64encode(digest[:8]).decode()
