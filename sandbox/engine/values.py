"""Property values: what a resource's inputs and outputs are made of.

A value is `None`, `bool`, `int`, `float`, `str`, a `list`, a `dict` with string keys, a `Secret` or
`UNKNOWN`. Assets, archives and resource references keep the form they have on the wire, a `dict` with a
signature.
Two encodings are known: protobuf's `Struct` (between programs, engine and providers) and JSON (the state).
Source of both: `sdk/go/common/resource/properties.go` and `sdk/proto/resource.proto` of pulumi/pulumi.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import struct_pb2

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a marker, not a secret
REFERENCE_SIGNATURE: Final = "5cf8f73096256a8f31e491e813e4eb8e"
OUTPUT_SIGNATURE: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
ASSET_SIGNATURE: Final = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE_SIGNATURE: Final = "0def7320c3a5731c473e5ecbe6d01bc7"

UNKNOWN_STRING: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWN_MARKERS: Final = frozenset(
    {
        UNKNOWN_STRING,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # bool
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)
_LARGEST_EXACT_INTEGER: Final = 2**53

Value = Any
"""One property value, see the module's description."""
Properties = dict[str, Value]
"""The properties of a resource by name."""


@dataclass(frozen=True)
class Secret:
    """A value that is encrypted in the state and masked everywhere else."""

    element: Value


class _Unknown:
    """A value that only an update will know."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()


def secret(value: Value) -> Secret:
    """The value as a secret; a secret stays one."""
    return value if isinstance(value, Secret) else Secret(value)


def plain(value: Value) -> Value:
    """The value with no secret in it marked as such."""
    if isinstance(value, Secret):
        return plain(value.element)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def _any(value: Value, test: Callable[[Value], bool]) -> bool:
    if test(value):
        return True
    if isinstance(value, Secret):
        return _any(value.element, test)
    if isinstance(value, dict):
        return any(_any(item, test) for item in value.values())
    if isinstance(value, list):
        return any(_any(item, test) for item in value)
    return False


def has_secrets(value: Value) -> bool:
    """Whether a secret is anywhere in the value."""
    return _any(value, lambda item: isinstance(item, Secret))


def has_unknowns(value: Value) -> bool:
    """Whether anything in the value is not known yet."""
    return _any(value, lambda item: item is UNKNOWN)


def equal(left: Value, right: Value) -> bool:
    """Whether two values are the same; unlike Python, `True` is not `1`, and a secret is not its element."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, Secret) and isinstance(right, Secret):
        return equal(left.element, right.element)
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if left is UNKNOWN or right is UNKNOWN:
        return left is right
    return bool(left == right)


def annotate_secrets(outputs: Properties, inputs: Mapping[str, Value]) -> None:
    """Mark in `outputs` what is secret in `inputs`, for a provider that does not know secrets."""
    for key, value in inputs.items():
        if key not in outputs:
            continue
        if isinstance(outputs[key], dict) and isinstance(value, dict):
            annotate_secrets(outputs[key], value)
        elif not isinstance(outputs[key], Secret) and has_secrets(value):
            outputs[key] = Secret(outputs[key])


# Protobuf


def from_struct(struct: struct_pb2.Struct | None) -> Properties:
    """Read the properties of a request or a response."""
    return {} if struct is None else {key: from_proto(value) for key, value in struct.fields.items()}


def from_proto(value: struct_pb2.Value) -> Value:
    """Read one value."""
    match value.WhichOneof("kind"):
        case "bool_value":
            return value.bool_value
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() and abs(number) <= _LARGEST_EXACT_INTEGER else number
        case "string_value":
            return UNKNOWN if value.string_value in _UNKNOWN_MARKERS else value.string_value
        case "list_value":
            return [from_proto(item) for item in value.list_value.values]
        case "struct_value":
            return _from_signed({key: from_proto(item) for key, item in value.struct_value.fields.items()})
        case _:
            return None


def _from_signed(value: Properties) -> Value:
    match value.get(SIGNATURE):
        case None:
            return value
        case x if x == SECRET_SIGNATURE:
            return secret(value.get("value"))
        case x if x == OUTPUT_SIGNATURE:
            element = value.get("value", UNKNOWN)
            return secret(element) if value.get("secret") else element
        case _:
            return value


def to_struct(
    properties: Mapping[str, Value], *, secrets: bool, unknowns: bool = True, references: bool = True
) -> struct_pb2.Struct:
    """Write properties for a request or a response.

    `secrets`: keep secrets marked; otherwise only their elements are sent. `unknowns`: keep what is not
    known; otherwise it is left out. `references`: keep resource references; otherwise the id is sent.
    """
    struct = struct_pb2.Struct()
    for key, value in properties.items():
        if has_unknowns(value) and not unknowns:
            continue
        _write(struct.fields[key], value, secrets, references)
    return struct


def _write(target: struct_pb2.Value, value: Value, secrets: bool, references: bool) -> None:
    if value is None:
        target.null_value = struct_pb2.NULL_VALUE
    elif value is UNKNOWN:
        target.string_value = UNKNOWN_STRING
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int | float):
        target.number_value = value
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, Secret):
        if secrets:
            target.struct_value.fields[SIGNATURE].string_value = SECRET_SIGNATURE
            _write(target.struct_value.fields["value"], value.element, secrets, references)
        else:
            _write(target, value.element, secrets, references)
    elif isinstance(value, list):
        target.list_value.SetInParent()
        for item in value:
            _write(target.list_value.values.add(), item, secrets, references)
    elif value.get(SIGNATURE) == REFERENCE_SIGNATURE and not references:
        _write(target, value.get("id", value["urn"]), secrets, references)
    else:
        target.struct_value.SetInParent()
        for key, item in value.items():
            _write(target.struct_value.fields[key], item, secrets, references)


# State


def to_state(value: Value, encrypt: Callable[[str], str] | None) -> Value:
    """Write a value as the state has it; without `encrypt`, secrets are written in the clear, but marked."""
    if isinstance(value, Secret):
        text = json.dumps(to_state(value.element, None), separators=(",", ":"), ensure_ascii=False)
        content = {"plaintext": text} if encrypt is None else {"ciphertext": encrypt(text)}
        return {SIGNATURE: SECRET_SIGNATURE, **content}
    if isinstance(value, dict):
        return {key: to_state(value[key], encrypt) for key in sorted(value)}
    if isinstance(value, list):
        return [to_state(item, encrypt) for item in value]
    if value is UNKNOWN:
        return UNKNOWN_STRING
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"the number {value} cannot be kept in the state")
    return value


def from_state(value: Value, decrypt: Callable[[str], str]) -> Value:
    """Read a value of the state."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET_SIGNATURE:
            text = value["plaintext"] if "plaintext" in value else decrypt(value["ciphertext"])
            return secret(from_state(json.loads(text), decrypt))
        return {key: from_state(item, decrypt) for key, item in value.items()}
    if isinstance(value, list):
        return [from_state(item, decrypt) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) <= _LARGEST_EXACT_INTEGER:
        return int(value)
    return UNKNOWN if value == UNKNOWN_STRING else value


def masked(value: Value) -> Value:
    """A value for display and for the event log: secrets read `[secret]`, unknowns keep their marker."""
    if isinstance(value, Secret):
        return "[secret]"
    if value is UNKNOWN:
        return UNKNOWN_STRING
    if isinstance(value, dict):
        return {key: masked(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [masked(item) for item in value]
    return value
