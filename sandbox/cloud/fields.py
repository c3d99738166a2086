"""Partial responses: the `fields` parameter (https://cloud.google.com/storage/docs/json_api#partial-response)."""

from __future__ import annotations

import re
from typing import Any, Final

from sandbox.cloud.errors import invalid

_TOKEN: Final = re.compile(r"[^,()/]+|[,()/]")


def select(resource: dict[str, Any], fields: str) -> dict[str, Any]:
    """What `fields` (`kind,items(name,owner/id)`) leaves of `resource`; 400 if it doesn't parse."""
    tokens = _TOKEN.findall(fields.replace(" ", ""))
    tree = _parse(tokens, fields)
    if tokens:
        raise invalid(f"Invalid field selection {fields}")
    selected = _keep(resource, tree)
    assert isinstance(selected, dict)
    return selected


def _parse(tokens: list[str], fields: str) -> dict[str, Any]:
    """The selection up to its end or closing parenthesis, as a tree whose leaves are empty."""
    tree: dict[str, Any] = {}
    while True:
        branch = tree
        while True:
            if not tokens or tokens[0] in ",()/":
                raise invalid(f"Invalid field selection {fields}")
            branch = branch.setdefault(tokens.pop(0), {})
            if tokens[:1] != ["/"]:
                break
            tokens.pop(0)
        if tokens[:1] == ["("]:
            tokens.pop(0)
            branch.update(_parse(tokens, fields))
            if tokens[:1] != [")"]:
                raise invalid(f"Invalid field selection {fields}")
            tokens.pop(0)
        if tokens[:1] != [","]:
            return tree
        tokens.pop(0)


def _keep(value: Any, tree: dict[str, Any]) -> Any:
    if not tree or (set(tree) == {"*"} and not tree["*"]):
        return value
    if isinstance(value, list):
        return [_keep(item, tree) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _keep(item, tree.get(key, tree.get("*", {})))
        for key, item in value.items()
        if key in tree or "*" in tree
    }
