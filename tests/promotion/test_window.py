from __future__ import annotations

import asyncio

from dmz.promotion.window import Window


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_grows_with_success_up_to_the_most() -> None:
    clock = Clock()
    window = Window(most=10, clock=clock)
    first = window.size
    clock.now = 1.0
    for _ in range(20):
        window.succeeded()
    assert first < window.size == 10


def test_it_halves_once_for_complaints_of_one_moment_and_grows_slowly_after() -> None:
    clock = Clock()
    window = Window(most=32, clock=clock)
    clock.now = 1.0
    for _ in range(32):
        window.succeeded()
    for _ in range(5):
        window.complained()
    assert window.size == 16
    for _ in range(10):
        window.succeeded()
    assert window.size == 16, "as fast as before the complaint"
    for _ in range(10):
        window.succeeded()
    assert window.size == 17
    clock.now = 5.0
    window.complained()
    assert window.size == 8


def test_there_is_always_one_place() -> None:
    clock = Clock()
    window = Window(most=4, clock=clock)
    for _ in range(10):
        clock.now += 10
        window.complained()
    assert window.size == 1


def test_no_more_than_its_places_are_taken_and_all_get_one() -> None:
    async def run() -> tuple[int, int]:
        window, active, most, done = Window(most=3), 0, 0, 0

        async def work() -> None:
            nonlocal active, most, done
            async with window.place():
                active += 1
                most = max(most, active)
                await asyncio.sleep(0)
                active -= 1
                done += 1

        await asyncio.gather(*(work() for _ in range(20)))
        return most, done

    assert asyncio.run(run()) == (3, 20)


def test_places_that_were_won_are_given_out_when_one_leaves() -> None:
    async def run() -> tuple[int, int]:
        clock = Clock()
        window, inside, leave = Window(most=16, clock=clock), 0, asyncio.Event()

        async def work() -> None:
            nonlocal inside
            async with window.place():
                inside += 1
                await leave.wait()

        async def leaves() -> None:
            async with window.place():
                await first.wait()

        first = asyncio.Event()
        tasks = [asyncio.create_task(each) for each in (leaves(), *(work() for _ in range(16)))]
        await asyncio.sleep(0.01)
        before = inside
        clock.now = 1.0
        for _ in range(16):
            window.succeeded()
        first.set()
        await asyncio.sleep(0.01)
        after = inside
        leave.set()
        await asyncio.gather(*tasks)
        return before, after

    assert asyncio.run(run()) == (3, 16)


def test_it_does_not_grow_while_the_process_works_rather_than_waits() -> None:
    clock, worked = Clock(), Clock()
    window = Window(most=32, clock=clock, worked=worked, processors=2)

    def success(seconds: float, work: float) -> None:
        clock.now += seconds
        worked.now += work
        window.succeeded()

    for _ in range(10):
        success(0.001, 0.0)
    size = window.size
    assert size == 4, "it grew before it could know"
    for _ in range(10):
        success(0.1, 0.09)
    assert window.size == size
    for _ in range(10):
        success(0.1, 0.02)
    assert window.size == size + 10
