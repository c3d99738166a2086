"""The state of a stack: its resources as the last run left them, and how a run changes them step by step.

The form is deployment version 3 (`ResourceV3`, `DeploymentV3` in `sdk/go/common/apitype/core.go`,
pulumi/pulumi).
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sandbox.engine import urn as urns
from sandbox.engine import values
from sandbox.engine.errors import EngineError
from sandbox.engine.secrets import Crypter

VERSION = "v3.259.0"
"""The version of the CLI whose behaviour and formats this engine follows."""
DEPLOYMENT_VERSION = 3

Json = dict[str, Any]


def now() -> str:
    """The time as the state has it: UTC with nanoseconds, of which the first six digits are measured."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")


@dataclass(eq=False)
class Resource:
    """One resource of the state; compared by identity, because old and new states live side by side."""

    urn: str
    type: str
    custom: bool
    id: str = ""
    inputs: values.Properties = field(default_factory=dict)
    outputs: values.Properties | None = None
    parent: str = ""
    provider: str = ""
    dependencies: list[str] = field(default_factory=list)
    property_dependencies: dict[str, list[str]] | None = None
    protect: bool = False
    external: bool = False
    """Read, not managed."""
    delete: bool = False
    """Replaced already, and to be deleted."""
    pending_replacement: bool = False
    """Deleted already, and to be created anew."""
    init_errors: list[str] = field(default_factory=list)
    additional_secret_outputs: list[str] = field(default_factory=list)
    aliases: list[str] = field(default_factory=list)
    custom_timeouts: dict[str, float] = field(default_factory=dict)
    """Seconds by operation: create, update, delete, read."""
    retain_on_delete: bool = False
    deleted_with: str = ""
    ignore_changes: list[str] = field(default_factory=list)
    replace_on_changes: list[str] = field(default_factory=list)
    created: str = ""
    modified: str = ""
    source_position: str = ""

    def copy(self) -> Resource:
        """Another object with the same content."""
        return copy.copy(self)

    def all_dependencies(self) -> set[str]:
        """Every resource this one needs, but for its parent and its provider."""
        found = set(self.dependencies)
        for urns_ in (self.property_dependencies or {}).values():
            found.update(urns_)
        if self.deleted_with:
            found.add(self.deleted_with)
        return found

    def needs(self) -> set[str]:
        """Every resource that must be there before this one and go after it."""
        found = self.all_dependencies()
        if self.parent:
            found.add(self.parent)
        if self.provider:
            found.add(urns.split_reference(self.provider)[0])
        return found


# Field of the state, attribute, in the order of the CLI's files. Empty ones are left out.
_PLAIN_FIELDS: tuple[tuple[str, str], ...] = (
    ("parent", "parent"),
    ("protect", "protect"),
    ("external", "external"),
    ("dependencies", "dependencies"),
    ("initErrors", "init_errors"),
    ("provider", "provider"),
    ("propertyDependencies", "property_dependencies"),
    ("pendingReplacement", "pending_replacement"),
    ("additionalSecretOutputs", "additional_secret_outputs"),
    ("aliases", "aliases"),
    ("customTimeouts", "custom_timeouts"),
    ("retainOnDelete", "retain_on_delete"),
    ("deletedWith", "deleted_with"),
    ("created", "created"),
    ("modified", "modified"),
    ("sourcePosition", "source_position"),
    ("ignoreChanges", "ignore_changes"),
    ("replaceOnChanges", "replace_on_changes"),
)
_KNOWN_FIELDS = {
    "urn",
    "custom",
    "delete",
    "id",
    "type",
    "inputs",
    "outputs",
    *(name for name, _ in _PLAIN_FIELDS),
}
# What the CLI writes and this engine can carry along no further: dropped without harm.
_DISPOSABLE_FIELDS = {"stackTrace", "hideDiff"}


def resource_to_json(resource: Resource, encrypt: Callable[[str], str] | None) -> Json:
    """Write a resource; without `encrypt` its secrets are in the clear."""
    result: Json = {"urn": resource.urn, "custom": resource.custom}
    if resource.delete:
        result["delete"] = True
    if resource.id:
        result["id"] = resource.id
    result["type"] = resource.type
    if resource.inputs:
        result["inputs"] = values.to_state(resource.inputs, encrypt)
    if resource.outputs:
        result["outputs"] = values.to_state(resource.outputs, encrypt)
    for name, attribute in _PLAIN_FIELDS:
        if value := getattr(resource, attribute):
            result[name] = value
    return result


