"""The table's cells: one :class:`Field` for each property, and what follows from it.

From the same description come the check of a program's inputs with their defaults, the body of a REST call,
the properties read back from an answer, and the inputs that an answer stands for.
"""

from __future__ import annotations

import copy
import enum
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sandbox.provider.scope import Scope
from sandbox.provider.values import Props, Unknown, has_unknown


class Kind(enum.Enum):
    """The shape of a property's value."""

    STRING = "a string"
    INTEGER = "a whole number"
    NUMBER = "a number"
    BOOLEAN = "true or false"
    MAP = "a map of strings"
    LIST = "a list of strings"
    SET = "a list of strings, in any order"
    OBJECT = "an object"
    OBJECTS = "a list of objects"
    OBJECT_SET = "a list of objects, in any order"


OMIT: Final = object()
"""For :attr:`Field.absent`: nothing is sent."""

Replace = bool | Callable[[Any, Any], bool]


@dataclass(frozen=True, kw_only=True)
class Field:
    """One property of a resource or of an object in it."""

    name: str
    """Pulumi's name (camelCase), as the SDK has it."""
    kind: Kind = Kind.STRING
    api: str | None = ""
    """Dotted path in the REST resource; empty: the same name; None: the service knows nothing of it."""
    required: bool = False
    output: bool = False
    """Only the service sets it."""
    computed: bool = False
    """The service chooses a value where the program gives none."""
    default: Any = None
    """What the provider takes where the program gives no value."""
    replace: Replace | None = None
    """Whether a change replaces the resource; None: as the object around it does, else no."""
    fields: tuple[Field, ...] = ()
    """The properties of an object."""
    values: tuple[str, ...] = ()
    """The values that are allowed; empty: any."""
    pattern: str = ""
    """A regular expression that the whole value matches; empty: any."""
    zero: bool = False
    """Send a given value that is empty, false or 0 too."""
    absent: Any = OMIT
    """What is sent where there is no value (or an empty one that is not sent)."""
    expand: Callable[[Any, Scope], Any] | None = None
    """To the REST form, after the properties inside were."""
    flatten: Callable[[Any], Any] | None = None
    """From the REST form, before the properties inside are."""
    equal: Callable[[Any, Any], bool] | None = None
    """Whether two values mean the same, where that is more than being the same."""

    @property
    def path(self) -> tuple[str, ...]:
        """The keys that lead to the value in the REST resource."""
        return tuple((self.api or self.name).split("."))

    @property
    def input(self) -> bool:
        """Whether a program may set it."""
        return not self.output


Fields = tuple[Field, ...]


@dataclass(frozen=True)
class Failure:
    """Why an input is refused."""

    property: str
    reason: str


def is_zero(value: object) -> bool:
    """Empty, false, 0 or not there at all."""
    return value is None or (not isinstance(value, Unknown) and not value)


def is_unsaid(value: object) -> bool:
    """Whether there is no value, or none that a program could mean; false and 0 can be meant."""
    return value is None or value in ("", [], {})


def is_absent(field: Field, value: object) -> bool:
    """Whether a value says no more than its absence does."""
    if value is None:
        return True
    if field.kind is Kind.OBJECT and isinstance(value, dict):
        return all(is_absent(sub, value.get(sub.name)) for sub in field.fields)
    return is_zero(value) and not field.default


def same(field: Field, old: Any, new: Any) -> bool:
    """Whether a new value asks for nothing else than the old one; none at all leaves a computed one alone."""
    if isinstance(old, Unknown) or isinstance(new, Unknown):
        return False
    if is_unsaid(new):
        return field.computed or is_absent(field, old)
    if field.kind is Kind.OBJECT:
        return all(same(sub, (old or {}).get(sub.name), new.get(sub.name)) for sub in field.fields)
    if is_absent(field, old) or is_absent(field, new):
        return is_absent(field, old) and is_absent(field, new)
    match field.kind:
        case Kind.OBJECTS:
            return len(old) == len(new) and all(map(lambda a, b: same_item(field, a, b), old, new))
        case Kind.SET | Kind.OBJECT_SET:
            return not any(unmatched(field, old, new))
        case Kind.LIST:
            return len(old) == len(new) and all(map(lambda a, b: _equal(field, a, b), old, new))
        case _:
            return _equal(field, old, new)


