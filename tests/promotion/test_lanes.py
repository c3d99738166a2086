from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from dmz.artifact import Artifact
from dmz.promotion.lanes import lanes
from dmz.promotion.place import slot
from tests.promotion import builders
from tests.promotion.builders import wheel

SIZES = [wheel(f"a{size}", content=b"x" * size) for size in range(1, 9)]


def test_one_worker_in_four_begins_with_the_largest_and_the_others_with_the_smallest() -> None:
    taken = [next(lane).size for lane in lanes(SIZES, 6)]
    assert taken == [8, 1, 2, 3, 7, 4]


def test_one_worker_alone_takes_the_largest_first() -> None:
    [lane] = lanes(SIZES, 1)
    assert [each.size for each in lane] == [8, 7, 6, 5, 4, 3, 2, 1]


@given(
    artifacts=st.lists(builders.artifacts, max_size=12, unique_by=slot),
    count=st.integers(1, 9),
    order=st.randoms(use_true_random=False),
)
def test_every_artifact_is_taken_once_whoever_asks_when(
    artifacts: list[Artifact], count: int, order: random.Random
) -> None:
    workers, taken = lanes(artifacts, count), []
    while workers:
        worker = order.choice(workers)
        if (artifact := next(worker, None)) is None:
            workers.remove(worker)
        else:
            taken.append(artifact)
    assert sorted(taken) == sorted(artifacts)
