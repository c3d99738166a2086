"""How much memory the copying process takes at its peak, with an archive to fill, whatever the file."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bench.harness import Result, result, run
from bench.material import ORIGIN, artifacts, large
from bench.serving import environment, serving

MOST: Final = 200
"""MB."""


def measure(rounds: int, scratch: Path) -> list[Result]:
    """One file of 2 GB into a repository and an archive at the same time."""
    folder = large()
    places = [f"{kind}:{number}" for number in range(rounds) for kind in ("PYTHON", "bucket")]
    memory: list[float] = []
    with serving("cloud", scratch / "cloud", f"PYTHON:{ORIGIN}", *places) as cloud:
        where = environment(**cloud)
        run([sys.executable, "-m", "bench.load", str(folder), "-"], where)
        for number in range(rounds):
            print(f"memory, round {number + 1} of {rounds}", file=sys.stderr)
            memory.append(_peak(folder, str(number), where))
            print(f"  one file of 2 GB: {memory[-1]:.0f} MB", file=sys.stderr)
    what = "memory at its peak, one file of 2 GB, to a repository and archive"
    return [result(what, "MB", memory, target=MOST)]


def _peak(folder: Path, place: str, where: Mapping[str, str]) -> float:
    command = [sys.executable, "-m", "bench.promote", str(folder.with_suffix(".json")), place]
    said = json.loads(run([*command, "--archive", place], where).output)
    if said["copied"] != len(artifacts(folder)):
        raise RuntimeError("the file was not copied")
    return float(said["memory"])
