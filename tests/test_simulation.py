"""What the simulation is trusted for: it counts right, and tasks at the product's pace keep to the quota."""

from __future__ import annotations

import pytest

from bench.simulation import Asked, Simulated, artifacts, most_in_a_minute
from dmz.artifact import Kind
from dmz.promotion.lanes import lanes
from dmz.promotion.plan import plan
from dmz.promotion.schedule import Load, Quota, Task, schedule
from dmz.promotion.shards import Shard

FAST = Task(bandwidth=1e12, transfers=400, latency=0.1)
"""What could go far beyond the quota, if nothing held it back."""


def simulated(count: int, tasks: int, task: Task = FAST) -> Asked:
    made, asked = plan(artifacts(count), ()), Asked()
    for index in range(1, tasks + 1):
        shard = Shard(index, tasks)
        asked.add(Simulated(task, shard.share, 0).run(lanes(shard.part(made).copy, task.transfers)))
    asked.requests.sort()
    asked.writes.sort()
    return asked


def test_a_minute_may_begin_anywhere_and_ends_before_the_sixtieth_second() -> None:
    assert most_in_a_minute([]) == 0
    assert most_in_a_minute([0, 59.9, 60, 61, 119.8]) == 4  # from 59.9 to 119.8
    assert most_in_a_minute([0, 60, 120]) == 1


@pytest.mark.parametrize("tasks", [1, 7])
def test_tasks_together_never_ask_for_more_than_the_quota_and_use_nine_tenths_of_it(tasks: int) -> None:
    count = 90_000
    asked = simulated(count, tasks)
    load = Load.of(artifacts(count))
    assert (len(asked.requests), len(asked.writes)) == (load.requests, load.writes)
    assert most_in_a_minute(asked.writes) <= Quota().writes
    assert most_in_a_minute(asked.requests) <= Quota().requests
    took = asked.writes[-1] - asked.writes[0]
    assert load.writes / (Quota().writes * took / 60) > 0.9


def test_without_their_shares_they_would_ask_for_more() -> None:
    # So the test above can fail: two tasks that each take the whole.
    made, asked = plan(artifacts(90_000), ()), Asked()
    for index in (1, 2):
        part = Shard(index, 2).part(made).copy
        asked.add(Simulated(FAST, 1.0, 0).run(lanes(part, FAST.transfers)))
    assert most_in_a_minute(sorted(asked.writes)) > Quota().writes


def test_bandwidth_is_shared_among_the_transfers() -> None:
    slow = Task(bandwidth=1e6, transfers=8, latency=0.0)
    some = list(artifacts(200))
    task = Simulated(slow, 1.0, 0)
    task.run(lanes(some, slow.transfers))
    foreseen = schedule(Load.of(some), 1, slow).seconds
    assert task.now == pytest.approx(sum(each.size for each in some) / 1e6)
    assert task.now == pytest.approx(foreseen)
    assert len(task.asked.writes) == sum(each.kind is Kind.PYPI for each in some)
