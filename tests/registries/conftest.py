"""A counterpart that answers as Google does, for every test here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import pytest

from dmz.registries.google import Google, connect
from dmz.registries.retry import Retry
from tests.registries.counterpart import SYNC, Counterpart, running

T = TypeVar("T")
FAST = Retry(attempts=4, first=0.001, most=0.01)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counterpart]:
    with running(Counterpart()) as counterpart:
        for name, value in counterpart.environment().items():
            monkeypatch.setenv(name, value)
        yield counterpart


def as_sync(work: Callable[[Google], Awaitable[T]], retry: Retry = FAST) -> T:
    """Run `work` with a connection as the sync identity, with short waits."""

    async def connected() -> T:
        async with connect("us-central1", impersonate=SYNC, retry=retry) as google:
            return await work(google)

    return asyncio.run(connected())
