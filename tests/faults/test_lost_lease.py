"""A sync that loses its lease in the middle: another one takes over, and the first does no harm any more.

The lease's own times are short here, in the proportions that they have. What they are there for:

- A sync that cannot renew its lease stops `MARGIN` before that ends, and sends nothing more but the last
  words of its journal. What it has sent by then has `MARGIN` and `GRACE` to be done, before another sync may
  begin.
- One that was held up itself looks at its lease before each request that changes something, and sends none.
- A request that arrives even later than that, as if the network had kept it, does what was approved when it
  was sent: nothing unapproved comes in, and the next sync mends what else it did.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import Any

import pytest
from aiohttp import web

from dmz.registries import claiming
from dmz.registries import lease as leases
from dmz.sync.inputs import Inputs
from tests.faults.afterwards import everything_is_right
from tests.faults.processes import REFUSED, apart
from tests.faults.proxy import Arrived, Exchange, FaultAction, Proxy, pass_on
from tests.faults.reader import watching
from tests.faults.syncing import run
from tests.faults.world import Inner

SHORT = {"SECONDS": 3.0, "RENEWAL": 0.8, "MARGIN": 1.0, "GRACE": 1.5, "_ANSWER": 1.0, "_AGAIN": 0.2}
CHANGING = frozenset(
    (
        "upload wheel",
        "upload file",
        "stage deb",
        "import debs",
        "empty staging",
        "withdraw version",
        "withdraw file",
        "publish release",
        "point to release",
        "drop current",
    )
)
"""Steps that change what inner holds, or what its machines are told."""


def hurry(patch: pytest.MonkeyPatch) -> None:
    for name, value in SHORT.items():
        for module in (claiming, leases):
            if hasattr(module, name):
                patch.setattr(module, name, value)


def hurried(inputs: Inputs, before: frozenset[str]) -> None:
    """A sync with such a lease."""
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        run(inputs, before)


STEPS = (
    "upload wheel",
    "stage deb",
    "import debs",
    "poll operation",
    "read index",
    "publish release",
    "point to release",
    "withdraw version",
    "withdraw file",
)


def at(*usual: str) -> list[Any]:
    return [pytest.param(step, marks=[] if step in usual else pytest.mark.slow) for step in STEPS]


def keeping(mended: threading.Event, *, late: bool) -> FaultAction:
    """Keep a request until the line is mended, and deliver it then; `late`: also if its sender gave up."""

    async def keep(arrived: Arrived) -> web.StreamResponse:
        await arrived.read()
        while not mended.is_set():  # noqa: ASYNC110 - it is set by another thread
            await asyncio.sleep(0.01)
        transport = arrived.request.transport
        if late or (transport is not None and not transport.is_closing()):
            return await pass_on(arrived)
        return web.Response()

    return keep


def after_the_takeover(inner: Inner, line: Proxy, second: Inputs, before: frozenset[str]) -> int:
    """The second sync; how many requests the first had sent when the second got the lease."""
    sent = -1

    def watch(exchange: Exchange, what: str) -> None:
        nonlocal sent
        if what == "asked" and "-began.json" in exchange.path:
            sent = len(line.exchanges)

    inner.world.proxy.watch = watch
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        run(second, before)
    assert sent >= 0
    return sent


@pytest.mark.parametrize("step", at())
@pytest.mark.parametrize("late", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("back", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_the_network_is_away_for_longer_than_the_lease(
    inner: Inner, line: Proxy, step: str, late: bool, back: bool
) -> None:
    """`late`: what was sent arrives at last; `back`: the first was to bring the release before back."""
    mended, cut = threading.Event(), threading.Event()

    def watch(exchange: Exchange, what: str) -> None:
        if exchange.step.name == step:
            cut.set()
            line.usual = keeping(mended, late=late)

    if back:
        run(inner.later, inner.before)
    line.watch = watch
    first = (inner.earlier, inner.approved) if back else (inner.later, inner.before)
    with watching(inner, strict=not (late and back)) as reader:
        process = apart(inner.world.environment(line), hurried, *first)
        try:
            assert cut.wait(30), "the sync made no such request"
            sent = after_the_takeover(inner, line, inner.later, inner.approved)
        finally:
            mended.set()
            process.join()
        assert process.exitcode == REFUSED
        assert [str(each.step) for each in line.exchanges[sent:] if each.step.name in CHANGING] == []
        reader.catch_up()
        assert reader.complaints == []
        if late:
            run(inner.later, inner.approved)
    assert reader.complaints == []
    inner.world.proxy.exchanges[:0] = line.exchanges
    everything_is_right(inner)


@pytest.mark.parametrize("step", at("withdraw version"))
@pytest.mark.parametrize("back", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_sync_that_sleeps_for_longer_than_its_lease(
    inner: Inner, line: Proxy, step: str, back: bool
) -> None:
    asleep = threading.Event()

    def watch(exchange: Exchange, what: str) -> None:
        if exchange.step.name == step and what == "done" and not asleep.is_set():
            started.wait()
            os.kill(process.pid or 0, signal.SIGSTOP)
            asleep.set()

    if back:
        run(inner.later, inner.before)
    line.watch, started = watch, threading.Event()
    first = (inner.earlier, inner.approved) if back else (inner.later, inner.before)
    with watching(inner) as reader:
        process = apart(inner.world.environment(line), hurried, *first)
        started.set()
        try:
            assert asleep.wait(30), "the sync made no such request"
            sent = after_the_takeover(inner, line, inner.later, inner.approved)
        finally:
            os.kill(process.pid or 0, signal.SIGCONT)
            process.join()
        assert process.exitcode == REFUSED
        # An upload that was just being begun goes on: what it brings is approved.
        more = [each.step for each in line.exchanges[sent:] if "artifact" not in each.step.tags]
        assert [step.name for step in more if step.name in CHANGING] == []
    assert reader.complaints == []
    inner.world.proxy.exchanges[:0] = line.exchanges
    everything_is_right(inner)
