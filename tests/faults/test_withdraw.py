"""`dmz withdraw --now` that is killed: what was to go does not come back, and run again all of it goes."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from dmz.errors import RefusedError
from tests.faults.afterwards import everything_is_right, objects
from tests.faults.chance import After, chance, points
from tests.faults.processes import killed, start
from tests.faults.proxy import Exchange
from tests.faults.reader import Reader, watching
from tests.faults.syncing import run
from tests.faults.withdrawing import withdraw_now
from tests.faults.world import Inner, World

WITHDRAWN = {"pypi/old": "old", "apt/tiny-old": "deb-old", "files/file-old.bin": "file-old"}


@pytest.fixture(scope="module")
def moments(world: World, model: Inner) -> int:
    """How many things happen when nobody kills it."""
    inner = world.inner(model)
    world.bucket(inner.project, f"{inner.project}-reports", {})
    world.proxy.forget()
    happened: list[Exchange] = []
    world.proxy.watch = lambda exchange, _: happened.append(exchange)
    process = start(inner, withdraw_now, "pypi/old")
    process.join()
    assert process.exitcode == 0
    world.proxy.forget()
    return len(happened)


def held(inner: Inner) -> frozenset[str]:
    """What can be read."""
    reader = Reader(inner)
    try:
        return reader.look()
    finally:
        reader.close()


@pytest.mark.parametrize("point", points(1, 40))
def test_killed_at_a_random_moment(inner: Inner, moments: int, point: int) -> None:
    random, world = chance(point), inner.world
    text = random.choice(list(WITHDRAWN))
    (meant,) = (one.sha256 for one in world.goods.of(WITHDRAWN[text]))
    world.bucket(inner.project, f"{inner.project}-reports", {})
    with watching(inner, strict=False) as reader:  # a release that names it can't be installed any more
        where = killed(inner, After(random.randrange(moments)), withdraw_now, text)
        print(f"{text}, killed at: {where}")
        barred = [name for name in objects(inner, inner.bucket) if name.startswith("withdrawn/")]
        gone = inner.before - held(inner)
        assert gone <= {meant}
        assert barred or not gone, "it went, and a release that names it would bring it back"
        world.pass_time(inner.project)
        with pytest.raises(RefusedError, match="CVE-2026-1") if barred else nullcontext():
            run(inner.earlier, inner.before)
        again = start(inner, withdraw_now, text)
        again.join()
        assert again.exitcode == 0
        assert held(inner) == inner.before - {meant}
        with pytest.raises(RefusedError, match="CVE-2026-1"):
            run(inner.earlier, inner.before)
        run(inner.later, inner.before)
    assert reader.complaints == []
    everything_is_right(inner)
