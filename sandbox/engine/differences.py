"""Differences between property values, by path (`packages["pypi/jax"].version`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sandbox.engine import values
from sandbox.engine.project import parse_path

_SIMPLE = re.compile(r"[A-Za-z_$][\w$]*")


def join_path(path: str, key: str | int) -> str:
    """The path of an element."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if not _SIMPLE.fullmatch(key):
        escaped = key.replace('"', '\\"')
        return f'{path}["{escaped}"]'
    return f"{path}.{key}" if path else key


def object_diff(old: Mapping[str, Any], new: Mapping[str, Any], path: str = "") -> dict[str, str]:
    """What was added, deleted or updated, down to the smallest elements."""
    result: dict[str, str] = {}
    for key in sorted(old.keys() | new.keys()):
        here = join_path(path, key)
        if key not in new:
            result[here] = "delete"
        elif key not in old:
            result[here] = "add"
        else:
            result.update(value_diff(old[key], new[key], here))
    return result


def value_diff(old: Any, new: Any, path: str) -> dict[str, str]:
    """The same for two values."""
    if values.equal(old, new):
        return {}
    if isinstance(old, dict) and isinstance(new, dict):
        return object_diff(old, new, path)
    if isinstance(old, list) and isinstance(new, list):
        result: dict[str, str] = {}
        for index in range(max(len(old), len(new))):
            here = join_path(path, index)
            if index >= len(new):
                result[here] = "delete"
            elif index >= len(old):
                result[here] = "add"
            else:
                result.update(value_diff(old[index], new[index], here))
        return result
    return {path: "update"}


def matches_path(pattern: str, path: str) -> bool:
    """Whether a path is at or below a pattern, in which `*` stands for any element."""
    wanted, steps = parse_path(pattern), parse_path(path)
    return len(wanted) <= len(steps) and all(
        want in ("*", step) for want, step in zip(wanted, steps, strict=False)
    )


_MISSING = object()


def reset_path(path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any] | None:
    """`new` with what is at the path taken from `old`; None if only one of them has the way there."""
    result = _reset(parse_path(path), dict(old), dict(new))
    return None if result is _MISSING else result


def _reset(steps: list[str | int], old: Any, new: Any) -> Any:
    if not steps:
        return old
    step, *rest = steps
    if step == "*":
        if isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys():
            items: dict[str, Any] = {key: _reset(rest, old[key], new[key]) for key in new}
            return _MISSING if _MISSING in items.values() else items
        if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
            elements = [_reset(rest, *pair) for pair in zip(old, new, strict=True)]
            return _MISSING if any(element is _MISSING for element in elements) else elements
        return _MISSING
    if isinstance(step, str) and isinstance(old, dict) and isinstance(new, dict):
        if not rest:
            kept = {key: value for key, value in new.items() if key != step}
            return {**kept, step: old[step]} if step in old else kept
        if step not in old or step not in new:
            return new if step not in old and step not in new else _MISSING
        inner = _reset(rest, old[step], new[step])
        return _MISSING if inner is _MISSING else {**new, step: inner}
    if isinstance(step, int) and isinstance(old, list) and isinstance(new, list):
        if not 0 <= step < min(len(old), len(new)):
            return _MISSING
        inner = _reset(rest, old[step], new[step])
        return _MISSING if inner is _MISSING else [*new[:step], inner, *new[step + 1 :]]
    return _MISSING
