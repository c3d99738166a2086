"""Cloud Storage's buckets (https://cloud.google.com/storage/docs/json_api/v1/buckets)."""

from __future__ import annotations

import re
from typing import Final

from sandbox.cloud import storage
from sandbox.cloud.context import Call, Cloud
from sandbox.cloud.errors import ApiError, invalid
from sandbox.cloud.kinds import Kind, Resource
from sandbox.cloud.references import project_number

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")


def _bucket(cloud: Cloud, name: str, bucket: Resource) -> None:
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
    bucket.setdefault("softDeletePolicy", {"retentionDurationSeconds": "604800"})


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
    call.body["projectNumber"] = str(project_number(call.query["project"]))
    return str(call.body["name"])


KINDS: Final = [
    Kind("storage.buckets", "b", prepare=_bucket, deleting=_deleting, listed=_project, key=_key),
]
