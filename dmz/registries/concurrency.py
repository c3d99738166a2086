"""Doing several requests at once, with one plain error."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

_T = TypeVar("_T")


async def together(work: Iterable[Coroutine[Any, Any, _T]], *, at_once: int = 16) -> list[_T]:
    """The results of `work` in its order, `at_once` running at a time.

    The first error cancels the rest and is raised itself, not in a group.
    """
    limit = asyncio.Semaphore(at_once)

    async def limited(one: Coroutine[Any, Any, _T]) -> _T:
        try:
            async with limit:
                return await one
        finally:
            one.close()  # one that never started would otherwise be reported as forgotten

    try:
        async with asyncio.TaskGroup() as tasks:
            started = [tasks.create_task(limited(one)) for one in work]
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
    return [task.result() for task in started]
