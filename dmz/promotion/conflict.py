"""The shortest explanation of why nothing fits: a part of the demands that cannot be met together.

A part is minimal when leaving out any one of its demands would let the others be met. It is found by asking
the resolver, with the divisions of QuickXplain (U. Junker, "QUICKXPLAIN: Preferred Explanations and
Relaxations for Over-Constrained Problems", AAAI 2004): some k·log(n/k) questions for k of n demands.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import chain, combinations
from typing import TypeVar

Demand = TypeVar("Demand")


async def minimal(
    demands: Sequence[Demand], fits: Callable[[Sequence[Demand]], Awaitable[bool]]
) -> list[Demand]:
    """A minimal part of demands that do not fit, in their order; demands that come first are preferred.

    Args:
        demands: together they do not fit.
        fits: whether a part of them can be met; what fits, fits with less.
    """
    return await _explain([], demands, fits, changed=False)


async def _explain(
    given: Sequence[Demand],
    demands: Sequence[Demand],
    fits: Callable[[Sequence[Demand]], Awaitable[bool]],
    *,
    changed: bool,
) -> list[Demand]:
    """What of `demands` a conflict with `given` needs; `changed`: nobody knows whether `given` alone fits."""
    if changed and not await fits(given):
        return []
    if len(demands) == 1:
        return [*demands]
    half = (len(demands) + 1) // 2
    first, second = demands[:half], demands[half:]
    later = await _explain([*given, *first], second, fits, changed=True) if second else []
    return [*await _explain([*given, *later], first, fits, changed=bool(later)), *later]


def smallest_cover(conflicts: Sequence[frozenset[str]]) -> frozenset[str]:
    """A smallest set that has a member of every conflict, the first in alphabetical order; exact.

    Conflicts are few and small here: it tries all sets of one size after the other.
    """
    names = sorted(set(chain.from_iterable(conflicts)))
    for size in range(len(conflicts) + 1):
        for chosen in combinations(names, size):
            if all(conflict & set(chosen) for conflict in conflicts):
                return frozenset(chosen)
    raise ValueError("a conflict without members cannot be covered")
