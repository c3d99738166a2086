"""Waiting for what machines publish: inventories in outer, reports in inner."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, TypeVar

from dmz.errors import DmzError
from dmz.registries.bucket import Bucket

Say = Callable[[str], None]
Value = TypeVar("Value")

PATIENCE: Final = 3600.0
"""Seconds to wait for a machine: installing a large workload takes tens of minutes."""
_PAUSE: Final = 1.0
"""Seconds between two looks."""


async def newest(
    bucket: Bucket,
    prefix: str,
    read: Callable[[bytes, str], Value],
    accept: Callable[[Value], bool],
    say: Say,
    *,
    within: float,
    settled: Callable[[Value], bool] = lambda value: True,
) -> Value:
    """The newest object below `prefix` that `accept` takes; waits until there is one.

    Args:
        read: parses the bytes of an object; gets the object's name for messages.
        within: seconds after which waiting ends; 0 looks once.
        settled: whether this is the last word; if not, a newer one is waited for as long as there is time.

    Raises:
        DmzError: there was none in time.
        InputError: the newest object is not what it should be.
    """
    started = time.monotonic()
    while True:
        waited = time.monotonic() - started
        found = sorted(await bucket.list(prefix), key=lambda item: (item.updated, item.name))
        for item in reversed(found):
            body = await bucket.read(item.name)
            value = read(body or b"", f"gs://{bucket.name}/{item.name}")
            if accept(value):
                if settled(value) or waited >= within:
                    return value
                break
        if waited >= within:
            raise DmzError(
                f"nothing in gs://{bucket.name}/{prefix} after {waited:.0f} seconds; look at the machine's "
                "console (in the sandbox: dmz sandbox log MACHINE), or wait longer with --patience"
            )
        say(f"waiting for gs://{bucket.name}/{prefix}…")
        await asyncio.sleep(_PAUSE)
