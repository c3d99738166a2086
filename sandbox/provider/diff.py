"""What differs between the inputs a resource has and those it should have, property by property."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sandbox.provider.fields import Field, Fields, Kind, is_unsaid, same, same_item, unmatched

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Change:
    """One property that differs."""

    path: Path
    kind: Literal["add", "update", "delete"]
    replace: bool
    """Whether the resource must be replaced for it."""

    @property
    def field(self) -> str:
        """The resource's property that the path begins with."""
        return str(self.path[0])

    def __str__(self) -> str:
        """The path as Pulumi writes it: ``metadata["startup-script"]``, ``rrdatas[0]``."""
        text = ""
        for key in self.path:
            if isinstance(key, int):
                text += f"[{key}]"
            elif re.fullmatch(r"[A-Za-z_$][\w$]*", key):
                text += f".{key}" if text else key
            else:
                escaped = key.replace("\\", "\\\\").replace('"', '\\"')
                text += f'["{escaped}"]'
        return text


def changes(
    fields: Fields, old: Mapping[str, Any], new: Mapping[str, Any], ignore: Iterable[str] = ()
) -> list[Change]:
    """All differences that matter, without those at or below the paths to ignore."""
    ignored = [parse_path(text) for text in ignore]
    found = (
        change
        for field in fields
        if field.input
        for change in _field(field, old.get(field.name), new.get(field.name), (field.name,), False)
    )
    return [change for change in found if not any(_covers(path, change.path) for path in ignored)]


def _field(field: Field, old: Any, new: Any, path: Path, inherited: bool) -> Iterator[Change]:
    if same(field, old, new):
        return
    rule = inherited if field.replace is None else field.replace
    replace = rule(old, new) if callable(rule) else rule
    if is_unsaid(old) or is_unsaid(new):
        yield _change(path, None if is_unsaid(old) else old, None if is_unsaid(new) else new, replace)
        return
    match field.kind:
        case Kind.OBJECT if isinstance(old, dict) and isinstance(new, dict):
            for sub in field.fields:
                yield from _field(sub, old.get(sub.name), new.get(sub.name), (*path, sub.name), replace)
        case Kind.MAP if isinstance(old, dict) and isinstance(new, dict):
            for key in sorted(old.keys() | new.keys()):
                if old.get(key) != new.get(key):
                    yield _change((*path, key), old.get(key), new.get(key), replace)
        case Kind.SET | Kind.OBJECT_SET if isinstance(old, list) and isinstance(new, list):
            removed, added = unmatched(field, old, new)
            both = set(removed) & set(added)
            for index in sorted(set(removed) | set(added)):
                kind: Literal["add", "update", "delete"] = "delete" if index in removed else "add"
                yield Change((*path, index), "update" if index in both else kind, replace)
        case Kind.LIST | Kind.OBJECTS if isinstance(old, list) and isinstance(new, list):
            for index in range(max(len(old), len(new))):
                before, after = _at(old, index), _at(new, index)
                if isinstance(before, dict) and isinstance(after, dict):
                    for sub in field.fields:
                        name = (*path, index, sub.name)
                        yield from _field(sub, before.get(sub.name), after.get(sub.name), name, replace)
                elif before is None or after is None or not same_item(field, before, after):
                    yield _change((*path, index), before, after, replace)
        case _:
            yield _change(path, old, new, replace)


def _change(path: Path, old: Any, new: Any, replace: bool) -> Change:
    return Change(path, "add" if old is None else "delete" if new is None else "update", replace)


def _at(items: list[Any], index: int) -> Any:
    return items[index] if index < len(items) else None


def parse_path(text: str) -> Path:
    """A property path as Pulumi writes it: names, ``[index]``, ``["name"]`` and ``*`` for any."""
    parts = re.findall(r'\["((?:[^"\\]|\\.)*)"\]|\[(\d+|\*)\]|([^.\[\]]+)', text)
    return tuple(
        int(index) if index.isdigit() else re.sub(r"\\(.)", r"\1", quoted) or index or name
        for quoted, index, name in parts
    )


def _covers(ignored: Path, path: Path) -> bool:
    return len(ignored) <= len(path) and all(a in ("*", b) for a, b in zip(ignored, path, strict=False))
