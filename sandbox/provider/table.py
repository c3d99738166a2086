"""The table: every resource type and every function of the provider, by Pulumi's name for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sandbox.provider.errors import ProviderError
from sandbox.provider.function import Function
from sandbox.provider.resource import Resource
from sandbox.provider.resources import (
    artifactregistry,
    compute,
    dns,
    iam,
    kms,
    projects,
    serviceaccount,
    storage,
    tpu,
)

TABLE: Final[Mapping[str, Resource]] = {
    resource.type: resource
    for module in (artifactregistry, compute, dns, iam, kms, projects, serviceaccount, storage, tpu)
    for resource in module.RESOURCES
}

FUNCTIONS: Final[Mapping[str, Function]] = {function.token: function for function in kms.FUNCTIONS}


def resource_type(token: str) -> Resource:
    """The row of a type, by its token."""
    try:
        return TABLE[token]
    except KeyError:
        raise ProviderError(f"resource type '{token}' is not supported by the sandbox's provider") from None
