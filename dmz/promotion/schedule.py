"""How many tasks are worth it: what a copy by shards takes, within what the service lets all of them do.

Artifact Registry counts requests, writes and deletes of a project in each region and minute
(https://cloud.google.com/artifact-registry/quotas). Tasks know nothing of each other, so each keeps to its
share: however they are started, all together stay within the quota.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dmz.artifact import Artifact, Kind
from dmz.errors import InputError
from dmz.promotion.shards import MOST

RESERVE: Final = 0.05
"""Part of the quota that a task may use at once; the rest of it is what lasts (`dmz.registries.pace`)."""
_UNEVEN: Final = 0.8
"""How much of its time a recommended task transfers: a hash shares out bytes less evenly than files."""
_WORTH: Final = 60.0
"""Seconds of work below which another task does not pay for its start."""
_PAGE: Final = 1000
"""Files in a page of a listing."""


@dataclass(frozen=True)
class Quota:
    """What may be asked of Artifact Registry in one region, in a minute; as published in November 2026."""

    requests: float = 60_000
    """All of them, writes and deletes as well."""
    writes: float = 18_000
    deletes: float = 18_000

    def share(self, tasks: int) -> Quota:
        """What each of so many tasks does in a minute, when it does as much as it may."""
        part = (1 - RESERVE) / tasks
        return Quota(part * self.requests, part * self.writes, part * self.deletes)


@dataclass(frozen=True)
class Task:
    """What one task can do, whatever the service allows."""

    bandwidth: float = 125e6
    """Bytes a second that go through it; each comes in and goes out."""
    transfers: int = 32
    """At the same time, at most."""
    latency: float = 0.5
    """Seconds that a transfer takes besides its bytes."""


@dataclass(frozen=True)
class Load:
    """What there is to copy."""

    files: int = 0
    bytes: int = 0
    requests: int = 0
    """Of Artifact Registry."""
    writes: int = 0

    @classmethod
    def of(cls, artifacts: Iterable[Artifact]) -> Load:
        """What copying artifacts asks for.

        A wheel is one request to read and one to write. A deb is read, and staged in Cloud Storage, which
        has its own limits; the import is the sync's. A file never comes near Artifact Registry.
        """
        files = size = requests = writes = 0
        for artifact in artifacts:
            files += 1
            size += artifact.size
            requests += _REQUESTS[artifact.kind]
            writes += artifact.kind is Kind.PYPI
        return cls(files, size, requests, writes)


_REQUESTS: Final = {Kind.PYPI: 2, Kind.APT: 1, Kind.FILE: 0}


class Limit(StrEnum):
    """What it is that takes so long."""

    WRITES = "the quota of writes"
    REQUESTS = "the quota of requests"
    BANDWIDTH = "bandwidth"
    TRANSFERS = "the number of transfers at the same time"


@dataclass(frozen=True)
class Schedule:
    """What to expect of a number of tasks."""

    tasks: int
    quota: Quota
    """Of each task, a minute."""
    load: Load
    """Of all tasks together."""
    seconds: float
    """How long it will take, the longest of what limits it; single steps may overlap less well."""
    limit: Limit
    recommended: int
    """Tasks from which on the quota is what limits, or each would have less than a minute to do."""


def schedule(load: Load, tasks: int, task: Task = Task(), held: int = 0) -> Schedule:
    """What a copy by so many tasks takes.

    Args:
        load: all that there is to copy.
        tasks: how many take part.
        task: what each of them can do.
        held: files that the repositories hold, which each task lists.

    Raises:
        InputError: no task, or too many.
    """
    if not 1 <= tasks <= MOST:
        raise InputError(f"{tasks} tasks: there must be from 1 to {MOST}")
    each = Quota().share(tasks)
    times = _times(load, tasks, task, each, held)
    limit = max(times, key=lambda one: times[one])
    return Schedule(tasks, each, load, times[limit], limit, _recommended(load, task))


def _times(load: Load, tasks: int, task: Task, each: Quota, held: int) -> dict[Limit, float]:
    """Seconds that each limit alone makes it take."""
    listing = math.ceil(held / _PAGE)
    return {
        Limit.WRITES: 60 * load.writes / (tasks * each.writes),
        Limit.REQUESTS: 60 * (load.requests / tasks + listing) / each.requests,
        Limit.BANDWIDTH: load.bytes / (tasks * task.bandwidth),
        Limit.TRANSFERS: load.files * task.latency / (tasks * task.transfers),
    }


def _recommended(load: Load, task: Task) -> int:
    one = _times(load, 1, task, Quota().share(1), 0)
    asked = max(one[Limit.WRITES], one[Limit.REQUESTS], _WORTH)
    moved = max(one[Limit.BANDWIDTH], one[Limit.TRANSFERS]) / _UNEVEN
    return max(1, min(MOST, math.ceil(moved / asked)))
