"""Lines on the console, with the time."""

from __future__ import annotations

import sys
import time


def say(message: str) -> None:
    """Write one line to the machine's console."""
    print(time.strftime("%H:%M:%SZ", time.gmtime()), "dmz:", message, file=sys.stderr, flush=True)


def stamp() -> str:
    """The present time in UTC, as it stands in object names (sorts by time)."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())


def now() -> str:
    """The present time in UTC, RFC 3339."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
