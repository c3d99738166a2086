"""What is measured on our side: judge artifacts by the shipped policy. A process of its own.

It is what `dmz screen` does, and `dmz status` for what is inside, but for gathering the facts about the
artifacts: open the policy and the advisories, look up what is known, judge. The facts are read from a file, a
line for each artifact; how many there are is known before, as from an inventory or a release.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

import msgspec

from bench.facts import IMAGE, TODAY
from dmz.collecting import collect_rarely
from dmz.promotion.evidence import Evidence
from dmz.promotion.policy import FILE, Policy
from dmz.promotion.rules.rule import Context
from dmz.promotion.screening import Screening
from dmz.promotion.sources.configured import local
from dmz.promotion.waivers import Waivers

_POLICY = Path(__file__).parents[1] / FILE


def main(advisories: str, facts: str, cache: str, count: str) -> None:
    """Screen the first `count` artifacts of a file; prints what it took inside, and what it came to."""
    started = time.perf_counter()
    shipped = Policy.read(_POLICY)
    policy = replace(shipped, sources=shipped.sources.model_copy(update={"advisories": advisories}))
    sources = local(policy, IMAGE, TODAY, cache=Path(cache), expected=int(count))
    screening = Screening(policy, sources, Waivers(), IMAGE, Context(TODAY))
    opened = time.perf_counter()
    with Path(facts).open("rb") as file:
        artifacts = msgspec.json.Decoder(Evidence).decode_lines(b"".join(islice(file, int(count))))
    processor = _processor()
    verdicts = screening.judge_all(artifacts)
    judged = _processor() - processor
    found = [{seen.finding.id for seen in each.seen if seen.finding} for each in verdicts]
    print(
        json.dumps(
            {
                "open": opened - started,
                "judge": judged,
                "refused": sum(not each.admitted for each in verdicts),
                "vulnerable": sum(map(bool, found)),
                "findings": sum(map(len, found)),
            }
        )
    )


def _processor() -> float:
    """Seconds that this process and those that it started and that have ended have worked."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


if __name__ == "__main__":
    collect_rarely()  # as the command line does
    main(*sys.argv[1:])
