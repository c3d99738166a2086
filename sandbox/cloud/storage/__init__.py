"""Cloud Storage: objects, for Google's own client."""

from __future__ import annotations

from sandbox.cloud.context import Cloud
from sandbox.cloud.storage.application import application
from sandbox.cloud.storage.attached import attached
from sandbox.cloud.storage.objects import Objects

__all__ = ["application", "forget_bucket", "is_empty"]


def is_empty(cloud: Cloud, bucket: str) -> bool:
    """Whether a bucket may be deleted: it holds no object, live or kept by versioning."""
    return next(iter(attached(cloud, Objects).list(bucket, versions=True)), None) is None


def forget_bucket(cloud: Cloud, bucket: str) -> None:
    """Drop what a deleted bucket held."""
    attached(cloud, Objects).forget(bucket)
