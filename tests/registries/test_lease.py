"""The lease against a real server: waiting, taking over, losing it, and answers that get lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from dmz.errors import InputError, RefusedError, TransferError
from dmz.registries import lease as leases
from dmz.registries.bucket import Bucket
from dmz.registries.claiming import GRACE, SECONDS, SYNC, Holder, running, shard
from dmz.registries.google import Google
from dmz.registries.lease import Lease, hold
from tests.registries.conftest import as_sync
from tests.registries.counterpart import Counterpart, Fault

OBJECT = "lease/sync.json"
ADA = Holder("ada@example.org", "a" * 16, "here", {"small": "1" * 64})
BOB = Holder("bob@example.org", "b" * 16, "there")
OVER = timedelta(seconds=SECONDS + GRACE + 2)


@pytest.fixture
def box(cloud: Counterpart) -> dict[str, bytes]:
    return cloud.buckets.setdefault("box", {})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "_AGAIN", 0.01)


def silent(_: object) -> None:
    """Nobody listens."""


def holding(
    work: Callable[[Lease, Bucket], Awaitable[None]],
    holder: Holder = ADA,
    *,
    name: str = SYNC,
    patience: float = 0.0,
    say: Callable[[object], None] = silent,
) -> None:
    async def held(google: Google) -> None:
        bucket = Bucket(google, "box")
        async with hold(bucket, name, holder, patience=patience, say=say) as lease:
            await work(lease, bucket)

    as_sync(held)


async def until(it_is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not it_is_so():  # noqa: ASYNC110 - it is the server's thread that makes it so
            await asyncio.sleep(0.01)


async def nothing(_: Lease, __: Bucket) -> None:
    """No work."""


async def forever(_: Lease, __: Bucket) -> None:
    await asyncio.sleep(20)
    pytest.fail("it was not stopped")


def killed(cloud: Counterpart, holder: Holder = BOB, name: str = SYNC) -> None:
    """Leave behind what a holder leaves that is killed."""

    async def keep(_: Lease, __: Bucket) -> None:
        kept.update(cloud.buckets["box"])

    kept: dict[str, bytes] = {}
    holding(keep, holder, name=name)
    cloud.buckets["box"] |= {each: data for each, data in kept.items() if each.startswith("lease/")}


class TestHold:
    def test_who_holds_it_can_be_read(self, cloud: Counterpart, box: dict[str, bytes]) -> None:
        async def look(_: Lease, bucket: Bucket) -> None:
            written = json.loads(box[OBJECT])
            assert written["holder"] == {
                "who": "ada@example.org",
                "run": ADA.run,
                "host": "here",
                "releases": ADA.releases,
            }
            assert [claim.holder for claim in await running(bucket)] == [ADA]

        holding(look)
        assert box == {}

    def test_it_is_given_back_when_the_work_fails(self, box: dict[str, bytes]) -> None:
        async def fail(_: Lease, __: Bucket) -> None:
            raise ValueError("broken")

        with pytest.raises(ValueError, match="broken"):
            holding(fail)
        assert box == {}

    def test_it_is_given_back_when_the_work_is_cancelled(self, box: dict[str, bytes]) -> None:
        async def cancel(_: Lease, __: Bucket) -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(60)

        with pytest.raises(asyncio.CancelledError):
            holding(cancel)
        assert box == {}

    def test_the_second_refuses(self, box: dict[str, bytes]) -> None:
        async def second(_: Lease, bucket: Bucket) -> None:
            with pytest.raises(RefusedError) as caught:
                async with hold(bucket, SYNC, BOB, patience=0, say=silent):
                    raise AssertionError("both work")
            line = str(caught.value)
            for part in ("ada@example.org", ADA.run, "here", "until", "Run again when it has ended"):
                assert part in line
            assert "\n" not in line
            assert json.loads(box[OBJECT])["holder"]["who"] == "ada@example.org"

        holding(second)

    def test_the_second_waits(self, box: dict[str, bytes]) -> None:
        said: list[str] = []
        done: list[str] = []

        async def first(lease: Lease, bucket: Bucket) -> None:
            async def second() -> None:
                say = lambda what: said.append(str(what))  # noqa: E731
                async with hold(bucket, SYNC, BOB, patience=30, say=say):
                    done.append("second")

            waiting.append(asyncio.create_task(second()))
            await until(lambda: bool(said))
            done.append("first")

        waiting: list[asyncio.Task[None]] = []

        async def both(google: Google) -> None:
            bucket = Bucket(google, "box")
            async with hold(bucket, SYNC, ADA, patience=0, say=silent) as lease:
                await first(lease, bucket)
            await waiting[0]

        as_sync(both)
        assert done == ["first", "second"]
        assert "waiting for the sync of ada@example.org, which holds the lease until" in said[0]
        assert box == {}

    def test_one_that_was_killed_is_taken_over(self, cloud: Counterpart, box: dict[str, bytes]) -> None:
        killed(cloud)
        assert box
        with pytest.raises(RefusedError, match=r"bob@example\.org"):
            holding(nothing)
        cloud.ahead = OVER

        async def see(lease: Lease, _: Bucket) -> None:
            assert [claim.holder for claim in lease.killed] == [BOB]
            assert json.loads(box[OBJECT])["holder"]["who"] == "ada@example.org"

        holding(see)
        assert box == {}

    @pytest.mark.parametrize("hours", [-1, 1])
    def test_this_machines_clock_has_no_say(
        self, cloud: Counterpart, box: dict[str, bytes], hours: int
    ) -> None:
        cloud.ahead = timedelta(hours=hours)

        async def see(lease: Lease, _: Bucket) -> None:
            assert abs(lease.now() - cloud.now()) < timedelta(seconds=30)

        holding(see)
        killed(cloud)
        with pytest.raises(RefusedError):
            holding(nothing)
        cloud.ahead += OVER
        holding(nothing)

    def test_garbage_is_somebodys_lease_until_it_is_old(
        self, cloud: Counterpart, box: dict[str, bytes]
    ) -> None:
        box[OBJECT] = b"\xff{"
        with pytest.raises(RefusedError, match="somebody unknown"):
            holding(nothing)
        cloud.ahead = OVER
        holding(nothing)


class TestShards:
    def test_beside_each_other(self, box: dict[str, bytes]) -> None:
        async def other(_: Lease, bucket: Bucket) -> None:
            async with hold(bucket, shard(2, 2), BOB, patience=0, say=silent):
                assert set(box) == {"lease/shard-1-of-2.json", "lease/shard-2-of-2.json"}

        holding(other, name=shard(1, 2))

    @pytest.mark.parametrize(("one", "two"), [(SYNC, shard(1, 2)), (shard(1, 2), SYNC)])
    def test_not_beside_the_sync(self, box: dict[str, bytes], one: str, two: str) -> None:
        async def other(_: Lease, bucket: Bucket) -> None:
            with pytest.raises(RefusedError, match=r"ada@example\.org"):
                async with hold(bucket, two, BOB, patience=0, say=silent):
                    raise AssertionError("both work")
            assert set(box) == {f"lease/{one}.json"}

        holding(other, name=one)

    def test_the_sync_waits_for_those_that_run_and_no_other_begins(self, box: dict[str, bytes]) -> None:
        async def work(google: Google) -> None:
            bucket, said = Bucket(google, "box"), asyncio.Event()

            async def sync() -> None:
                async with hold(bucket, SYNC, ADA, patience=30, say=lambda _: said.set()):
                    assert set(box) == {OBJECT}

            async with hold(bucket, shard(1, 2), BOB, patience=0, say=silent):
                waiting = asyncio.create_task(sync())
                await said.wait()
                with pytest.raises(RefusedError, match=r"the sync of ada@example\.org"):
                    async with hold(bucket, shard(2, 2), Holder("c", "c", "c"), patience=0, say=silent):
                        raise AssertionError("it began")
            await waiting

        as_sync(work)
        assert box == {}

    def test_what_a_killed_shard_left(self, cloud: Counterpart, box: dict[str, bytes]) -> None:
        killed(cloud, name=shard(3, 4))
        cloud.ahead = OVER

        async def see(lease: Lease, _: Bucket) -> None:
            assert [claim.what for claim in lease.killed] == ["shard 3 of 4"]
            assert set(box) == {OBJECT}

        holding(see)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Renew all the time, and give up soon."""
    monkeypatch.setattr(leases, "RENEWAL", 0.02)


