"""Which artifact each worker of a copy takes next."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from dmz.artifact import Artifact

_ONE_IN: Final = 4
"""Of so many workers one begins with the largest."""


def lanes(artifacts: Iterable[Artifact], count: int) -> list[Iterator[Artifact]]:
    """What `count` workers take, each artifact by exactly one of them: whoever asks first.

    One worker in four takes the largest that is left, the others the smallest. What takes longest must not
    be what starts last; but if all began with the largest, these would wait for bandwidth while nobody used
    the quota of writes, and then the small ones for the quota while nobody used the bandwidth. A million
    artifacts would take 1.4 times as long (simulated, as `bench/schedule.py` does).
    """
    waiting = deque(sorted(artifacts, key=lambda each: (-each.size, each)))

    def largest() -> Iterator[Artifact]:
        while waiting:
            yield waiting.popleft()

    def smallest() -> Iterator[Artifact]:
        while waiting:
            yield waiting.pop()

    return [largest() if number % _ONE_IN == 0 else smallest() for number in range(count)]
