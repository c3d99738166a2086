"""Cloud Storage's buckets (https://cloud.google.com/storage/docs/json_api/v1/buckets)."""

from __future__ import annotations

import re
from typing import Final

from sandbox.cloud import policies, storage
from sandbox.cloud.context import Call, Cloud
from sandbox.cloud.control import timestamp
from sandbox.cloud.errors import ApiError, invalid, unimplemented
from sandbox.cloud.kinds import Kind, Resource, project_of
from sandbox.cloud.references import project_number

_LONGEST: Final = 100 * 31556952
"""Seconds of a hundred years, which an object can be retained at most."""
_PROJECT: Final = "projectId"
"""Where a new bucket's project is until it is kept; buckets themselves have its number only."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")


def _bucket(cloud: Cloud, name: str, bucket: Resource) -> None:
    if project := bucket.pop(_PROJECT, None):
        _belong(cloud, name, str(bucket["projectNumber"]), project)
    key = name.rpartition("/")[2]
    if not _NAME.fullmatch(key) or key.startswith("goog"):
        raise invalid(f"Invalid bucket name: '{key}'")
    bucket["id"] = bucket["name"] = key
    bucket["location"] = str(bucket.get("location", "US")).upper()
    bucket["locationType"] = "multi-region" if bucket["location"] in {"US", "EU", "ASIA"} else "region"
    bucket.setdefault("storageClass", "STANDARD")
    access = bucket.setdefault("iamConfiguration", {})
    access.setdefault("publicAccessPrevention", "inherited")
    uniform = access.setdefault("uniformBucketLevelAccess", {})
    uniform.setdefault("enabled", False)
    access["bucketPolicyOnly"] = {"enabled": uniform["enabled"]}
    if policy := bucket.get("retentionPolicy"):
        if policy.get("isLocked"):
            raise unimplemented("The sandbox locks no retention policies: nobody could ever undo that.")
        if not 0 < int(policy.get("retentionPeriod", 0)) <= _LONGEST:
            raise invalid(f"retentionPolicy.retentionPeriod must be between 1 and {_LONGEST} seconds.")
        policy.setdefault("effectiveTime", timestamp())
    bucket.setdefault("softDeletePolicy", {"retentionDurationSeconds": "604800"})


def _belong(cloud: Cloud, name: str, number: str, project: str) -> None:
    """Keep whose bucket it is, and give it the roles that every bucket begins with.

    See https://cloud.google.com/storage/docs/access-control/iam#default-policies. With uniform access they
    reach the objects too; without, Google has access control lists for that, which the sandbox has not.
    """
    cloud.store.put(f"projects/{number}", {"projectId": project})
    policy = policies.get(cloud.store, name)
    people = [f"projectEditor:{project}", f"projectOwner:{project}"]
    viewers = [f"projectViewer:{project}"]
    begins = [
        {"role": "roles/storage.legacyBucketOwner", "members": people},
        {"role": "roles/storage.legacyBucketReader", "members": viewers},
        {"role": "roles/storage.legacyObjectOwner", "members": people},
        {"role": "roles/storage.legacyObjectReader", "members": viewers},
    ]
    policies.put(cloud.store, name, {**policy, "bindings": [*policy.get("bindings", []), *begins]})


def started(cloud: Cloud) -> None:
    """Give buckets that an earlier version of the sandbox made what they lack."""
    projects = {project_of(name) for name in cloud.store.list("") if project_of(name)}
    by_number = {str(project_number(project)): project for project in projects}
    known = cloud.store.list("projects/")
    for name, bucket in cloud.store.list("storage/b/").items():
        number = str(bucket["projectNumber"])
        if f"projects/{number}" not in known and number in by_number:
            _belong(cloud, name, number, by_number[number])


def _project(call: Call, bucket: Resource) -> bool:
    if call.query.get("softDeleted") == "true":
        return False
    number = str(project_number(call.query["project"]))
    prefix = call.query.get("prefix", "")
    return str(bucket["projectNumber"]) == number and str(bucket["name"]).startswith(prefix)


def _deleting(cloud: Cloud, name: str, bucket: Resource) -> None:
    if not storage.is_empty(cloud, bucket["name"]):
        raise ApiError(409, "CONFLICT", "The bucket you tried to delete is not empty.")
    storage.forget_bucket(cloud, bucket["name"])


def _key(call: Call) -> str:
    """The bucket's name; the project is in the query, and the store keeps its number with the bucket."""
    call.body |= {
        "projectNumber": str(project_number(call.query["project"])),
        _PROJECT: call.query["project"],
    }
    return str(call.body["name"])


KINDS: Final = [
    Kind("storage.buckets", "b", prepare=_bucket, deleting=_deleting, listed=_project, key=_key),
]