class TestRenewal:
    def test_it_is_renewed(self, cloud: Counterpart, box: dict[str, bytes], hasty: None) -> None:
        async def wait(_: Lease, __: Bucket) -> None:
            first = cloud.generation("box", OBJECT)[0]
            await until(lambda: cloud.generation("box", OBJECT)[0] >= first + 3)

        holding(wait)
        assert box == {}

    def test_losing_it_stops_the_work(self, box: dict[str, bytes], hasty: None) -> None:
        async def lose(lease: Lease, bucket: Bucket) -> None:
            box[OBJECT] = (
                b'{"format":1,"holder":{"who":"bob","run":"x","host":"h"},"since":"","until":"","seconds":90}'
            )
            await forever(lease, bucket)

        with pytest.raises(TransferError, match=r"taken over by bob \(run x\).*run again") as caught:
            holding(lose)
        assert "\n" not in str(caught.value)
        assert box, "what is somebody else's stays"

    def test_when_it_is_gone(self, box: dict[str, bytes], hasty: None) -> None:
        async def lose(lease: Lease, bucket: Bucket) -> None:
            del box[OBJECT]
            await forever(lease, bucket)

        with pytest.raises(TransferError, match="is gone"):
            holding(lose)

    def test_silence_stops_the_work_before_others_may_begin(
        self, cloud: Counterpart, box: dict[str, bytes], hasty: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def silence(lease: Lease, bucket: Bucket) -> None:
            cloud.faults.append(Fault("POST", "/b/box/o", status=503, times=10_000))
            monkeypatch.setattr(leases, "MARGIN", SECONDS - 0.2)
            await forever(lease, bucket)

        with pytest.raises(TransferError, match="could not be renewed for 0 seconds"):
            holding(silence)

    def test_the_work_may_stumble_over_it_first(self, box: dict[str, bytes], hasty: None) -> None:
        async def stumble(lease: Lease, bucket: Bucket) -> None:
            del box[OBJECT]
            try:
                await asyncio.sleep(60)
            finally:
                raise ValueError("the connection broke")

        with pytest.raises(TransferError, match="is gone"):
            holding(stumble)

    def test_who_may_no_longer_act_as_the_sync_stops(
        self, box: dict[str, bytes], hasty: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def refused(*_: object) -> None:
            raise InputError("may not act as the sync")

        async def banned(lease: Lease, bucket: Bucket) -> None:
            for name in ("replace", "look", "remove"):
                monkeypatch.setattr(Bucket, name, refused)
            monkeypatch.setattr(leases, "MARGIN", SECONDS - 0.2)
            await forever(lease, bucket)

        with pytest.raises(TransferError, match="could not be renewed"):
            holding(banned)

    def test_losing_it_after_a_part_of_the_work_failed(self, box: dict[str, bytes], hasty: None) -> None:
        async def fail() -> None:
            raise TransferError("a transfer failed")

        async def last_words(lease: Lease, bucket: Bucket) -> None:
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(fail())
            except* TransferError:
                await bucket.delete(OBJECT)
                await forever(lease, bucket)

        with pytest.raises(TransferError, match=r"the lease .* is gone"):
            holding(last_words)

    def test_a_cancellation_by_others_goes_on(self, box: dict[str, bytes], hasty: None) -> None:
        async def both(google: Google) -> None:
            async def work() -> None:
                async with hold(Bucket(google, "box"), SYNC, ADA, patience=0, say=silent):
                    del box[OBJECT]
                    try:
                        await asyncio.sleep(60)
                    except asyncio.CancelledError:
                        task.cancel()
                        raise

            task = asyncio.create_task(work())
            await asyncio.wait([task])
            assert task.cancelled()

        as_sync(both)

    def test_who_was_suspended_asks_before_it_goes_on(
        self, box: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def sleep(lease: Lease, _: Bucket) -> None:
            real = leases._clock
            monkeypatch.setattr(leases, "_clock", lambda: real() + 3600)
            await lease.check()  # nobody wanted it meanwhile
            monkeypatch.setattr(leases, "_clock", lambda: real() + 7200)
            del box[OBJECT]
            with pytest.raises(TransferError, match="is gone"):
                await lease.check()

        with pytest.raises(TransferError, match="is gone"):
            holding(sleep)


class TestLostAnswers:
    @pytest.mark.parametrize("times", [1, 2, 4])
    def test_of_getting_it(self, cloud: Counterpart, box: dict[str, bytes], times: int) -> None:
        cloud.faults.append(Fault("POST", "/b/box/o", lost=True, times=times))
        holding(nothing)
        assert box == {}

    def test_of_taking_it_over(self, cloud: Counterpart, box: dict[str, bytes]) -> None:
        killed(cloud)
        cloud.ahead = OVER
        cloud.faults.append(Fault("POST", "/b/box/o", lost=True, times=3))
        holding(nothing)
        assert box == {}

    @pytest.mark.parametrize("times", [1, 4, 9])
    def test_of_renewing_it(self, cloud: Counterpart, box: dict[str, bytes], hasty: None, times: int) -> None:
        async def wait(lease: Lease, __: Bucket) -> None:
            fault = Fault("POST", "/b/box/o", lost=True, times=times)
            cloud.faults.append(fault)
            await until(lambda: not fault.times)
            generation = cloud.generation("box", OBJECT)[0]
            await until(lambda: cloud.generation("box", OBJECT)[0] >= generation + 2)
            await lease.check()

        holding(wait)
        assert box == {}

    @pytest.mark.parametrize("times", [1, 9])
    def test_of_giving_it_back(self, cloud: Counterpart, box: dict[str, bytes], times: int) -> None:
        cloud.faults.append(Fault("DELETE", "/b/box/o/lease", lost=True, times=times))
        holding(nothing)
        assert box == {}

    def test_when_it_can_not_be_given_back_the_work_is_done_all_the_same(
        self, cloud: Counterpart, box: dict[str, bytes]
    ) -> None:
        cloud.faults.append(Fault("DELETE", "/b/box/o/lease", status=500, times=99))
        holding(nothing)
        assert set(box) == {OBJECT}

    def test_a_bucket_that_answers_nothing(self, cloud: Counterpart, box: dict[str, bytes]) -> None:
        cloud.faults.append(Fault("GET", "/b/box/o", status=503, times=99))
        with pytest.raises(TransferError, match="503"):
            holding(nothing)
        assert box == {}
