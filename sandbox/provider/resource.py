"""A row of the table: a resource type, the calls that its life takes, and what a program sees of it.

A type whose calls follow the common pattern is only data. One that does not overrides the step that differs,
in the module of its service under ``sandbox.provider.resources``.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final

from sandbox.provider.errors import ApiError, PartialFailureError, ProviderError
from sandbox.provider.fields import (
    Failure,
    Field,
    Fields,
    Kind,
    check,
    expand,
    flatten,
    imported,
    is_absent,
    observed,
)
from sandbox.provider.rest import Api, Body
from sandbox.provider.scope import Defaults, Scope, parse, variables
from sandbox.provider.values import UNKNOWN, Props, has_unknown

PROJECT: Final = Field(name="project", api=None, computed=True, replace=True)
REGION: Final = Field(name="region", api=None, computed=True, replace=True)
DELETION_POLICY: Final = Field(
    name="deletionPolicy", api=None, computed=True, values=("DELETE", "ABANDON", "PREVENT")
)
LABELS: Final = (
    Field(name="labels", kind=Kind.MAP),
    Field(name="effectiveLabels", kind=Kind.MAP, api="labels", output=True),
    Field(name="pulumiLabels", kind=Kind.MAP, api="labels", output=True),
)
CLEARED: Final[Mapping[Kind, Any]] = {
    Kind.STRING: "",
    Kind.INTEGER: 0,
    Kind.NUMBER: 0,
    Kind.BOOLEAN: False,
    Kind.MAP: {},
    Kind.LIST: [],
    Kind.SET: [],
    Kind.OBJECT: None,
    Kind.OBJECTS: [],
    Kind.OBJECT_SET: [],
}
"""What is sent for a property that had a value and has none any more."""


@dataclass(frozen=True, kw_only=True)
class Update:
    """A call that changes some properties of a living resource."""

    fields: tuple[str, ...]
    """The properties it carries; it is made when one of them changed."""
    method: str = "PATCH"
    verb: str = ""
    """A custom method, appended to the resource's path."""
    mask: bool = False
    """Name the changed properties in ``updateMask``; one that is named and not sent is cleared."""
    fingerprint: bool = False
    """Read the resource first and send its fingerprint along."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource type and its calls. Templates name properties in braces: ``projects/{project}/global``."""

    type: str
    """Pulumi's type, for example ``gcp:compute/network:Network``."""
    service: str
    """The API, as :data:`sandbox.provider.rest.ENDPOINTS` names it."""
    identity: str
    """Template of the id, as the real provider forms it."""
    path: str = ""
    """Template of the resource's path; empty: the id."""
    collection: str = ""
    """Template of the path that creates it."""
    method: str = "POST"
    """How it is created."""
    query: Mapping[str, str] = field(default_factory=dict)
    """Templates of the query that creates it."""
    constants: Mapping[str, Any] = field(default_factory=dict)
    """What the real provider sends at creation for properties that this table does not have."""
    fields: Fields = ()
    updates: tuple[Update, ...] = ()
    one_of: tuple[tuple[str, ...], ...] = ()
    """Groups of properties of which exactly one is to be given."""
    exclusive: tuple[tuple[str, ...], ...] = ()
    """Groups of properties of which at most one is to be given."""
    locked: str = ""
    """Template of the name under which writing calls wait for each other; empty: they need not."""
    autoname: str = "name"
    """The property that is made from the logical name where it is not given; empty: none."""

    @property
    def named(self) -> dict[str, Field]:
        """The properties by name."""
        return {item.name: item for item in self.fields}

    @property
    def labelled(self) -> bool:
        """Whether it has labels, of which the program owns those that it names."""
        return "labels" in self.named

    # What the engine asks before it changes anything

    def check(
        self, given: Props, known: Props, name: str, suffix: str, defaults: Defaults
    ) -> tuple[Props, list[Failure]]:
        """The program's inputs with defaults filled in and a name made, and what is wrong with them."""
        if self.autoname in self.named and given.get(self.autoname) is None:
            given = {**given, self.autoname: known.get(self.autoname) or f"{name}-{suffix}"}
        inputs, failures = check(self.fields, given)
        failures += self.verify(inputs)
        for variable in sorted({*variables(self.identity), *variables(self.collection)}):
            prior = {failure.property for failure in failures}
            wanted = self.named.get(variable)
            if wanted is None or wanted.output or variable in prior:
                continue
            if not inputs.get(variable) and not defaults.get(variable):
                failures.append(Failure(variable, f"field '{variable}' is required (or set gcp:{variable})"))
        return inputs, failures

    def verify(self, inputs: Props) -> list[Failure]:
        """What is wrong with the inputs taken together."""
        failures = []
        for group in (*self.one_of, *self.exclusive):
            given = sum(not is_absent(self.named[name], inputs.get(name)) for name in group)
            if given > 1 or (given == 0 and group in self.one_of):
                amount = "exactly one" if group in self.one_of else "at most one"
                failures.append(
                    Failure(group[0], f"{amount} of {', '.join(group)} may be given, not {given}")
                )
        return failures

    def planned(self, inputs: Props) -> Props:
        """What a creation would give, as far as it is known before."""
        state: Props = {
            item.name: UNKNOWN
            for item in self.fields
            if item.output or (item.computed and item.api is not None)
        }
        state |= inputs
        if self.labelled:
            state |= dict.fromkeys(("effectiveLabels", "pulumiLabels"), inputs.get("labels", {}))
        return state

    def planned_update(self, state: Props, inputs: Props) -> Props:
        """What an update would give, as far as it is known before."""
        kept = {
            name: value
            for name, value in state.items()
            if name not in self.named or self.named[name].output or self.named[name].computed
        }
        if self.labelled:
            kept |= dict.fromkeys(("effectiveLabels", "pulumiLabels"), inputs.get("labels", {}))
        return kept | inputs

    def deletes_first(self, old: Props, new: Props, defaults: Defaults) -> bool:
        """Whether a replacement must delete first: the new resource would have the old one's id."""
        if any(has_unknown(new.get(name)) for name in variables(self.identity)):
            return False
        try:
            return self.identify(Scope(old, defaults), {}) == self.identify(Scope(new, defaults), {})
        except ProviderError:
            return False

    # Its life

    def create(self, api: Api, inputs: Props, defaults: Defaults) -> tuple[str, Props]:
        """Create it, wait until it is there, and read it back: its id and state."""
        scope = Scope(inputs, defaults, api.endpoint)
        with self.lock(api, scope):
            answer = self.insert(api, scope)
        identity = self.identify(scope, answer)
        try:
            self.created(api, scope)
            state = self.read(api, identity, inputs, defaults)
        except ProviderError as error:
            raise PartialFailureError(identity, dict(inputs), error) from error
        if state is None:
            cause = ProviderError(f"{identity} was created, but is not there when read back")
            raise PartialFailureError(identity, dict(inputs), cause)
        return identity, state

    def read(self, api: Api, identity: str, known: Props, defaults: Defaults) -> Props | None:
        """Its state as it is now, None if it is gone. `known` is what was known of it before, if anything."""
        scope = Scope({**(parse(self.identity, identity) or {}), **known}, defaults, api.endpoint)
        answer = self.fetch(api, identity, scope)
        return None if answer is None else self.state(answer, known, scope)

    def update(
        self, api: Api, identity: str, state: Props, inputs: Props, changed: set[str], defaults: Defaults
    ) -> Props:
        """Change what changed in place, and read it back. `state` is the old one."""
        scope = Scope({**state, **inputs}, defaults, api.endpoint)
        with self.lock(api, scope):
            for step in self.updates:
                if hit := [name for name in step.fields if name in changed]:
                    self.step(api, scope, step, hit, inputs)
        after = self.read(api, identity, inputs, defaults)
        if after is None:
            raise ProviderError(f"{identity} is gone; a refresh will notice")
        return after

    def delete(self, api: Api, identity: str, state: Props, defaults: Defaults) -> None:
        """Delete it and wait until it is gone, unless its deletion policy says otherwise."""
        match state.get("deletionPolicy"):
            case "PREVENT":
                raise ProviderError(f"{identity} has deletionPolicy PREVENT: change that first to delete it")
            case "ABANDON":
                return
        scope = Scope({**(parse(self.identity, identity) or {}), **state}, defaults, api.endpoint)
        try:
            with self.lock(api, scope):
                self.remove(api, identity, scope)
        except ApiError as error:
            if error.status != 404:
                raise

    def observe(self, state: Props, inputs: Props) -> Props:
        """The inputs that a state read from the service stands for; `inputs` are those of the last time."""
        return observed(self.fields, state, inputs) if inputs else imported(self.fields, state)

    # The steps, for types that differ

    def location(self, scope: Scope) -> str:
        """The path of the resource."""
        return scope.path(self.path or self.identity)

    def identify(self, scope: Scope, answer: Body) -> str:
        """The id, from the inputs and what the creating call answered (empty when only asked for)."""
        return scope.text(self.identity)

    def lock(self, api: Api, scope: Scope) -> AbstractContextManager[None]:
        """What writing calls wait for."""
        return api.lock(scope.text(self.locked)) if self.locked else nullcontext()

    def encode(self, scope: Scope) -> Body:
        """The body that creates it."""
        return {**self.constants, **expand(self.fields, scope.values, scope)}

    def insert(self, api: Api, scope: Scope) -> Body:
        """The creating call."""
        query = {key: scope.text(template) for key, template in self.query.items()}
        return api.run(self.service, self.method, scope.path(self.collection), query, self.encode(scope))

    def created(self, api: Api, scope: Scope) -> None:
        """What follows the creation before it is read back."""

    def fetch(self, api: Api, identity: str, scope: Scope) -> Body | None:
        """The resource as the service has it, None if it has none."""
        return api.get(self.service, self.location(scope))

    def state(self, answer: Body, known: Props, scope: Scope) -> Props:
        """The properties that a program sees."""
        state = {
            item.name: known[item.name] for item in self.fields if item.api is None and item.name in known
        }
        state |= flatten(self.fields, answer)
        for name in variables(self.identity):
            if name not in state and name in self.named:
                state[name] = scope.variable(name)
        for item in self.fields:
            if item.default is not None and not item.default:  # services leave out what is false or empty
                state.setdefault(item.name, item.default)
        if "deletionPolicy" in self.named:
            state.setdefault("deletionPolicy", "DELETE")
        if self.labelled and known:
            everything = state.get("labels", {})
            own = {key: everything[key] for key in known.get("labels") or {} if key in everything}
            state |= {"labels": own, "pulumiLabels": own, "effectiveLabels": everything}
        return state

    def encode_update(self, scope: Scope, step: Update, hit: list[str], inputs: Props) -> Body:
        """The body of an updating call; `hit` are those of its properties that changed."""
        fields = tuple(self.named[name] for name in step.fields)
        body = expand(fields, inputs, scope)
        for item in fields:
            if item.name in hit and not step.mask and is_absent(item, inputs.get(item.name)):
                _clear(body, item)
        return body

    def step(self, api: Api, scope: Scope, step: Update, hit: list[str], inputs: Props) -> None:
        """One updating call."""
        body = self.encode_update(scope, step, hit, inputs)
        location = self.location(scope)
        if step.fingerprint:
            current = api.call(self.service, "GET", location)
            body |= {key: current[key] for key in ("fingerprint",) if key in current}
        masked = {"updateMask": ",".join(self.named[name].path[0] for name in hit)} if step.mask else None
        api.run(self.service, step.method, location + step.verb, masked, body)

    def remove(self, api: Api, identity: str, scope: Scope) -> None:
        """The deleting call."""
        api.run(self.service, "DELETE", self.location(scope))


def _clear(body: Body, item: Field) -> None:
    for key in item.path[:-1]:
        body = body.setdefault(key, {})
    body.setdefault(item.path[-1], CLEARED[item.kind])