def same_item(field: Field, old: Any, new: Any) -> bool:
    """Whether two items of a list mean the same."""
    if field.fields and isinstance(old, dict) and isinstance(new, dict):
        return all(same(sub, old.get(sub.name), new.get(sub.name)) for sub in field.fields)
    return _equal(field, old, new)


def unmatched(field: Field, old: Iterable[Any], new: Iterable[Any]) -> tuple[list[int], list[int]]:
    """The indices of items that only the old, and only the new one of two unordered lists has."""
    rest = dict(enumerate(old))
    added = []
    for index, item in enumerate(new):
        match = next((at for at, other in rest.items() if same_item(field, other, item)), None)
        if match is None:
            added.append(index)
        else:
            del rest[match]
    return list(rest), added


def _equal(field: Field, old: Any, new: Any) -> bool:
    if has_unknown(old) or has_unknown(new):
        return False
    return bool(old == new or (field.equal is not None and field.equal(old, new)))


def check(fields: Fields, given: Mapping[str, Any], prefix: str = "") -> tuple[Props, list[Failure]]:
    """A program's inputs with the defaults filled in, and what is wrong with them."""
    failures: list[Failure] = []
    known = {field.name: field for field in fields if field.input}
    for name, value in given.items():
        if name not in known and value is not None:
            reason = f"field '{prefix}{name}' is not supported by the sandbox's provider"
            failures.append(Failure(prefix + name, reason))
    checked: Props = {}
    for name, field in known.items():
        value = given.get(name)
        if value is None:
            if field.required:
                failures.append(Failure(prefix + name, f"field '{prefix}{name}' is required"))
            elif field.default is not None:
                checked[name] = copy.deepcopy(field.default)
            continue
        checked[name], wrong = _check_value(field, value, prefix + name)
        failures += wrong
    return checked, failures


def _check_value(field: Field, value: Any, where: str) -> tuple[Any, list[Failure]]:
    if isinstance(value, Unknown):
        return value, []
    if not _has_kind(field.kind, value):
        return value, [Failure(where, f"field '{where}' must be {field.kind.value}")]
    match field.kind:
        case Kind.OBJECT:
            return check(field.fields, value, f"{where}.")
        case Kind.OBJECTS | Kind.OBJECT_SET:
            pairs = [
                (item, []) if isinstance(item, Unknown) else check(field.fields, item, f"{where}[{index}].")
                for index, item in enumerate(value)
            ]
            return [item for item, _ in pairs], [failure for _, wrong in pairs for failure in wrong]
        case Kind.STRING:
            if field.values and value and value not in field.values:
                allowed = ", ".join(field.values)
                return value, [Failure(where, f"field '{where}' is '{value}': it must be one of {allowed}")]
            if field.pattern and not re.fullmatch(field.pattern, value):
                return value, [Failure(where, f"field '{where}' is '{value}': it must match {field.pattern}")]
    return value, []


def _has_kind(kind: Kind, value: object) -> bool:
    def strings(items: Iterable[object]) -> bool:
        return all(isinstance(item, str | Unknown) for item in items)

    match kind:
        case Kind.STRING:
            return isinstance(value, str)
        case Kind.INTEGER:
            return isinstance(value, int) and not isinstance(value, bool)
        case Kind.NUMBER:
            return isinstance(value, int | float) and not isinstance(value, bool)
        case Kind.BOOLEAN:
            return isinstance(value, bool)
        case Kind.MAP:
            return isinstance(value, dict) and strings(value.values())
        case Kind.LIST | Kind.SET:
            return isinstance(value, list) and strings(value)
        case Kind.OBJECT:
            return isinstance(value, dict)
        case _:
            return isinstance(value, list) and all(isinstance(item, dict | Unknown) for item in value)


