"""How old advisories are, in words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

_UNITS: Final = ((86400, "day"), (3600, "hour"), (60, "minute"))


def age(as_of: datetime, now: datetime) -> str:
    """A moment and how long ago it was: `as of 2026-11-22 10:00 UTC, 3 hours ago`."""
    return f"as of {as_of.astimezone(UTC):%Y-%m-%d %H:%M} UTC, {_ago((now - as_of).total_seconds())}"


def _ago(seconds: float) -> str:
    if seconds < 0:
        return "in the future: check this machine's clock"
    for length, unit in _UNITS:
        if count := int(seconds // length):
            return f"{count:,} {unit}{'s' if count > 1 else ''} ago"
    return "just now"
