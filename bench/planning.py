"""What a plan costs when everything is there already, and what one change costs beside it.

The inner repositories hold a release of 10,000 artifacts, half wheels and half debs (`holding.py`). Each
measurement is a process of its own, measured from when the program is loaded: read and check the release in
the checkout, connect as the sync, list what the repositories hold, plan. Then a whole sync of a release with
one other wheel: attestation, lease, journal, copy, comparison, publication, withdrawal; and the same once
more, when there is nothing left to change.

    python -m bench.planning
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from bench import tables
from bench.harness import HERE, ROUNDS, keep, result, run, show
from bench.plot import plot
from bench.serving import serving

SIZES = (100, 316, 1000, 3162, 10_000)
MANY = 10_000


def main() -> None:
    """Measure, print, and write `results.json`, README's tables and the plot."""
    planned: dict[int, list[float]] = {}
    synced: dict[int, list[float]] = {}
    idle: dict[int, list[float]] = {}
    for size in SIZES:
        with _served(size // 2, size // 2) as (folder, environment):
            planned[size], synced[size], idle[size] = _rounds(folder, environment)
    with _served(MANY, MANY) as (folder, environment):
        _measure("plan", folder / "held", environment)
        asked = _asked(environment)
    whole, changes, same = planned[MANY], synced[MANY], idle[MANY]
    what = f"{MANY:,} artifacts that are there"
    results = [
        result(f"plan {what}", "s", whole, target=1.5),
        result(
            f"one change in {what}, more than a sync without any",
            "s",
            [one - none for one, none in zip(changes, same, strict=True)],
            target=0.3,
        ),
        result(
            f"one change in {what}, a whole sync of it more than the plan",
            "s",
            [after - before for before, after in zip(whole, changes, strict=True)],
        ),
        result(f"requests to list {MANY:,} wheels", "", [asked["python"]], target=11),
        result(f"requests to list {MANY:,} debs", "", [asked["apt"]], target=11),
        result(
            "growth of the plan with the number of artifacts, exponent",
            "",
            [_exponent([(size, planned[size][number]) for size in SIZES]) for number in range(ROUNDS)],
            target=1.0,
        ),
    ]
    _draw(planned, synced)
    keep(results)
    tables.write()
    show(results)
    if not all(each.holds in (None, True) for each in results):
        sys.exit("a target is missed")


def _rounds(folder: Path, environment: dict[str, str]) -> tuple[list[float], list[float], list[float]]:
    """Seconds of a plan, of the sync of the same one change, by turns to the other release and back, and of
    another sync of that."""
    planned, synced, idle = [], [], []
    _measure("sync", folder / "held", environment)  # the first one publishes, and writes the first journal
    for number in range(ROUNDS):
        which = folder / ("held" if number % 2 else "changed")
        planned.append(_measure("plan", which, environment)["seconds"])
        done = _measure("sync", which, environment)
        if (done["copied"], done["withdrawn"]) != (1, 1):
            raise RuntimeError(f"not a sync of one change: {done}")
        synced.append(done["seconds"])
        idle.append(_measure("sync", which, environment)["seconds"])
    return planned, synced, idle


@contextmanager
def _served(wheels: int, debs: int) -> Iterator[tuple[Path, dict[str, str]]]:
    with (
        tempfile.TemporaryDirectory(prefix="dmz-bench-") as name,
        serving("holding", name, str(wheels), str(debs)) as environment,
    ):
        yield Path(name), {**environment, "PYTHONPATH": str(HERE.parent)}


def _measure(what: str, folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        run([sys.executable, "-m", "bench.planning", what, str(folder)], environment).output
    )
    return found


def _asked(environment: dict[str, str]) -> dict[str, int]:
    """Requests since the last time, by repository."""
    api = environment["GOOGLE_ARTIFACT_REGISTRY_CUSTOM_ENDPOINT"].removesuffix("v1/")
    token = environment["GOOGLE_OAUTH_ACCESS_TOKEN"]
    answer = httpx.get(f"{api}asked", headers={"Authorization": f"Bearer {token}"})
    paths = [path for _, path in answer.raise_for_status().json()]
    return {
        "python": sum("repositories/python" in path or "/python/inner/" in path for path in paths),
        "apt": sum("repositories/apt" in path or path.startswith("/apt/projects/inner") for path in paths),
    }


def _exponent(points: Sequence[tuple[float, float]]) -> float:
    """How time grows with size: the slope on logarithmic axes, by least squares; 1 is linear."""
    return statistics.linear_regression(
        *zip(*((math.log(x), math.log(y)) for x, y in points), strict=True)
    ).slope


def _draw(planned: dict[int, list[float]], synced: dict[int, list[float]]) -> None:
    middle = {size: statistics.median(planned[size]) for size in SIZES}
    lines = {
        "plan": list(middle.items()),
        "sync of one change": [(size, statistics.median(synced[size])) for size in SIZES],
        "linear": [(size, middle[SIZES[0]] * size / SIZES[0]) for size in SIZES],
    }
    title = "A release that is there already"
    (HERE / "planning.svg").write_text(plot(title, "artifacts", "seconds", lines, dashed="linear"))


def measure(what: str, folder: Path) -> dict[str, Any]:
    """One measurement: `plan` or `sync`, with the release of a checkout."""
    from dmz.promotion.plan import plan
    from dmz.sync.approval import verified
    from dmz.sync.inner import Inner
    from dmz.sync.inputs import Inputs
    from dmz.sync.work import identity, sync

    os.chdir(folder)
    props = json.loads(Path("inputs.json").read_text())

    async def planned() -> dict[str, Any]:
        inputs = Inputs.of(props)
        approved, _ = verified(inputs)
        async with identity(inputs) as google:
            stored = await Inner.of(google, inputs, approved).list()
        made = plan(approved, stored)
        return {"copied": len(made.copy), "withdrawn": len(made.withdraw)}

    started, worked = time.perf_counter(), time.process_time()
    done = asyncio.run(planned() if what == "plan" else sync(Inputs.of(props), (), adopt=True))
    seconds = time.perf_counter() - started
    processor = time.process_time() - worked
    return {"seconds": seconds, "processor": processor, **{key: done[key] for key in ("copied", "withdrawn")}}


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["plan" | "sync" as what, folder]:
            print(json.dumps(measure(what, Path(folder))))
        case _:
            main()
