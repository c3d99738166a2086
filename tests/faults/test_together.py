"""Several syncs of one inner side at once, and syncs in shards."""

from __future__ import annotations

import signal
import threading

import pytest

from tests.faults.afterwards import everything_is_right, repeated
from tests.faults.chance import After, chance, points
from tests.faults.faults import FAULTS
from tests.faults.processes import REFUSED, start
from tests.faults.proxy import Exchange
from tests.faults.reader import watching
from tests.faults.syncing import run, shard
from tests.faults.test_matrix import USUAL, befalling
from tests.faults.world import Inner


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


GOT_OVER = [
    (step, fault)
    for step in USUAL
    for fault in FAULTS
    if fault.survived and fault.fits(step) and not fault.hangs and fault.name != "lags"
]


@pytest.mark.parametrize("point", points(1, 40))
def test_two_at_once_where_much_goes_wrong(inner: Inner, point: int) -> None:
    """Two syncs, or a sync and a shard, ten faults somewhere between them, and one of them may be killed."""
    random, proxy = chance(point), inner.world.proxy
    for step, fault in random.sample(GOT_OVER, 10):
        befalling(inner, step, fault).skip = random.randrange(3)
    other = random.choice(((run,), (run,), (shard, 1, 2)))
    victim = random.choice((None, 0, 1))
    now, started = After(random.randrange(400)), threading.Event()

    def watch(exchange: Exchange, what: str) -> None:
        if victim is not None and proxy.watch is watch and now(exchange, what):
            proxy.watch = None
            started.wait()
            both[victim].kill()

    proxy.watch = watch
    with watching(inner) as reader:
        both = [start(inner), start(inner, *other)]
        started.set()
        if victim is not None:
            both[victim].join()
            if both[victim].exitcode == -signal.SIGKILL:
                proxy.wait()
                inner.world.pass_time(inner.project)
        for process in both:
            process.join()
        proxy.watch = None
        codes = [process.exitcode for process in both]
        print(f"{other[0].__name__} beside it: {codes}")
        assert {code for index, code in enumerate(codes) if index != victim} <= {0, REFUSED}
        proxy.injections.clear()
        inner.world.pass_time(inner.project)
        if codes != [0, 0]:
            run(inner.later, inner.before)
        reader.catch_up()
    assert reader.complaints == []
    assert repeated(proxy.exchanges) == []
    everything_is_right(inner)
