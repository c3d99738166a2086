"""Chance that can be had again: `DMZ_FAULT_SEED=N` repeats a run."""

from __future__ import annotations

import os
import random
from typing import Any, Final

import pytest

from tests.faults.proxy import Exchange

SEED: Final = int(os.environ.get("DMZ_FAULT_SEED") or random.SystemRandom().randrange(2**32))


def points(few: int, many: int) -> list[Any]:
    """Numbers of the random points of a test: the first are in the usual run, the others slow."""
    return [pytest.param(i, marks=[] if i < few else pytest.mark.slow) for i in range(many)]


def chance(point: int) -> random.Random:
    """What is random at a point; prints how to have it again."""
    print(f"DMZ_FAULT_SEED={SEED} point {point}")
    return random.Random(f"{SEED}/{point}")


class After:
    """Says when so many things have happened, for `killed`."""

    def __init__(self, moments: int) -> None:
        self._left = moments

    def __call__(self, _: Exchange, __: str) -> bool:
        self._left -= 1
        return self._left < 0
