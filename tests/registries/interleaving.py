"""Every order in which several can go about a lease, step by step, against a bucket in memory.

A step is what one of them does between two requests; between any two steps the clock may jump past the end of
all leases, as it does for who was suspended. An order in which somebody is killed is one that ends early.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from dmz.registries import claiming
from dmz.registries.bucket import Found, Object
from dmz.registries.claiming import GRACE, SECONDS, SYNC, Holder, place, rendered
from dmz.registries.lease import MARGIN

JUMP = SECONDS + GRACE + 1
_Answer = TypeVar("_Answer")
_DAY = datetime(2026, 11, 22, tzinfo=UTC)


class _Point:
    """Where a request is sent: others may act before it arrives."""

    def __await__(self) -> Generator[None, None, None]:
        yield


@dataclass
class Shelf:
    """A bucket: each request arrives at once, or later."""

    name: str = "inner-release"
    held: dict[str, tuple[bytes, int, float]] = field(default_factory=dict)
    clock: float = 0.0
    written: int = 0
    told: list[object] = field(default_factory=list)
    """What whoever acts was answered so far: all that it can know."""

    def _tell(self, answer: _Answer) -> _Answer:
        self.told.append(answer if not isinstance(answer, list) else tuple(answer))
        return answer

    def _put(self, name: str, data: bytes) -> str:
        self.written += 1
        self.held[name] = data, self.written, self.clock
        return str(self.written)

    def _generation(self, name: str) -> str:
        return str(self.held[name][1]) if name in self.held else ""

    async def create(self, name: str, data: bytes) -> str | None:
        await _Point()
        return self._tell(None if name in self.held else self._put(name, data))

    async def replace(self, name: str, data: bytes, generation: str) -> str | None:
        await _Point()
        return self._tell(self._put(name, data) if self._generation(name) == generation else None)

    async def remove(self, name: str, generation: str) -> bool:
        await _Point()
        if self._generation(name) == generation:
            del self.held[name]
        return self._tell(name not in self.held)

    async def look(self, name: str) -> Found | None:
        await _Point()
        if name not in self.held:
            return self._tell(None)
        data, generation, at = self.held[name]
        return self._tell(Found(data, str(generation), self.time(at), self.time(self.clock)))

    async def list(self, prefix: str = "") -> list[Object]:
        await _Point()
        return self._tell(
            [Object(name, 0, "", "", "") for name in sorted(self.held) if name.startswith(prefix)]
        )

    async def now(self) -> datetime:
        return self.time(self.clock)

    @staticmethod
    def time(seconds: float) -> datetime:
        return _DAY + timedelta(seconds=seconds)


@dataclass
class Actor:
    """One who wants a lease, works while it holds it, renews it once and gives it back."""

    name: str
    run: str
    sent: float = 0.0
    inside: bool = False
    generation: str | None = None
    entered: int = 0

    def safe(self, shelf: Shelf) -> bool:
        """Whether it may go on without asking: `Lease.check`."""
        return shelf.clock < self.sent + SECONDS - MARGIN

    async def act(self, shelf: Shelf, attempts: int) -> None:
        holder = Holder(self.run, self.run, "host")
        for _ in range(attempts):
            at, own = shelf.clock, self.generation
            data = rendered(holder, shelf.time(0), shelf.time(at))
            standing = await claiming.claim(shelf, self.name, self.run, data, own)
            if own is None and standing.generation is not None:
                self.sent = at
            self.generation = standing.generation
            if standing.blocker is None:
                break
        else:
            if self.generation:
                await shelf.remove(place(self.name), self.generation)
            return
        if not self.safe(shelf) and not await self._renew(shelf, holder):
            return
        self.inside, self.entered = True, self.entered + 1
        await _Point()  # it works
        if not await self._renew(shelf, holder):
            self.inside = False
            return
        await _Point()  # it works on
        self.inside = False
        assert self.generation is not None
        await shelf.remove(place(self.name), self.generation)

    async def _renew(self, shelf: Shelf, holder: Holder) -> bool:
        assert self.generation is not None
        at = shelf.clock
        data = rendered(holder, shelf.time(0), shelf.time(at))
        written = await shelf.replace(place(self.name), data, self.generation)
        if written is None:
            return False
        self.generation, self.sent = written, at
        return True


@dataclass
class Explored:
    """What came of all orders."""

    states: int = 0
    entered: set[tuple[bool, ...]] = field(default_factory=set)
    """Who held its lease at some time, over the orders that went to the end."""


class TogetherError(Exception):
    """Two worked at the same time that must not; says in which order that came about."""


def _together(shelf: Shelf, actors: Sequence[Actor]) -> bool:
    inside = [actor for actor in actors if actor.inside and actor.safe(shelf)]
    names = [actor.name for actor in inside]
    return len(inside) > 1 and (SYNC in names or len(set(names)) < len(names))


_TICK = -1


def explore(
    names: Sequence[str],
    *,
    attempts: int = 1,
    jumps: int = 1,
    shelf: Callable[[], Shelf] = Shelf,
) -> Explored:
    """Try every order, but for those that come to where another one has been.

    Raises:
        TogetherError: in one of them two worked at the same time.
    """
    found, seen = Explored(), set[object]()
    todo: list[tuple[int, ...]] = [()]
    while todo:
        order = todo.pop()
        bucket = shelf()
        actors = [Actor(name, f"run{index}") for index, name in enumerate(names)]
        works: list[Coroutine[Any, Any, None] | None] = [actor.act(bucket, attempts) for actor in actors]
        histories: list[list[object]] = [[] for _ in actors]
        for at, who in enumerate(order):
            if who == _TICK:
                bucket.clock += JUMP
                continue
            work, bucket.told = works[who], histories[who]
            assert work is not None
            histories[who].append(bucket.clock)
            try:
                work.send(None)
            except StopIteration:
                works[who] = None
            if _together(bucket, actors):
                raise TogetherError(f"{names}: {order[: at + 1]}")
        state = (
            bucket.clock,
            tuple(sorted(bucket.held.items())),
            tuple(tuple(history) for history in histories),
            tuple((actor.inside, actor.entered, actor.sent) for actor in actors),
            tuple(work is None for work in works),
        )
        alive = [index for index, work in enumerate(works) if work is not None]
        for work in works:
            if work is not None:
                work.close()
        if state in seen:
            continue
        seen.add(state)
        if not alive:
            found.entered.add(tuple(bool(actor.entered) for actor in actors))
        todo += [(*order, who) for who in alive]
        if alive and order.count(_TICK) < jumps:
            todo.append((*order, _TICK))
    found.states = len(seen)
    return found
