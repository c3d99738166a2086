"""The whole sync, as the provider runs it, but with little patience."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, Final

from dmz.promotion.copying import Limits
from dmz.promotion.shards import Shard
from dmz.registries.retry import Retry
from dmz.sync.inputs import Inputs
from dmz.sync.shard import promote
from dmz.sync.work import sync

FAST: Final = Retry(attempts=5, first=0.001, most=0.01, patience=3.0)
LIMITS: Final = Limits(attempts=5, first_delay=0.001, longest_delay=0.01, listing=3.0)
PATIENT: Final = 60.0
"""Seconds that a sync waits for an answer, unless a test withholds one."""


def run(inputs: Inputs, before: frozenset[str], *, answer: float = PATIENT) -> dict[str, Any]:
    """Sync; `answer`: seconds after which it no longer waits for one."""
    return asyncio.run(sync(inputs, before, adopt=True, limits=LIMITS, retry=replace(FAST, answer=answer)))


def shard(inputs: Inputs, before: frozenset[str], index: int, count: int) -> None:
    """One shard of the copying."""
    part, limits = Shard(index, count), LIMITS
    asyncio.run(promote(inputs, before, part, adopt=True, tell=lambda _: None, limits=limits, retry=FAST))
