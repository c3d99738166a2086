"""How long a copy takes, and how much memory: 72 wheels, 100 debs, one file of 2 GB.

    python -m bench.transfer [wheels] [debs] [memory] [--rounds N]

Fewer rounds than five are for trying: what comes of them is shown, and not kept.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench import tables, transfer_debs, transfer_memory, transfer_wheels
from bench.harness import HERE, ROUNDS, Result, keep, show

PARTS: Final[dict[str, Callable[[int, Path], list[Result]]]] = {
    "wheels": transfer_wheels.measure,
    "debs": transfer_debs.measure,
    "memory": transfer_memory.measure,
}


def main() -> None:
    """Measure, print, and write `results.json`, the charts and README's tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)}; all if none is named")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    results: list[Result] = []
    for part in options.parts or PARTS:
        # Beside the files that are copied: a folder for what is temporary may lie in memory.
        with tempfile.TemporaryDirectory(prefix="transfer-", dir=HERE.parent / ".bench") as scratch:
            found = PARTS[part](options.rounds, Path(scratch))
        show(found)
        results += found
        if options.rounds >= ROUNDS:
            keep(found)
            tables.write()
    if not all(each.holds in (None, True) for each in results):
        sys.exit("a target is missed")


if __name__ == "__main__":
    main()
