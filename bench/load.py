"""Puts files of a folder into a repository, so that there is something to copy. A process of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.material import ORIGIN, artifacts
from bench.promote import registry
from dmz.registries.google import connect

_BLOCK: Final = 1 << 20


async def main(folder: str, staging: str) -> None:
    """Put all files of a folder into the repository from which everything is copied."""
    wanted = artifacts(Path(folder))
    async with connect("us-central1") as google:
        outer = registry(google, wanted[0].kind, ORIGIN, staging)
        for each in wanted:
            await outer.put(each, _read(Path(folder) / each.filename))
        await outer.admit(wanted)
        await outer.settle(wanted)


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
