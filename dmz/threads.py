"""Work that blocks, in threads of their own."""

from __future__ import annotations

import _thread
import asyncio
import contextlib
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def _nothing() -> None:
    pass


async def in_thread(work: Callable[[], T], stop: Callable[[], None] = _nothing) -> T:
    """Run `work` in a thread of its own, and wait for what it returns.

    No pool lends the thread: what works here may wait for other work of the same transfer, and in a pool that
    is full of those that wait, none would ever go on. One costs a tenth of a millisecond.

    Args:
        work: what blocks.
        stop: called when the caller is called off; makes `work` end soon. Nobody waits for that end: `work`
            may hang on something that the caller closes only after this.

    Raises:
        Whatever `work` raised.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(how: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(lambda: None if done.done() else how())

    def run() -> None:
        try:
            result = work()
        except StopIteration as error:  # which no future takes
            stopped = RuntimeError("the work of a thread raised StopIteration")
            stopped.__cause__ = error
            tell(lambda: done.set_exception(stopped))
        except BaseException as error:
            failure = error
            tell(lambda: done.set_exception(failure))
        else:
            tell(lambda: done.set_result(result))

    # `threading.Thread.start` would hold up the event loop until the thread runs: a millisecond or more when
    # many do.
    _thread.start_new_thread(run, ())
    try:
        return await done
    except asyncio.CancelledError:
        stop()
        raise
