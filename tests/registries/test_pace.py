"""How fast requests may follow each other, by a clock of the test's own."""

from __future__ import annotations

import asyncio
from bisect import bisect_right

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmz.registries.google import Google, connect
from dmz.registries.pace import DELETES, REQUESTS, WRITES, Pace, PacedTransport, Quota
from tests.registries.conftest import FAST, as_sync
from tests.registries.counterpart import Counterpart


class Clock:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def sent(clock: Clock, limit: Pace, count: int, weight: int = 1) -> list[float]:
    moments = []
    for _ in range(count):
        clock.now = max(clock.now, limit.next(weight))
        moments += [clock.now] * weight
    return moments


def most_in_a_minute(moments: list[float]) -> int:
    return max(bisect_right(moments, start + 60 - 1e-6) - index for index, start in enumerate(moments))


class TestPace:
    @pytest.mark.parametrize("share", [1.0, 1 / 7, 1 / 100])
    def test_no_minute_has_more_than_the_quota_and_all_but_a_little_is_used(self, share: float) -> None:
        quota, clock = WRITES * share, Clock()
        moments = sent(clock, Pace(quota, clock), int(quota * 5))
        assert most_in_a_minute(moments) <= quota
        assert len(moments) / (moments[-1] / 60) >= 0.9 * quota

    @given(st.lists(st.floats(0, 40), min_size=1, max_size=400))
    def test_pauses_do_not_save_up_more_than_a_burst(self, pauses: list[float]) -> None:
        clock = Clock()
        limit, moments = Pace(100, clock), []
        for pause in pauses:
            clock.now += pause
            clock.now = max(clock.now, limit.next())
            moments.append(clock.now)
        assert most_in_a_minute(moments) <= 100

    def test_a_few_need_not_wait(self) -> None:
        clock = Clock()
        assert sent(clock, Pace(WRITES, clock), 500) == [0.0] * 500

    def test_a_call_that_counts_for_many(self) -> None:
        clock = Clock()
        assert most_in_a_minute(sent(clock, Pace(WRITES, clock), 100, weight=500)) <= WRITES

    @pytest.mark.parametrize("share", [0, -1, 1.1])
    def test_shares_that_are_none(self, share: float) -> None:
        with pytest.raises(ValueError, match="share"):
            Quota(share)


class TestQuota:
    @pytest.mark.parametrize(
        ("method", "path", "limit"),
        [
            ("GET", "/files", REQUESTS),
            ("POST", "/upload", WRITES),
            ("DELETE", "/versions/1", DELETES),
            ("POST", "/versions:batchDelete", DELETES),
        ],
    )
    def test_each_kind_has_its_own(self, method: str, path: str, limit: int) -> None:
        clock = Clock()
        quota, moments = Quota(1.0, clock), []
        for _ in range(limit * 2):
            clock.now = max(clock.now, quota.next(method, path))
            moments.append(clock.now)
        assert 0.9 * limit <= most_in_a_minute(moments) <= limit


class Answers(httpx.AsyncBaseTransport):
    """Answers of a service, one after the other, with when they were asked for."""

    def __init__(self, clock: Clock, *answers: httpx.Response) -> None:
        self._clock = clock
        self._answers = list(answers)
        self.asked: list[tuple[float, str]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((self._clock.now, request.url.host))
        return self._answers.pop(0) if self._answers else httpx.Response(200)


class TestWaiting:
    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> Clock:
        clock = Clock()
        monkeypatch.setattr("dmz.registries.pace.asyncio.sleep", clock.sleep)
        return clock

    def run(self, inner: Answers, clock: Clock, *urls: str, most: float = 60.0, method: str = "GET") -> None:
        transport = PacedTransport(inner, ["http://registry/v1/"], most=most, clock=clock)

        async def all_of_them() -> None:
            for url in urls:
                await transport.handle_async_request(httpx.Request(method, url))

        asyncio.run(all_of_them())

    @pytest.mark.parametrize("status", [429, 503])
    def test_a_service_that_asked_to_wait_is_left_alone_by_all(self, clock: Clock, status: int) -> None:
        inner = Answers(clock, httpx.Response(status, headers={"Retry-After": "7"}))
        self.run(inner, clock, "http://a/1", "http://b/1", "http://a/2", "http://a/3")
        assert [host for _, host in inner.asked] == ["a", "b", "a", "a"]
        assert [when for when, _ in inner.asked[:2]] == [0, 0]
        assert 7 <= inner.asked[2][0] <= 7.8

    def test_not_longer_than_it_makes_sense(self, clock: Clock) -> None:
        inner = Answers(clock, httpx.Response(429, headers={"Retry-After": "86400"}))
        self.run(inner, clock, "http://a/1", "http://a/2", most=5)
        assert 5 <= inner.asked[1][0] <= 5.6

    def test_other_failures_close_nothing(self, clock: Clock) -> None:
        inner = Answers(clock, httpx.Response(500, headers={"Retry-After": "7"}), httpx.Response(429))
        self.run(inner, clock, "http://a/1", "http://a/2", "http://a/3")
        assert [when for when, _ in inner.asked] == [0, 0, 0]

    def test_only_what_the_quota_is_for_is_counted(self, clock: Clock) -> None:
        inner = Answers(clock)
        self.run(inner, clock, *["http://storage/v1/o"] * 4000, method="POST")
        assert clock.now == 0
        self.run(inner, clock, *["http://registry/v1/x"] * 4000, method="POST")
        assert clock.now > 10


def test_a_connection_keeps_to_its_share(cloud: Counterpart) -> None:
    """A task that may do next to nothing waits for its next moment, whichever part of the service it asks."""
    cloud.add("p/r", "PYTHON")

    async def slowly() -> None:
        async with connect("us-central1", retry=FAST, share=1 / REQUESTS) as google:
            url = f"{google.endpoints.artifact_registry}projects/p/locations/l/repositories/r"
            await google.call("GET", url)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(google.call("GET", url), 0.1)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(google.send("GET", f"{google.endpoints.python}p/r/simple/x/"), 0.1)

    asyncio.run(slowly())
    assert len(cloud.requests) == 1


def test_a_whole_share_is_no_brake(cloud: Counterpart) -> None:
    cloud.add("p/r", "PYTHON")

    async def often(google: Google) -> None:
        url = f"{google.endpoints.artifact_registry}projects/p/locations/l/repositories/r"
        await asyncio.wait_for(asyncio.gather(*(google.call("GET", url) for _ in range(100))), 20)

    as_sync(often)
