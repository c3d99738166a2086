"""What was wrong with an input, as one line for a person, whatever the input holds."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # what only shows a line of text does without it, and starts sooner
    from pydantic import ValidationError

_LIMIT: Final = 300
"""Characters that a quoted piece of foreign text may take."""


def printable(text: str, limit: int = _LIMIT) -> str:
    """Foreign text that can be shown: one line, no control characters, not longer than `limit` characters."""
    line = " ".join(text.split())
    if not line.isprintable():
        line = "".join(character if character.isprintable() else "?" for character in line)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def problem(error: ValidationError, known: Sequence[str] = ()) -> str:
    """The first finding of a validation: which key and what to do.

    Args:
        known: the keys that exist at the top level, to suggest one for a key that does not.
    """
    # A misspelt key is missing as well: it is the unknown one that tells what happened.
    found = sorted(error.errors(include_url=False), key=lambda each: each["type"] != "extra_forbidden")
    first, more = found[0], len(found) - 1
    key = printable(".".join(str(part) for part in first["loc"])) or "the document"
    match first["type"]:
        case "extra_forbidden":
            near = get_close_matches(str(first["loc"][-1]), known, 1)
            text = f"unknown key '{key}'; " + (
                f"did you mean '{near[0]}'?"
                if near
                else f"remove it (known keys: {', '.join(sorted(known))})"
                if known
                else "remove it"
            )
        case "missing":
            text = f"'{key}' is missing; add it"
        case "value_error":
            text = f"{key}: {printable(first['msg'].removeprefix('Value error, '))}"
        case _:
            text = f"{key}: {printable(first['msg'])}"
    return text + (f" (and {more} more)" if more else "")
