"""How far a copy is, how fast it goes, and how long it will take."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

_WINDOW: Final = 10.0
"""Seconds over which the rate is taken: long enough to be steady, short enough to be true."""
_EVERY: Final = 0.25
"""Seconds between two readings that are kept."""


class Progress:
    """Counts what is copied, byte by byte; transfers do so from their threads."""

    def __init__(self, files: int, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`files` and `size` (bytes) are what there is to copy."""
        self.files = files
        self.size = size
        self.done = 0
        """Files in their place."""
        self.bytes = 0
        """Sent so far; not more than `size`, whatever has to be sent twice."""
        self._clock = clock
        self._lock = threading.Lock()
        self._readings: deque[tuple[float, int]] = deque([(clock(), 0)])

    def sent(self, count: int) -> None:
        """So many more bytes went out; fewer than none when a transfer broke off and begins again."""
        with self._lock:
            self.bytes += count
            now = self._clock()
            if now - self._readings[-1][0] >= _EVERY:
                self._readings.append((now, self.bytes))
                while now - self._readings[0][0] > _WINDOW and len(self._readings) > 2:
                    self._readings.popleft()

    def finished(self) -> None:
        """One more file is in its place."""
        self.done += 1

    @property
    def rate(self) -> float:
        """Bytes a second, over the last seconds."""
        then, before = self._readings[0]
        elapsed = self._clock() - then
        return max(0.0, (self.bytes - before) / elapsed) if elapsed > 0 else 0.0

    @property
    def remaining(self) -> float | None:
        """Seconds until the end at this rate; None while nothing moves."""
        rate = self.rate
        return (self.size - self.bytes) / rate if rate > 0 else None

    def __str__(self) -> str:
        text = f"{self.done} of {self.files} files copied, {_mib(self.bytes)} of {_mib(self.size)} MiB"
        if (remaining := self.remaining) is not None and self.bytes < self.size:
            text += f" at {_mib(self.rate)} MiB/s, {duration(remaining)} left"
        return text


def _mib(size: float) -> str:
    mib = size / (1 << 20)
    return f"{mib:.0f}" if mib >= 10 else f"{mib:.1f}"


def duration(seconds: float) -> str:
    """Seconds as people say them: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
