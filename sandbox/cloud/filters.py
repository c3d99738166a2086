"""The `filter` of list methods, as far as comparisons of fields joined by AND.

See https://cloud.google.com/compute/docs/reference/rest/v1/networks/list (filter) and https://google.aip.dev/160.
"""

from __future__ import annotations

import re
from typing import Any, Final

from sandbox.cloud.errors import invalid, unimplemented

_COMPARISON: Final = re.compile(
    r"\s*([\w.]+)\s*(!=|=|:|\s+eq\s+|\s+ne\s+)\s*(\"[^\"]*\"|'[^']*'|[^\s()]+)\s*"
)


def matches(expression: str, resource: dict[str, Any]) -> bool:
    """Whether `resource` passes the filter; 400 if it doesn't parse, 501 for what the sandbox has not."""
    if re.search(r"\b(OR|NOT)\b", re.sub(r"\"[^\"]*\"", "", expression)):
        raise unimplemented(f"The sandbox's filters have comparisons and AND only: {expression}")
    return all(_holds(part, resource) for part in re.split(r"\bAND\b", expression))


def _holds(part: str, resource: dict[str, Any]) -> bool:
    text = part.strip()
    while text.startswith("(") and text.endswith(")"):
        text = text[1:-1].strip()
    found = _COMPARISON.fullmatch(text)
    if found is None:
        raise invalid(f"Invalid value for field 'filter': '{part.strip()}'. Invalid list filter expression.")
    field, comparison, wanted = found[1], found[2].strip(), found[3].strip("\"'")
    value: Any = resource
    for step in field.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    equal = _plain(value) == _plain(wanted)
    return equal if comparison in {"=", ":", "eq"} else not equal


def _plain(value: Any) -> str:
    """A value as text; of a resource's address, only what identifies it: the part from `projects/` on."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    found = re.search(r"projects/[^/]+/.+$", text)
    return found.group() if found and "://" in text else text
