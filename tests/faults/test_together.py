"""Several syncs of one inner side at once, and syncs in shards."""

from __future__ import annotations

import asyncio

from dmz.promotion.shards import Shard
from dmz.sync.inputs import Inputs
from dmz.sync.shard import promote
from tests.faults.afterwards import everything_is_right, repeated
from tests.faults.processes import REFUSED, start
from tests.faults.reader import watching
from tests.faults.syncing import FAST, LIMITS, run
from tests.faults.world import Inner


def shard(inputs: Inputs, before: frozenset[str], index: int, count: int) -> None:
    """One shard of the copying."""
    asyncio.run(
        promote(
            inputs, before, Shard(index, count), adopt=True, tell=lambda _: None, limits=LIMITS, retry=FAST
        )
    )


def test_two_syncs(inner: Inner) -> None:
    """One of them waits or refuses; neither harms the other."""
    with watching(inner) as reader:
        both = [start(inner), start(inner)]
        for process in both:
            process.join()
        codes = sorted(process.exitcode or 0 for process in both)
        assert codes in ([0, 0], [0, REFUSED])
    assert reader.complaints == []
    assert repeated(inner.world.proxy.exchanges) == []
    everything_is_right(inner)


def test_shards(inner: Inner) -> None:
    """What shards copied is not copied again, and nothing is readable that the sync would not make so."""
    proxy = inner.world.proxy
    with watching(inner) as reader:
        parts = [start(inner, shard, index, 3) for index in (1, 2, 3)]
        for process in parts:
            process.join()
        assert [process.exitcode for process in parts] == [0, 0, 0]
        done = len(proxy.exchanges)
        assert any("artifact" in each.step.tags and each.done for each in proxy.exchanges)
        run(inner.later, inner.before)
    assert [str(each.step) for each in proxy.exchanges[done:] if "artifact" in each.step.tags] == []
    assert reader.complaints == []
    assert repeated(proxy.exchanges) == []
    everything_is_right(inner)
