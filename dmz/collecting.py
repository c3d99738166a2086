"""Python's collection of cycles, where it would only be in the way."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final

_RARELY: Final = 50_000
"""Objects that come before it looks for cycles among the young ones; Python begins with 700."""


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the collection of cycles: here are none, and looking for some takes longer than parsing."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@cache
def settle() -> None:
    """What was loaded until now stays: no collection has to look at it again, which stops every transfer."""
    gc.freeze()


def collect_rarely() -> None:
    """Collect as befits a program that ends soon: seldom, and not when it ends and all goes anyway."""
    gc.set_threshold(_RARELY)
    atexit.register(gc.freeze)
