"""No order of events lets two work at the same time that must not."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmz.registries import claiming
from dmz.registries.bucket import Found
from dmz.registries.claiming import GRACE, SECONDS, SYNC, Claim, Holder, place, rendered, shard
from tests.registries.interleaving import Shelf, TogetherError, explore

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ONE, TWO = shard(1, 2), shard(2, 2)


@pytest.mark.parametrize(
    ("names", "attempts", "jumps"),
    [
        ((SYNC, SYNC), 1, 1),
        ((SYNC, ONE), 1, 1),
        ((ONE, ONE), 1, 1),
        ((SYNC, SYNC, SYNC), 1, 0),
        ((SYNC, SYNC, ONE), 1, 0),
        ((SYNC, ONE, TWO), 1, 0),
        pytest.param((SYNC, SYNC), 2, 2, marks=pytest.mark.slow),
        pytest.param((SYNC, ONE), 2, 1, marks=pytest.mark.slow),
        pytest.param((SYNC, ONE), 1, 2, marks=pytest.mark.slow),
    ],
)
def test_no_two_work_at_the_same_time(names: tuple[str, ...], attempts: int, jumps: int) -> None:
    found = explore(names, attempts=attempts, jumps=jumps)
    assert found.states > 500
    # There is an order for each in which it gets its turn.
    for index in range(len(names)):
        assert any(entered[index] for entered in found.entered)


def test_shards_stand_beside_each_other() -> None:
    assert explore((ONE, TWO), jumps=0).entered == {(True, True)}


def finished(work: Coroutine[Any, Any, claiming.Standing]) -> claiming.Standing:
    while True:
        try:
            work.send(None)
        except StopIteration as ended:
            found: claiming.Standing = ended.value
            return found


def test_a_shard_that_meets_the_sync_gives_way() -> None:
    shelf = Shelf()
    data = rendered(Holder("ada", "r", "h"), NOON, NOON)
    work = claiming.claim(shelf, ONE, "r", data, None)
    while place(ONE) not in shelf.held:
        work.send(None)
    shelf._put(place(SYNC), rendered(Holder("bob", "s", "h"), NOON, NOON))
    found = finished(work)
    assert found.generation is None
    assert found.blocker is not None
    assert found.blocker.holder.who == "bob"
    assert set(shelf.held) == {place(SYNC)}


class Careless(Shelf):
    """Says that it removed what it left there."""

    async def remove(self, name: str, generation: str) -> bool:
        await self.look(name)
        return True


class Blind(Shelf):
    """Writes over whatever is there."""

    async def replace(self, name: str, data: bytes, generation: str) -> str | None:
        await self.look(name)
        return self._put(name, data)


class TestWhatTheExplorationFinds:
    """An exploration that finds nothing might be one that can't."""

    def test_a_look_before_only(self, monkeypatch: pytest.MonkeyPatch) -> None:
        first = claiming._beside

        async def before_only(bucket: Shelf, name: str, killed: list[Claim]) -> Claim | None:
            return None if place(name) in bucket.held else await first(bucket, name, killed)

        monkeypatch.setattr(claiming, "_beside", before_only)
        with pytest.raises(TogetherError):
            explore((SYNC, ONE), jumps=0)

    def test_an_expired_lease_that_is_passed_over(self) -> None:
        with pytest.raises(TogetherError):
            explore((SYNC, ONE), shelf=Careless)

    def test_a_takeover_without_condition(self) -> None:
        with pytest.raises(TogetherError):
            explore((SYNC, SYNC), shelf=Blind)


def at(seconds: float, data: bytes = b"?") -> Found:
    return Found(data, "7", NOON, NOON + timedelta(seconds=seconds))


class TestClaim:
    def test_it_is_over_when_the_service_says_so(self) -> None:
        data = rendered(Holder("ada@example.org", "r", "h"), NOON, NOON)
        assert not Claim.of(place(SYNC), at(SECONDS + GRACE, data)).expired
        assert Claim.of(place(SYNC), at(SECONDS + GRACE + 1, data)).expired

    @given(
        st.binary(max_size=200) | st.sampled_from([b"[" * 100_000, b"null", b'{"seconds": 1e300}', b"\xff"])
    )
    def test_any_bytes_are_somebodys_lease(self, data: bytes) -> None:
        assert not Claim.of(place(SYNC), at(0, data)).expired
        assert Claim.of(place(SYNC), at(SECONDS + GRACE + 1, data)).expired

    def test_a_lease_that_never_ends_ends(self) -> None:
        data = rendered(Holder("eve", "r", "h"), NOON, NOON).replace(b'"seconds":90.0', b'"seconds":9e99')
        assert b"9e99" in data
        assert Claim.of(place(SYNC), at(3600, data)).expired

    @pytest.mark.parametrize("name", ["", "sync/../x", "shard-0-of-2", "shard-1", "withdraw"])
    def test_no_other_names(self, name: str) -> None:
        with pytest.raises(ValueError, match="no name of a lease"):
            place(name)
