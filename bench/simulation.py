"""Tasks that copy at the same time, simulated event by event: what they ask of the service, and when.

What decides is the product's: the plan, its shards, the order in which a task copies, and the pace that it
keeps to. What is simulated is time: how long a transfer takes, and what goes through a task's network.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from dmz.artifact import Artifact, Kind
from dmz.promotion.schedule import Task
from dmz.registries.pace import Quota

MINUTE = 60.0


def artifacts(count: int, seed: int = 1) -> Iterator[Artifact]:
    """Made-up wheels and debs, three to two, of lognormal sizes: a few have most of the bytes.

    The middle wheel has 150 kB and the mean one 2.7 MB, the middle deb 80 kB and the mean one 0.6 MB.
    """
    chance = random.Random(seed)  # noqa: S311 - nothing is secret here
    for number in range(count):
        digest = f"{chance.getrandbits(256):064x}"
        version = f"{chance.randrange(9)}.{chance.randrange(20)}.{chance.randrange(9)}"
        if number % 5 < 3:
            name = f"package-{number // 5}-{number % 5}"
            filename = f"{name.replace('-', '_')}-{version}-cp312-cp312-manylinux_2_17_x86_64.whl"
            size = _size(chance, 150e3, 2.4)
            yield Artifact(Kind.PYPI, name, "", version, filename, digest, size, "python-remote", ("jax",))
        else:
            name = f"libpackage{number}-dev"
            filename = f"{name}_{version}-1_amd64.deb"
            size = _size(chance, 80e3, 2.0)
            yield Artifact(
                Kind.APT,
                name,
                "amd64",
                f"{version}-1",
                filename,
                digest,
                size,
                "apt-bookworm",
                ("dependency",),
            )


def _size(chance: random.Random, middle: float, spread: float) -> int:
    return 1000 + min(int(middle * chance.lognormvariate(0, spread)), 4_000_000_000)


@dataclass
class Asked:
    """When something was asked of Artifact Registry, in seconds."""

    requests: list[float] = field(default_factory=list)
    writes: list[float] = field(default_factory=list)

    def add(self, other: Asked) -> None:
        """Put what another task asked for to it."""
        self.requests += other.requests
        self.writes += other.writes


def most_in_a_minute(moments: Sequence[float]) -> int:
    """How many there are at most in any sixty seconds, wherever they begin; of sorted moments."""
    first = most = 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= MINUTE:
            first += 1
        most = max(most, last - first + 1)
    return most


class _Step(Enum):
    OPENED = auto()
    """The source answers, and the destination can be asked."""
    MOVE = auto()
    """Both are open: the bytes may go."""
    END = auto()
    """The destination has answered."""


class Simulated:
    """One task. The bandwidth is shared evenly among the transfers that are at their bytes."""

    def __init__(self, task: Task, share: float, begins: float) -> None:
        self._task = task
        self._quota = Quota(share, lambda: self.now)
        self.now = begins
        """Seconds, by its own clock."""
        self._each = 0.0
        """Bytes that one that has been transferring for ever has got by now."""
        self._moving: list[tuple[float, int, Artifact, Iterator[Artifact]]] = []
        """By what `_each` will be when they have all their bytes."""
        self._waiting: list[tuple[float, int, _Step, Artifact, Iterator[Artifact]]] = []
        """By the moment of their next step."""
        self._count = 0
        self.asked = Asked()

    def run(self, workers: Sequence[Iterator[Artifact]]) -> Asked:
        """Copy everything that the workers get to; returns what was asked, and when."""
        for worker in workers:
            self._read(worker)
        while self._moving or self._waiting:
            if self._advance():
                _, _, artifact, worker = heapq.heappop(self._moving)
                self._wait(self.now + self._task.latency / 2, _Step.END, artifact, worker)
                continue
            _, _, step, artifact, worker = heapq.heappop(self._waiting)
            if step is _Step.OPENED:
                self._write(artifact, worker)
            elif step is _Step.MOVE:
                self._count += 1
                heapq.heappush(self._moving, (self._each + artifact.size, self._count, artifact, worker))
            else:
                self._read(worker)
        return self.asked

    def _advance(self) -> bool:
        """Go on to the next event; whether it is that a transfer has all its bytes."""
        rate = self._task.bandwidth / len(self._moving) if self._moving else 0.0
        done = self.now + (self._moving[0][0] - self._each) / rate if self._moving else float("inf")
        step = self._waiting[0][0] if self._waiting else float("inf")
        moment = max(self.now, min(done, step))
        self._each += (moment - self.now) * rate
        self.now = moment
        return done <= step

    def _wait(self, until: float, step: _Step, artifact: Artifact, worker: Iterator[Artifact]) -> None:
        self._count += 1
        heapq.heappush(self._waiting, (until, self._count, step, artifact, worker))

    def _read(self, worker: Iterator[Artifact]) -> None:
        artifact = next(worker, None)
        if artifact is None:
            return
        moment = self._quota.next("GET", "")
        self.asked.requests.append(moment)
        self._wait(moment + self._task.latency / 2, _Step.OPENED, artifact, worker)

    def _write(self, artifact: Artifact, worker: Iterator[Artifact]) -> None:
        moment = self.now
        if artifact.kind is Kind.PYPI:  # a deb goes to Cloud Storage
            moment = self._quota.next("POST", "")
            self.asked.requests.append(moment)
            self.asked.writes.append(moment)
        self._wait(moment, _Step.MOVE, artifact, worker)
