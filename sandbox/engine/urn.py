"""Names of resources: `urn:pulumi:STACK::PROJECT::PARENT-TYPE$TYPE::NAME`, and references to providers."""

from __future__ import annotations

from typing import Final

STACK_TYPE: Final = "pulumi:pulumi:Stack"
_PROVIDER_PREFIX: Final = "pulumi:providers:"


def make(stack: str, project: str, parent: str, type_: str, name: str) -> str:
    """The name of a resource; the stack itself does not show in its children's types."""
    qualified = type_
    if parent and qualified_type(parent) != STACK_TYPE:
        qualified = f"{qualified_type(parent)}${type_}"
    return f"urn:pulumi:{stack}::{project}::{qualified}::{name}"


def qualified_type(urn: str) -> str:
    """The type with those of the parents before it."""
    return urn.split("::", 3)[2]


def type_of(urn: str) -> str:
    """The resource's own type."""
    return qualified_type(urn).rpartition("$")[2]


def name_of(urn: str) -> str:
    """The resource's own name."""
    return urn.split("::", 3)[3]


def package_of(type_: str) -> str:
    """The package that a type or a function belongs to; dynamic types belong to `pulumi-python`."""
    return type_.partition(":")[0]


def is_provider(type_: str) -> bool:
    """Whether a type is that of a provider."""
    return type_.startswith(_PROVIDER_PREFIX)


def provider_type(package: str) -> str:
    """The type of a package's provider."""
    return _PROVIDER_PREFIX + package


def provider_package(type_: str) -> str:
    """The package that a provider's type stands for."""
    return type_.removeprefix(_PROVIDER_PREFIX)


def is_default_provider(urn: str) -> bool:
    """Whether the engine made this provider itself; such providers are not displayed."""
    return is_provider(type_of(urn)) and name_of(urn).split("_", 1)[0] == "default"


def split_reference(reference: str) -> tuple[str, str]:
    """A provider reference's URN and id."""
    urn, _, id_ = reference.rpartition("::")
    return urn, id_
