from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.afterwards import unknown
from tests.faults.processes import killed
from tests.faults.proxy import Proxy
from tests.faults.syncing import run
from tests.faults.world import Inner, World, serving


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serving(tmp_path_factory.mktemp("faults")) as made:
        yield made


@pytest.fixture(scope="module")
def model(world: World) -> Inner:
    """An inner side that holds the earlier release, and the lease and journal of a sync that was killed."""
    made = world.inner()
    run(made.earlier, frozenset())
    killed(made, lambda exchange, what: what == "done" and "-began.json" in exchange.path)
    made.rearrange()
    return made


@pytest.fixture
def inner(world: World, model: Inner) -> Iterator[Inner]:
    """A fresh inner side as the model is: with the earlier release, and traces of a sync that was killed."""
    made = world.inner(model)
    world.proxy.forget()
    yield made
    assert unknown(world.proxy.exchanges) == [], "a new kind of request: give it a row in steps.py"
    world.proxy.forget()


@pytest.fixture
def line(inner: Inner) -> Iterator[Proxy]:
    """Another way to the cloud, for one of two who work at the same time."""
    made = Proxy(dict(inner.world.box.cloud.endpoints))
    yield made
    made.close()
