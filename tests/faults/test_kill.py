"""A sync, or a part of one, that is killed: the next one ends in the same state, and repeats no finished
transfer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.afterwards import everything_is_right, repeated, staged
from tests.faults.chance import After, chance, points
from tests.faults.processes import killed, start
from tests.faults.reader import watching
from tests.faults.strangers import put_all
from tests.faults.syncing import run, shard
from tests.faults.world import Inner, World


@pytest.fixture(scope="module")
def moments(world: World, model: Inner) -> int:
    """How many things happen in a sync that nobody kills."""
    inner = world.inner(model)
    world.proxy.forget()
    happened: list[str] = []
    world.proxy.watch = lambda _, what: happened.append(what)
    run(inner.later, inner.before)
    world.proxy.forget()
    return len(happened)


@pytest.mark.parametrize("point", points(5, 100))
def test_at_a_random_moment(inner: Inner, moments: int, point: int, tmp_path: Path) -> None:
    random, proxy = chance(point), inner.world.proxy
    # Half of the time somebody else was there before, and versions have to be cleared.
    strange = put_all(inner, tmp_path) if point % 2 else frozenset()
    with watching(inner, also=strange) as reader:
        for _ in range(random.choice((1, 1, 2, 3))):
            print(f"killed at: {killed(inner, After(random.randrange(moments)))}")
            reader.catch_up()
            assert reader.complaints == []
            inner.world.pass_time(inner.project)
        run(inner.later, inner.before)
    assert reader.complaints == []
    assert repeated(proxy.exchanges) == []
    everything_is_right(inner)


@pytest.mark.parametrize("point", points(1, 40))
def test_a_shard_at_a_random_moment(inner: Inner, moments: int, point: int) -> None:
    """Run again it does what is left; what is readable is right at any time, and all that the sync lacked."""
    random, proxy, count = chance(point), inner.world.proxy, 2
    with watching(inner) as reader:
        for index in random.choices((1, 2), k=random.choice((1, 1, 2, 3))):
            where = killed(inner, After(random.randrange(moments // 2)), shard, index, count)
            print(f"shard {index} killed at: {where}")
            inner.world.pass_time(inner.project)
        parts = [start(inner, shard, index, count) for index in (1, 2)]
        for process in parts:
            process.join()
        assert [process.exitcode for process in parts] == [0, 0]
        reader.catch_up()
        assert reader.complaints == []
        done = len(proxy.exchanges)
        run(inner.later, inner.before)
    assert [str(each.step) for each in proxy.exchanges[done:] if "artifact" in each.step.tags] == []
    assert reader.complaints == []
    assert repeated(proxy.exchanges) == []
    everything_is_right(inner)


def test_a_release_that_is_given_up(inner: Inner) -> None:
    """What a sync staged and copied that was killed goes, when the release that it was for never comes."""
    with watching(inner) as reader:
        where = killed(inner, lambda exchange, what: what == "asked" and exchange.step.name == "import debs")
        assert where == "import debs, asked"
        inner.world.pass_time(inner.project)
        run(inner.earlier, inner.before)
        assert staged(inner) == []
        assert reader.look() == inner.before
    assert reader.complaints == []
    run(inner.later, inner.before)
    everything_is_right(inner)
