"""The archive is pruned while a sync needs what is in it: neither waits for ever, and nothing needed goes."""

from __future__ import annotations

import asyncio
import shutil
import threading
from pathlib import Path

import pytest
from aiohttp import web

from dmz import archive as archives
from tests.faults.afterwards import everything_is_right, objects
from tests.faults.chance import chance, points
from tests.faults.processes import apart
from tests.faults.proxy import Arrived, Exchange, FaultAction, Proxy, pass_on
from tests.faults.pruning import prune_all
from tests.faults.reader import watching
from tests.faults.steps import named
from tests.faults.syncing import run
from tests.faults.world import Inner

ROOT = Path(__file__).parents[2]
PAUSED = (
    "find records",
    "write record",
    "find prunings",
    "list archive",
    "read archive",
    "keep in archive",
    "import debs",
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """One that keeps a single release of each stack."""
    for name in ("Pulumi.yaml", "Pulumi.outer.yaml", "Pulumi.inner.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "workloads", tmp_path / "workloads")
    with (tmp_path / "Pulumi.outer.yaml").open("a") as out:
        out.write("  dmz:keptReleases: 1\n")
    return tmp_path


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sync that looks often whether the archive is still being pruned."""
    monkeypatch.setattr(archives, "_AGAIN", 0.05)


def free(inner: Inner) -> str:
    """An object that the sync needs, and no release that was announced has."""
    (wheel,) = inner.world.goods.of("moved-2")
    return f"sha256/{wheel.sha256}"


def until(event: threading.Event) -> FaultAction:
    """Let a request go on when something has happened."""

    async def wait(arrived: Arrived) -> web.StreamResponse:
        while not event.is_set():  # noqa: ASYNC110 - it is set by another thread
            await asyncio.sleep(0.01)
        return await pass_on(arrived)

    return wait


@pytest.mark.parametrize(
    "step",
    [pytest.param(s, marks=[] if s in {"list archive"} else pytest.mark.slow) for s in PAUSED],
)
def test_pruned_in_the_middle_of_a_sync(inner: Inner, line: Proxy, checkout: Path, step: str) -> None:
    """All of it while the sync waits for one answer."""
    archive, pruned = f"{inner.project}-archive", threading.Event()
    assert free(inner) in objects(inner, archive)
    injected = inner.world.proxy.inject(named(step), "paused", until(pruned))
    asked = threading.Event()
    inner.world.proxy.watch = lambda exchange, _: asked.set() if exchange.step.name == step else None

    def prune() -> None:
        try:
            assert asked.wait(30)
            process = apart(inner.world.environment(line), prune_all, checkout, archive)
            process.join()
            codes.append(process.exitcode)
        finally:
            pruned.set()

    codes: list[int | None] = []
    thread = threading.Thread(target=prune)
    with watching(inner) as reader:
        thread.start()
        try:
            run(inner.later, inner.before)
        finally:
            asked.set()
            thread.join()
    assert injected.hit
    assert codes == [0]
    assert reader.complaints == []
    everything_is_right(inner)


@pytest.mark.parametrize("point", points(1, 25))
def test_synced_in_the_middle_of_pruning(inner: Inner, line: Proxy, checkout: Path, point: int) -> None:
    """The pruning is held at one of its requests until the sync waits for it, or is at its end; or killed."""
    random, proxy = chance(point), inner.world.proxy
    at, kill = random.randrange(22), random.random() < 0.3
    go_on, held = threading.Event(), threading.Event()

    def watch(exchange: Exchange, what: str) -> None:
        if what == "asked" and exchange.number == at:
            line.usual = until(go_on)
            held.set()

    def waited(exchange: Exchange, what: str) -> None:
        looks.append(what) if exchange.step.name == "find prunings" and what == "done" else None
        if len(looks) > 2:
            go_on.set()

    looks: list[str] = []
    line.watch = watch
    process = apart(inner.world.environment(line), prune_all, checkout, f"{inner.project}-archive")
    while not held.wait(0.01) and process.is_alive():
        pass
    print(f"held at request {at}: {held.is_set()}, killed: {kill}")
    if kill:
        process.kill()
        process.join()
        go_on.set()
        line.wait()
        inner.world.pass_time(inner.project)
    proxy.watch = waited
    with watching(inner) as reader:
        run(inner.later, inner.before)
        go_on.set()
        process.join()
    assert kill or process.exitcode == 0
    assert reader.complaints == []
    everything_is_right(inner)


def test_what_no_sync_needs_is_deleted(inner: Inner, line: Proxy, checkout: Path) -> None:
    """Without a sync what the tests above keep is pruned."""
    archive = f"{inner.project}-archive"
    process = apart(inner.world.environment(line), prune_all, checkout, archive)
    process.join()
    assert process.exitcode == 0
    assert free(inner) not in objects(inner, archive)
    run(inner.later, inner.before)
    everything_is_right(inner)
