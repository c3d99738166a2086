from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmz.errors import InputError
from dmz.promotion.schedule import Limit, Load, Quota, Task, schedule
from dmz.promotion.shards import MOST
from dmz.registries import pace
from tests.promotion.builders import deb, file, wheel

WHEELS = Load(files=1_000_000, bytes=3_000_000_000_000, requests=2_000_000, writes=1_000_000)
loads = st.builds(
    lambda files, size, debs: Load(files, size, 2 * files - min(debs, files), files - min(debs, files)),
    st.integers(0, 10**7),
    st.integers(0, 10**15),
    st.integers(0, 10**7),
)


def test_a_wheel_is_read_and_written_a_deb_staged_and_a_file_in_cloud_storage() -> None:
    jax, jq, data = wheel("jax"), deb("jq"), file()
    size = jax.size + jq.size + data.size
    assert Load.of([jax, jq, data]) == Load(files=3, bytes=size, requests=3, writes=1)


def test_it_reckons_with_the_quotas_that_the_tasks_keep_to() -> None:
    assert Quota() == Quota(pace.REQUESTS, pace.WRITES, pace.DELETES)
    paced = pace.Quota(1 / 10, clock=lambda: 0.0)
    last = [paced.next("POST", "/") for _ in range(10_000)][-1]
    assert 60 * 10_000 / last == pytest.approx(Quota().share(10).writes, rel=0.02)


def test_so_many_tasks_as_there_may_be_keep_within_the_quota() -> None:
    # Each may send one more than its share, in a minute that is laid as badly as can be.
    assert math.ceil(Quota().share(MOST).writes) * MOST <= Quota().writes


def test_with_few_tasks_bandwidth_limits_and_with_many_the_writes() -> None:
    one, many = schedule(WHEELS, 1), schedule(WHEELS, 50)
    assert (one.limit, round(one.seconds)) == (Limit.BANDWIDTH, 24_000)
    assert many.limit is Limit.WRITES
    assert many.seconds == pytest.approx(60 * 1_000_000 / (50 * many.quota.writes))


def test_the_recommended_tasks_meet_the_quota_and_fewer_do_not() -> None:
    found = schedule(WHEELS, 1).recommended
    assert schedule(WHEELS, found).limit is Limit.WRITES
    # A fifth of each task's time stays for shards that got more than others.
    assert schedule(WHEELS, int(0.7 * found)).limit is Limit.BANDWIDTH
    assert schedule(WHEELS, found).recommended == found


def test_slow_transfers_limit_too() -> None:
    small = Load(files=100_000, bytes=1000, requests=200_000, writes=100_000)
    made = schedule(small, 1, Task(transfers=4, latency=2))
    assert (made.limit, made.seconds) == (Limit.TRANSFERS, 50_000)
    assert made.recommended > 100


def test_a_small_release_is_worth_one_task() -> None:
    assert schedule(Load(36, 175_000_000, 65, 29), 4).recommended == 1
    assert schedule(Load(), 1).seconds == 0


def test_what_each_task_has_to_list_counts() -> None:
    debs = Load(files=1000, bytes=1000, requests=1000)
    assert schedule(debs, 10, held=10_000_000).limit is Limit.REQUESTS


@given(load=loads, tasks=st.integers(1, MOST // 2))
def test_more_tasks_never_take_longer(load: Load, tasks: int) -> None:
    now, twice = schedule(load, tasks), schedule(load, 2 * tasks)
    assert twice.seconds <= now.seconds * (1 + 1e-9)
    assert 1 <= now.recommended <= MOST


@pytest.mark.parametrize("tasks", [0, -1, 901, 10**30])
def test_no_such_number_of_tasks(tasks: int) -> None:
    with pytest.raises(InputError, match="tasks"):
        schedule(WHEELS, tasks)
