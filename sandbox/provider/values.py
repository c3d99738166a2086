"""Property values as Pulumi sends them, to and from plain Python.

The wire form is a protobuf ``Struct`` in which unknown values and secrets are marked by fixed signatures
(pulumi/pulumi, sdk/go/common/resource/plugin/rpc.go). Here an unknown is :data:`UNKNOWN`, and which values
are secret is kept beside the plain values, as paths.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import struct_pb2

from sandbox.provider.errors import ProviderError

UNKNOWN_SIGNATURE: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SPECIAL_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a marker, not a password
SPECIAL_NAMES: Final = {
    "c44067f5952c0a294b673a41bacd8c17": "an asset",
    "0def7320c3a5731c473e5ecbe6d01bc7": "an archive",
    "5cf8f73096256a8f31e491e813e4eb8e": "a resource reference",
    "d0e6a833031e9bbcd3f4e8bde6ca49a4": "an output value",
}

Props = dict[str, Any]
"""Property values by name: strings, numbers, booleans, lists, dictionaries and :data:`UNKNOWN`."""
Path = tuple[str, ...]


class Unknown:
    """A value that only an update will tell."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True)
class Secrets:
    """Which values are secret: paths of keys from the top. A path stops at a list, whose order may change."""

    paths: frozenset[Path] = frozenset()

    def __or__(self, other: Secrets) -> Secrets:
        return Secrets(self.paths | other.paths)

    def below(self, key: str) -> Secrets:
        """The paths under one key, seen from there."""
        return Secrets(frozenset(path[1:] for path in self.paths if path[:1] == (key,)))

    @property
    def here(self) -> bool:
        """Whether the value itself is secret."""
        return () in self.paths


def has_unknown(value: object) -> bool:
    """Whether a value is unknown or holds one that is."""
    if isinstance(value, dict):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return isinstance(value, Unknown)


def decode(struct: struct_pb2.Struct) -> tuple[Props, Secrets]:
    """Plain values and the paths of the secret ones."""
    found: set[Path] = set()
    props = _decode_map(struct, (), found, listed=False)
    return props, Secrets(frozenset(found))


def _decode_map(struct: struct_pb2.Struct, path: Path, found: set[Path], *, listed: bool) -> Props:
    return {
        key: _decode(value, path if listed else (*path, key), found, listed=listed)
        for key, value in struct.fields.items()
    }


def _decode(value: struct_pb2.Value, path: Path, found: set[Path], *, listed: bool) -> Any:
    match value.WhichOneof("kind"):
        case "string_value":
            return UNKNOWN if value.string_value == UNKNOWN_SIGNATURE else value.string_value
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "bool_value":
            return value.bool_value
        case "list_value":
            return [_decode(item, path, found, listed=True) for item in value.list_value.values]
        case "struct_value":
            fields = value.struct_value.fields
            if SPECIAL_SIGNATURE in fields:
                signature = fields[SPECIAL_SIGNATURE].string_value
                if signature != SECRET:
                    name = SPECIAL_NAMES.get(signature, "a value of an unknown kind")
                    raise ProviderError(f"property '{'.'.join(path)}' is {name}: not supported")
                found.add(path)
                return _decode(fields["value"], path, found, listed=listed)
            return _decode_map(value.struct_value, path, found, listed=listed)
        case _:
            return None


def encode(props: Mapping[str, Any], secrets: Secrets | None = None) -> struct_pb2.Struct:
    """The wire form, with secrets marked; values that are None are left out."""
    struct = struct_pb2.Struct()
    for key, value in props.items():
        if value is not None:
            struct.fields[key].CopyFrom(_encode(value, (secrets or Secrets()).below(key)))
    return struct


def _encode(value: Any, secrets: Secrets) -> struct_pb2.Value:
    if secrets.here:
        inner = struct_pb2.Struct()
        inner.fields[SPECIAL_SIGNATURE].string_value = SECRET
        inner.fields["value"].CopyFrom(_encode(value, Secrets()))
        return struct_pb2.Value(struct_value=inner)
    if isinstance(value, Unknown):
        return struct_pb2.Value(string_value=UNKNOWN_SIGNATURE)
    if isinstance(value, bool):
        return struct_pb2.Value(bool_value=value)
    if isinstance(value, int | float):
        return struct_pb2.Value(number_value=value)
    if isinstance(value, str):
        return struct_pb2.Value(string_value=value)
    if isinstance(value, dict):
        return struct_pb2.Value(struct_value=encode(value, secrets))
    if isinstance(value, Iterable):
        items = [_encode(item, Secrets()) for item in value]
        return struct_pb2.Value(list_value=struct_pb2.ListValue(values=items))
    return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
