from __future__ import annotations

import asyncio
import threading

import pytest

from dmz.threads import in_thread


def test_what_the_work_returns_or_raises_comes_out() -> None:
    assert asyncio.run(in_thread(lambda: 3)) == 3
    with pytest.raises(KeyError, match="gone"):
        asyncio.run(in_thread(lambda: dict[str, int]()["gone"]))


def test_an_iterator_that_ends_is_an_error_and_not_a_wait_for_ever() -> None:
    async def run() -> object:
        return await asyncio.wait_for(in_thread(lambda: next(iter(()))), 5)

    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(run())


def test_many_wait_for_each_other_and_all_go_on() -> None:
    barrier = threading.Barrier(100, timeout=30)

    async def run() -> None:
        await asyncio.gather(*(in_thread(barrier.wait) for _ in range(100)))

    asyncio.run(run())
