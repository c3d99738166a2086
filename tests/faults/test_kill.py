"""A sync that is killed: the next one ends in the same state, and repeats no finished transfer.

`DMZ_FAULT_SEED=N` repeats a run.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.faults.afterwards import everything_is_right, repeated, staged
from tests.faults.processes import killed
from tests.faults.proxy import Exchange
from tests.faults.reader import watching
from tests.faults.strangers import put_all
from tests.faults.syncing import run
from tests.faults.world import Inner, World

SEED = int(os.environ.get("DMZ_FAULT_SEED") or random.SystemRandom().randrange(2**32))
FEW, MANY = 5, 100


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


@pytest.mark.parametrize(
    "point", [pytest.param(i, marks=[] if i < FEW else pytest.mark.slow) for i in range(MANY)]
)
def test_at_a_random_moment(inner: Inner, moments: int, point: int, tmp_path: Path) -> None:
    chance = random.Random(f"{SEED}/{point}")
    print(f"DMZ_FAULT_SEED={SEED} point {point}, {moments} moments")
    proxy = inner.world.proxy
    # Half of the time somebody else was there before, and versions have to be cleared.
    strange = put_all(inner, tmp_path) if point % 2 else frozenset()
    with watching(inner, also=strange) as reader:
        for _ in range(chance.choice((1, 1, 2, 3))):
            left = chance.randrange(moments)

            def now(_: Exchange, __: str) -> bool:
                nonlocal left
                left -= 1
                return left < 0

            print(f"killed at: {killed(inner, now)}")
            assert reader.complaints == []
            inner.world.pass_time(inner.project)
        run(inner.later, inner.before)
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
