"""Whether an identity may do something: the question that every request is asked.

An identity has a permission on a resource if a role that has it is bound to it in the policy of the resource,
or of one that the resource belongs to: a key's ring, an object's bucket, the project.
See https://cloud.google.com/iam/docs/allow-policies.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sandbox.cloud import policies
from sandbox.cloud.access.roles import BASIC, ROLES
from sandbox.cloud.context import OPERATOR, Cloud
from sandbox.cloud.errors import ApiError, denied
from sandbox.cloud.kinds import project_of

_PROJECTS: Final = "cloudresourcemanager/projects"


def require(cloud: Cloud, identity: str, permission: str, name: str) -> None:
    """Refuse unless `identity` has `permission` on the resource that the store has as `name`, or would have.

    Raises:
        ApiError: 403, in the words of the service whose permission it is.
    """
    if not allowed(cloud, identity, permission, name):
        raise _refusal(identity, permission, name)


def allowed(cloud: Cloud, identity: str, permission: str, name: str) -> bool:
    """Whether `identity` has `permission` on `name`."""
    project = _project(cloud, name)
    roles = [role for role, permissions in ROLES.items() if permission in permissions]
    return any(_bound(cloud, identity, roles, each) for each in {*_upwards(name), f"{_PROJECTS}/{project}"})


def _upwards(name: str) -> Iterable[str]:
    """`a/b/c`, then `a/b`, then `a`."""
    while name:
        yield name
        name = name.rpartition("/")[0]


def _bound(cloud: Cloud, identity: str, roles: Iterable[str], name: str) -> bool:
    """Whether one of `roles` is bound to `identity` by the policy of `name` itself."""
    if identity == OPERATOR and name.startswith(f"{_PROJECTS}/") and "roles/owner" in roles:
        return True  # inherited, as from an organisation: whoever started the sandbox owns its projects
    return any(
        binding["role"] in roles
        and any(_stands_for(cloud, member, identity) for member in binding["members"])
        for binding in policies.bindings(cloud.store, name)
    )


def _stands_for(cloud: Cloud, member: str, identity: str) -> bool:
    """Whether a policy's `member` is `identity` or includes it. The sandbox knows no groups' members."""
    kind, _, rest = member.partition(":")
    if kind in BASIC:
        return _bound(cloud, identity, [BASIC[kind]], f"{_PROJECTS}/{rest}")
    if kind == "domain":
        return identity.startswith("user:") and identity.lower().endswith(f"@{rest.lower()}")
    return member in {"allUsers", "allAuthenticatedUsers"} or member.lower() == identity.lower()


def _project(cloud: Cloud, name: str) -> str:
    """The id of the project that a resource belongs to; empty where that can't be told."""
    if not name.startswith("storage/b/"):
        project = project_of(name)
        return _by_number(cloud, project) if project.isdigit() else project
    bucket = cloud.store.get("/".join(name.split("/")[:3])) or {}
    return _by_number(cloud, str(bucket.get("projectNumber", "")))


def _by_number(cloud: Cloud, number: str) -> str:
    """The project with this number, as its first bucket left it (`sandbox.cloud.services.buckets`)."""
    return str((cloud.store.get(f"projects/{number}") or {}).get("projectId", ""))


def _refusal(identity: str, permission: str, name: str) -> ApiError:
    service, _, path = name.partition("/")
    who = identity.partition(":")[2]
    match permission.split("."):
        case ["storage", kind, _]:
            thing = "object" if kind == "objects" else "bucket"
            return ApiError(
                403,
                "PERMISSION_DENIED",
                f"{who} does not have {permission} access to the Google Cloud Storage {thing}. "
                f"Permission '{permission}' denied on resource (or it may not exist).",
            )
        case ["compute", *_]:
            return denied(f"Required '{permission}' permission for '{path}'")
        case ["iam", *_]:
            return denied(f"Permission '{permission}' denied on resource (or it may not exist).")
        case ["cloudkms", *_]:
            return denied(f"Permission '{permission}' denied on resource '{path}' (or it may not exist).")
    return denied(
        f"Permission '{permission}' denied on resource '//{service}.googleapis.com/{path}' "
        "(or it may not exist)."
    )
