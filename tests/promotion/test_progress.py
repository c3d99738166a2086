from __future__ import annotations

import pytest

from dmz.promotion.progress import Progress
from tests.promotion.test_window import Clock

MIB = 1 << 20


def test_rate_and_time_left_are_those_of_the_last_seconds() -> None:
    clock = Clock()
    progress = Progress(2, 100 * MIB, clock)
    assert str(progress) == "0 of 2 files copied, 0.0 of 100 MiB"
    for _ in range(20):
        clock.now += 1
        progress.sent(MIB)
    assert progress.rate == pytest.approx(MIB, rel=0.01)
    assert str(progress) == "0 of 2 files copied, 20 of 100 MiB at 1.0 MiB/s, 80 s left"
    for _ in range(20):
        clock.now += 1
        progress.sent(2 * MIB)
    assert progress.rate == pytest.approx(2 * MIB, rel=0.01)


def test_what_has_to_be_sent_again_does_not_count_twice() -> None:
    clock = Clock()
    progress = Progress(1, 10 * MIB, clock)
    clock.now = 1
    progress.sent(6 * MIB)
    progress.sent(-6 * MIB)
    clock.now = 2
    assert progress.rate == 0
    assert progress.remaining is None
    progress.sent(10 * MIB)
    progress.finished()
    assert str(progress).startswith("1 of 1 files copied, 10 of 10 MiB")


@pytest.mark.parametrize(("rate", "text"), [(2.0, "85 min left"), (0.1, "28.4 h left"), (200, "50 s left")])
def test_times_are_for_people(rate: float, text: str) -> None:
    clock = Clock()
    progress = Progress(1, 10240 * MIB, clock)
    clock.now = 1
    progress.sent(int(rate * MIB))
    assert str(progress).endswith(text)
