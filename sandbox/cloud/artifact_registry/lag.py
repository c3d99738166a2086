"""An answer that lags behind: what was true before a change is told for some time after it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class _Old(Generic[T]):
    """What is told still."""

    state: T
    since: float
    requests: int = 0


class Lag(Generic[T]):
    """States that are told although they have changed, by repository."""

    def __init__(self, requests: int, seconds: float) -> None:
        """Each is told to `requests` requests and for `seconds`, counted from the first change to it."""
        self._requests = requests
        self._seconds = seconds
        self._old: dict[str, _Old[T]] = {}

    def before_change(self, name: str, state: Callable[[], T]) -> None:
        """Keep what `name` is now, unless an older state of it is being told."""
        if (self._requests or self._seconds) and name not in self._old:
            self._old[name] = _Old(state(), time.monotonic())

    def told(self, name: str, *, counted: bool = True) -> T | None:
        """What is to be told instead of the present state of `name`, if anything.

        Only a request that is `counted` ends a lag, so that what belongs to one answer can be had unchanged.
        """
        old = self._old.get(name)
        if old is None:
            return None
        if counted:
            old.requests += 1
            if old.requests > self._requests and time.monotonic() - old.since >= self._seconds:
                del self._old[name]
                return None
        return old.state

    def forget(self, name: str) -> None:
        """Tell nothing old of `name` any more: it is gone."""
        self._old.pop(name, None)
