"""What is measured on our side: open the advisories, ask for every artifact. A process of its own."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path


def main(advisories: str, items: str, cache: str, count: str) -> None:
    """Screen the first `count` artifacts of a file; prints what it took inside, and what was found."""
    started = time.perf_counter()
    from dmz.promotion.advisories import Database

    wanted = json.loads(Path(items).read_text())[: int(count)]
    database = Database.open(Path(advisories), Path(cache))
    opened, processor = time.perf_counter(), time.process_time()
    found = [database.findings(ecosystem, name, version) for ecosystem, name, version in wanted]
    asked = time.process_time() - processor
    print(
        json.dumps(
            {
                "open": opened - started,
                "ask": asked,
                "refused": sum(map(bool, found)),
                "findings": sum(map(len, found)),
                "records": database.count,
                "memory": _memory(),
            }
        )
    )


def _memory() -> float:
    """MB at the peak of this process, and of as many as there are processors at the peak of the largest."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    others = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * len(os.sched_getaffinity(0))
    return (own + others) / 1000


if __name__ == "__main__":
    main(*sys.argv[1:])