def expand(fields: Fields, inputs: Mapping[str, Any], scope: Scope) -> dict[str, Any]:
    """The REST form of inputs: empty values are left out, but for those that the table sends."""
    body: dict[str, Any] = {}
    for field in fields:
        if field.output or field.api is None:
            continue
        value = inputs.get(field.name)
        if value is None or (is_zero(value) and not field.zero):
            if field.absent is not OMIT:
                _put(body, field.path, copy.deepcopy(field.absent))
            continue
        _put(body, field.path, expand_value(field, value, scope))
    return body


def expand_value(field: Field, value: Any, scope: Scope) -> Any:
    """The REST form of one value."""
    match field.kind:
        case Kind.OBJECT:
            value = expand(field.fields, value, scope)
        case Kind.OBJECTS | Kind.OBJECT_SET:
            value = [expand(field.fields, item, scope) for item in value]
    return field.expand(value, scope) if field.expand else value


def _put(body: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        body = body.setdefault(key, {})
    body[path[-1]] = value


def find(body: Any, path: tuple[str, ...]) -> Any:
    """The value at a path in a REST resource, None where there is none."""
    for key in path:
        if not isinstance(body, dict):
            return None
        body = body.get(key)
    return body


def flatten(fields: Fields, resource: Mapping[str, Any]) -> Props:
    """The properties that a REST resource stands for, outputs and inputs alike."""
    props: Props = {}
    for field in fields:
        if field.api is None:
            continue
        value = find(resource, field.path)
        if value is not None and field.flatten:
            value = field.flatten(value)
        if value is not None:
            props[field.name] = _flatten_value(field, value)
    return props


def _flatten_value(field: Field, value: Any) -> Any:
    match field.kind:
        case Kind.OBJECT:
            return flatten(field.fields, value)
        case Kind.OBJECTS | Kind.OBJECT_SET:
            return [flatten(field.fields, item) for item in value]
        case Kind.INTEGER:  # 64-bit numbers are strings in Google's JSON
            return int(value)
        case Kind.STRING:
            return str(value)
        case _:
            return value


def observed(fields: Fields, state: Mapping[str, Any], inputs: Mapping[str, Any]) -> Props:
    """The inputs that a state stands for: in the program's own words wherever those still mean the same."""
    result: Props = {}
    for field in fields:
        if field.output:
            continue
        was, now = inputs.get(field.name), state.get(field.name)
        if field.api is None:
            value = was
        elif was is None:
            untold = field.computed or is_absent(field, now) or same(field, now, field.default)
            value = None if untold else _restated(field, now, None)
        elif same(field, now, was):
            value = was
        elif is_absent(field, now):
            value = None
        else:
            value = _restated(field, now, was)
        if value is not None:
            result[field.name] = value
    return result


def imported(fields: Fields, state: Mapping[str, Any]) -> Props:
    """The inputs that a state stands for when no program's are known: all that say something."""
    return {
        field.name: state[field.name]
        for field in fields
        if field.input and not is_absent(field, state.get(field.name))
    }


def _restated(field: Field, now: Any, was: Any) -> Any:
    match field.kind:
        case Kind.OBJECT:
            return observed(field.fields, now, was or {})
        case Kind.OBJECTS | Kind.OBJECT_SET:
            words = list(was or [])
            return [
                next((item for item in words if same_item(field, value, item)), None)
                or observed(field.fields, value, {})
                for value in now
            ]
        case Kind.SET:
            kept = [item for item in was or [] if any(_equal(field, value, item) for value in now)]
            return kept + [value for value in now if not any(_equal(field, value, item) for item in kept)]
        case _:
            return now
