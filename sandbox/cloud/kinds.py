"""What the sandbox keeps: the kinds of resources it knows, and what each needs beyond its description."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from sandbox.cloud.context import Call, Cloud
from sandbox.cloud.errors import failed_precondition, not_found
from sandbox.cloud.references import resource_path

Resource: TypeAlias = dict[str, Any]

DEFAULT_ROUTE: Final = "default-route-"
"""How the names of routes begin that come and go with a network."""


def nothing(cloud: Cloud, name: str, resource: Resource) -> None:
    """The hook of kinds that need none."""


def alone(cloud: Cloud, name: str, resource: Resource) -> list[str]:
    """The hook of kinds that come alone."""
    return []


def everything(call: Call, resource: Resource) -> bool:
    """The hook of kinds whose lists have no parameters of their own."""
    return True


@dataclass(frozen=True)
class Kind:
    """One kind of resource. Hooks get its name in the store, and may change or refuse it."""

    collection: str
    """As in the ids of its methods: `compute.networks`."""
    segment: str
    """The path segment before its name: `networks`."""
    references: tuple[str, ...] = ()
    """Fields that name a resource of Compute which has to exist, and which then can't be deleted."""
    prepare: Callable[[Cloud, str, Resource], None] = nothing
    """Sets Google's defaults and checks what the document can't express; before each create and change."""
    created: Callable[[Cloud, str, Resource], list[str]] = alone
    """Makes what comes into being along with it, and returns the names of that."""
    deleting: Callable[[Cloud, str, Resource], None] = nothing
    """Refuses a deletion, or takes away what belongs to the resource."""
    show: Callable[[Cloud, str, Resource], None] = nothing
    """Adds fields that follow from other resources, on the way out."""
    listed: Callable[[Call, Resource], bool] = everything
    """Whether a list shows it, by parameters of the query that are its own."""
    networked: bool = False
    """Whether machines depend on it."""
    key: Callable[[Call], str] | None = None
    """The last part of a new resource's name, where it isn't the `name` of the body or an id in the query."""


def project_of(name: str) -> str:
    """The project in a resource's name, empty where it has none."""
    parts = name.split("/")
    return parts[2] if len(parts) > 2 and parts[1] == "projects" else ""


def compute_address(cloud: Cloud, path: str) -> str:
    """A Compute resource's `selfLink`: `projects/…` below the endpoint that this sandbox has for Compute."""
    return f"{cloud.endpoints.get('compute', 'https://www.googleapis.com')}/compute/beta/{path}"


def check_references(cloud: Cloud, kind: Kind, name: str, resource: Resource) -> None:
    """Bring each reference into the form that the API gives it, and refuse one to what isn't there."""
    for reference in kind.references:
        for holder, key in _holders(resource, reference):
            path = resource_path(str(holder[key]), project_of(name))
            if cloud.store.get(f"compute/{path}") is None:
                raise not_found(f"The resource '{path}' was not found")
            if not name.startswith("tpu/"):  # Cloud TPU gives back what it was given
                holder[key] = compute_address(cloud, path)


def refuse_if_used(cloud: Cloud, kinds: Iterable[Kind], name: str) -> None:
    """400 if another resource of Compute or Cloud TPU refers to the Compute resource `name`.

    Routes that came with a network don't count: they go with it.
    """
    target = name.removeprefix("compute/")
    for kind in kinds:
        service = kind.collection.partition(".")[0]
        if not kind.references or service == "dns":
            continue
        for user, resource in cloud.store.list(f"{service}/").items():
            if user.split("/")[-2] != kind.segment or user.rpartition("/")[2].startswith(DEFAULT_ROUTE):
                continue
            for reference in kind.references:
                for holder, key in _holders(resource, reference):
                    if resource_path(str(holder[key]), project_of(user)) == target:
                        raise failed_precondition(
                            f"The resource '{target}' is already being used by '{user.partition('/')[2]}'",
                        )


def _holders(resource: Resource, reference: str) -> Iterator[tuple[Resource, str]]:
    """The objects that hold the field at `a.b[].c`, each with the field's name; only where it is set."""
    head, _, rest = reference.partition(".")
    if not rest:
        if resource.get(head):
            yield resource, head
        return
    value = resource.get(head.removesuffix("[]"))
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            yield from _holders(item, rest)
