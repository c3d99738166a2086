"""A million artifacts by shards: what the plan takes, and whether all tasks keep to the quota and use it.

Each plan is made in a process of its own, whose whole memory counts: once with nothing inside, and once with
everything there already. Then as many tasks as are recommended copy at the same time, simulated
(`simulation.py`): of all that they ask for, the busiest sixty seconds must not have more than the quota, and
nine tenths of it must be used.

    python -m bench.schedule
"""

from __future__ import annotations

import json
import random
import sys
import time
from typing import Any

from bench import tables
from bench.harness import HERE, ROUNDS, Run, keep, result, run, show
from bench.simulation import Asked, Simulated, artifacts, most_in_a_minute
from dmz.artifact import Artifact, Kind
from dmz.promotion.lanes import lanes
from dmz.promotion.plan import plan
from dmz.promotion.schedule import Load, Quota, Task, schedule
from dmz.promotion.shards import Shard
from dmz.registries.interface import Stored
from dmz.registries.repository import shared

ARTIFACTS = 1_000_000
TASK = Task()
START = 10.0
"""Seconds within which all tasks of a job have started."""


def main() -> None:
    """Measure, print, and write `results.json` and README's tables."""
    fresh = [_process("plan", "nothing", seed) for seed in range(ROUNDS)]
    there = [_process("plan", "everything", seed) for seed in range(ROUNDS)]
    copied = [_process("copy", "nothing", seed)[1] for seed in range(ROUNDS)]
    name = "1,000,000 artifacts"
    results = [
        result(f"plan {name}, nothing inside", "s", [each["seconds"] for _, each in fresh], target=60),
        result(f"plan {name}, all inside", "s", [each["seconds"] for _, each in there], target=60),
        result(f"plan {name}, nothing inside: memory", "MB", [each.memory for each, _ in fresh], target=1000),
        result(f"plan {name}, all inside: memory", "MB", [each.memory for each, _ in there], target=1000),
        result("tasks that are recommended for it", "tasks", [each["tasks"] for each in copied]),
        result("writes in the busiest minute", "of the quota", [each["writes"] for each in copied], target=1),
        result(
            "requests in the busiest minute", "of the quota", [each["requests"] for each in copied], target=1
        ),
        result("writes left unused", "of the quota", [each["unused"] for each in copied], target=0.1),
        result(
            "simulated time, to what was foreseen",
            "times",
            [each["seconds"] / each["foreseen"] for each in copied],
        ),
    ]
    keep(results)
    tables.write()
    show(results)
    if not all(each.holds in (None, True) for each in results):
        sys.exit("a target is missed")


def _process(what: str, inside: str, seed: int) -> tuple[Run, dict[str, Any]]:
    done = run(
        [sys.executable, "-m", "bench.schedule", what, inside, str(seed)], {"PYTHONPATH": str(HERE.parent)}
    )
    return done, json.loads(done.output)


def measure_plan(inside: str, seed: int) -> dict[str, Any]:
    """Plan, and take the plan apart into its shards; what was made up before is not counted."""
    desired = list(artifacts(ARTIFACTS, seed))
    stored = [_listed(artifact) for artifact in desired] if inside == "everything" else []
    started = time.perf_counter()
    made = plan(desired, stored)
    tasks = schedule(Load.of(made.copy), 1, TASK).recommended
    parts = [Shard(index, tasks).part(made) for index in range(1, tasks + 1)]
    seconds = time.perf_counter() - started
    done = sum(len(part.copy) + len(part.keep) for part in parts)
    if done != ARTIFACTS or bool(made.copy) is (inside == "everything"):
        raise RuntimeError(f"not the plan that was asked for: {done} artifacts in {tasks} shards")
    return {"seconds": seconds}


def _listed(artifact: Artifact) -> Stored:
    """As a listing gives it: with texts of its own, of which the registries keep those that are new."""
    name, version = _own(artifact.name), _own(artifact.version)
    stored = Stored(
        artifact.kind,
        name,
        artifact.architecture,
        version,
        _own(artifact.filename),
        _own(artifact.sha256),
        artifact.size,
        (name, version),
    )
    return shared(stored, artifact)


def _own(text: str) -> str:
    return text[:1] + text[1:]


def measure_copy(seed: int) -> dict[str, Any]:
    """Copy with as many tasks as are recommended."""
    made = plan(artifacts(ARTIFACTS, seed), ())
    load = Load.of(made.copy)
    tasks = schedule(load, 1, TASK).recommended
    foreseen = schedule(load, tasks, TASK)
    starts = random.Random(seed)  # noqa: S311 - nothing is secret here
    asked = Asked()
    for index in range(1, tasks + 1):
        shard = Shard(index, tasks)
        task = Simulated(TASK, shard.share, starts.uniform(0, START))
        asked.add(task.run(lanes(shard.part(made).copy, TASK.transfers)))
    asked.requests.sort()
    asked.writes.sort()
    if len(asked.writes) != sum(artifact.kind is Kind.PYPI for artifact in made.copy):
        raise RuntimeError("not every wheel was written once")
    quota, took = Quota(), asked.writes[-1] - asked.writes[0]
    return {
        "tasks": tasks,
        "writes": most_in_a_minute(asked.writes) / quota.writes,
        "requests": most_in_a_minute(asked.requests) / quota.requests,
        "unused": 1 - len(asked.writes) / (quota.writes * took / 60),
        "seconds": took,
        "foreseen": foreseen.seconds,
    }


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["plan", inside, seed]:
            print(json.dumps(measure_plan(inside, int(seed))))
        case ["copy", _, seed]:
            print(json.dumps(measure_copy(int(seed))))
        case _:
            main()