def resource_from_json(data: Json, decrypt: Callable[[str], str]) -> Resource:
    """Read a resource; one that uses what this engine cannot carry on is an `EngineError`."""
    unknown = sorted(data.keys() - _KNOWN_FIELDS - _DISPOSABLE_FIELDS)
    if unknown:
        raise EngineError(
            f"state of {data['urn']}: the embedded engine does not know {', '.join(unknown)}; "
            "use the Pulumi CLI for this stack"
        )
    resource = Resource(
        urn=data["urn"],
        type=data["type"],
        custom=data["custom"],
        id=data.get("id", ""),
        delete=data.get("delete", False),
        inputs=values.from_state(data.get("inputs", {}), decrypt),
        outputs=values.from_state(data.get("outputs", {}), decrypt),
    )
    for name, attribute in _PLAIN_FIELDS:
        if name in data:
            setattr(resource, attribute, data[name])
    return resource


@dataclass
class Snapshot:
    """All resources of a stack in an order in which nothing comes before what it needs."""

    resources: list[Resource] = field(default_factory=list)
    pending: list[tuple[Resource, str]] = field(default_factory=list)
    """Operations that were under way when a run was killed: the resource and creating, updating, ..."""

    def root_outputs(self) -> values.Properties:
        """The stack's own outputs."""
        for resource in self.resources:
            if resource.type == urns.STACK_TYPE and not resource.delete:
                return resource.outputs or {}
        return {}


def snapshot_to_json(snapshot: Snapshot, crypter: Crypter, *, show_secrets: bool = False) -> Json:
    """Write a deployment."""
    encrypt = None if show_secrets else crypter.encrypt
    result: Json = {
        "manifest": {
            "time": now(),
            "magic": hashlib.sha256(VERSION.encode()).hexdigest(),
            "version": VERSION,
        },
        "secrets_providers": {"type": "passphrase", "state": {"salt": crypter.state}},
    }
    if snapshot.resources:
        result["resources"] = [resource_to_json(resource, encrypt) for resource in snapshot.resources]
    if snapshot.pending:
        result["pending_operations"] = [
            {"resource": resource_to_json(resource, encrypt), "type": kind}
            for resource, kind in snapshot.pending
        ]
    result["metadata"] = {}
    return result


def snapshot_from_json(deployment: Json | None, decrypt: Callable[[str], str]) -> Snapshot:
    """Read a deployment; a stack that was never updated has none."""
    if not deployment:
        return Snapshot()
    unknown = sorted(
        deployment.keys() - {"manifest", "secrets_providers", "resources", "pending_operations", "metadata"}
    )
    if unknown:
        raise EngineError(
            f"the stack's state has {', '.join(unknown)}, which the embedded engine does not know"
        )
    return Snapshot(
        [resource_from_json(data, decrypt) for data in deployment.get("resources", [])],
        [
            (resource_from_json(data["resource"], decrypt), data["type"])
            for data in deployment.get("pending_operations", [])
        ],
    )


def dependents(resources: Iterable[Resource], root: Resource, ignore: set[str]) -> Iterator[Resource]:
    """Those after `root` that depend on it, directly or not, in the state's order; children do not count."""
    found = {root.urn}
    after = False
    for candidate in resources:
        if candidate is root:
            after = True
        elif after and candidate.urn not in ignore:
            needs = candidate.all_dependencies()
            if candidate.provider:
                needs.add(urns.split_reference(candidate.provider)[0])
            if needs & found:
                found.add(candidate.urn)
                yield candidate


class Journal:
    """The state during a run: what the run made so far, then what it has not touched yet.

    `save` is called after every change that must not be lost.
    """

    def __init__(self, base: Snapshot, save: Callable[[Snapshot], None] | None) -> None:
        self.base = base
        self._save = save
        self._new: list[Resource] = []
        self._done: set[int] = set()
        self._gone: list[Resource] = []  # keeps what `_done` names alive, so that no identity is used twice
        self._pending: list[tuple[Resource, str]] = []
        self._kept_pending = [(resource, kind) for resource, kind in base.pending if kind == "creating"]

    def begin(self, resource: Resource, kind: str) -> None:
        """Record that an operation on the resource starts."""
        self._pending.append((resource, kind))
        self.save()

    def end(self, resource: Resource) -> None:
        """Record that the operation on the resource is over."""
        self._pending = [item for item in self._pending if item[0] is not resource]

    def add(self, resource: Resource) -> None:
        """A state that the run made."""
        self._new.append(resource)

    def drop(self, resource: Resource) -> None:
        """A state that no longer holds."""
        self._done.add(id(resource))
        self._gone.append(resource)

    def forget_pending(self, *, creates: bool) -> None:
        """After a refresh nothing is pending but creations, which only a person can clear (`creates`)."""
        if creates:
            self._kept_pending = []

    def snapshot(self) -> Snapshot:
        """The state as it is now."""
        resources = [item for item in (*self._new, *self.base.resources) if id(item) not in self._done]
        return Snapshot(resources, [*self._pending, *self._kept_pending])

    def save(self) -> None:
        """Write the state, in a run that keeps one."""
        if self._save is not None:
            self._save(self.snapshot())
