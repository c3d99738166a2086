"""What the sync says to people: that it is alive, and refusals as the one line that they are."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Final

from dmz.errors import DmzError

_TICK: Final = 2.0
"""Seconds between two lines of progress."""


def _tell_pulumi(what: str) -> None:
    print(f"PackageSync: {what} …", file=sys.stderr, flush=True)


class Ticker:
    """Says every two seconds what is being done; on standard error, which Pulumi shows, if to nobody else."""

    def __init__(self, tell: Callable[[str], object] = _tell_pulumi) -> None:
        self._tell = tell
        self._what: object = ""
        self._task: asyncio.Task[None] | None = None

    def says(self, what: object) -> None:
        """What is being done from now on; its text may change while it is done."""
        self._what = what

    def warns(self, line: str) -> None:
        """What has to be seen, said at once."""
        self._tell(f"WARNING: {line}")

    async def __aenter__(self) -> Ticker:
        self._task = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task:
            self._task.cancel()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            self._tell(str(self._what))


class _PlainTraceback(ModuleType):
    """Stands in for `traceback` where Pulumi reports what a provider raised."""

    @staticmethod
    def format_exc() -> str:
        import traceback

        error = sys.exc_info()[1]
        return str(error) if isinstance(error, DmzError) else traceback.format_exc()


def speak_plainly(server: ModuleType) -> None:
    """Make the refusals of this project reach the user as the one line that they are.

    The SDK's server for dynamic resources (`pulumi/dynamic/__main__.py`) answers every exception with
    `traceback.format_exc()` and offers no other way to fail. Only its own reference to that module is
    replaced, and only errors that are meant for people lose their traceback.
    """
    if hasattr(server, "DynamicResourceProviderServicer"):
        server.traceback = _PlainTraceback("traceback")  # type: ignore[attr-defined]
