"""Service accounts by the names that Google takes for them."""

from __future__ import annotations

from typing import Any

from sandbox.cloud.context import Cloud
from sandbox.cloud.errors import not_found


def find(cloud: Cloud, project: str, account: str) -> tuple[str, dict[str, Any]]:
    """The store's name of a service account and the account, by its email or unique id.

    `project` may be `-`, as Google allows where the email says which project it is. 404 if there is none.
    """
    prefix = "iam/projects/" if project == "-" else f"iam/projects/{project}/"
    for name, resource in cloud.store.list(prefix).items():
        if account in {resource.get("email"), resource.get("uniqueId")}:
            return name, resource
    raise not_found(f"Unknown service account: {account}")
