"""Promotion by shards: the sync's copying as several tasks of a service, and what that would take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dmz.errors import InputError
from dmz.promotion import lines
from dmz.promotion import release as releases
from dmz.promotion.schedule import Load, Schedule, Task, schedule
from dmz.promotion.shards import Shard
from dmz.promotion.statement import verifier_id
from dmz.sync import PROVIDER_VERSION
from dmz.sync.inputs import Inputs
from dmz.sync.shard import Promoted
from dmz.sync.shard import promote as copy_part
from dmz.workflow.claims import Say
from dmz.workflow.estate import Estate
from dmz.workflow.plan import adopts, approved_before, plan

_OUTER: Final = (
    *("project", "filesBucket", "archiveBucket", "attestationsBucket", "attestationPublicKey"),
    *("attestorServiceAccount", "syncServiceAccount"),
)
_INNER: Final = (
    *("project", "location", "aptRepository", "pythonRepository", "releaseBucket", "stagingBucket"),
)


async def promote(estate: Estate, shard: Shard, say: Say) -> Promoted:
    """Copy one shard of what the next sync would copy, as its identity.

    Raises:
        InputError: a stack is not up, or there is no release.
        RefusedError: a release is not attested, or the sync would refuse the plan; nothing was copied.
        TransferError: an artifact could not be copied; run it again.
    """
    return await copy_part(_inputs(estate), approved_before(estate), shard, adopt=adopts(estate), tell=say)


@dataclass(frozen=True)
class Foreseen:
    """What a promotion by shards would take."""

    schedule: Schedule
    held: int
    """Files that the inner repositories have."""


async def foresee(estate: Estate, tasks: int, task: Task, say: Say) -> Foreseen:
    """How long so many tasks would copy, and how many are worth it; changes nothing.

    Raises:
        InputError: a stack is not up, there is no release, or no such number of tasks.
    """
    found = await plan(estate, say)
    held = len(found.keep) + len(found.clear) + len(found.withdraw) + len(found.lingering)
    return Foreseen(schedule(Load.of(found.copy), tasks, task, held=held), held)


def _inputs(estate: Estate) -> Inputs:
    """What the stack's program would tell the sync."""
    inner, outer = estate.inner_outputs(), estate.outer_outputs()
    for stack, outputs, wanted in (
        (estate.inner_name, inner, _INNER),
        (estate.outer_name, outer, _OUTER),
    ):
        if missing := [name for name in wanted if not outputs.get(name)]:
            raise InputError(
                f"the stack {stack} is of an earlier version, without '{missing[0]}'; run: "
                f"pulumi up -s {stack}"
            )
    settings, policy = estate.inner_settings, estate.policy
    releases.read(estate.releases, estate.workload.name)  # without it the sync would not run
    found = releases.read_all(estate.releases)
    return Inputs.of(
        {
            "packages": lines.render(releases.union(found)),
            "releases": {each.workload: each.digest for each in found},
            "releaseFolder": str(settings.releases),
            **{name: inner[name] for name in _INNER},
            "outerProject": outer["project"],
            "filesBucket": outer["filesBucket"],
            "archiveBucket": outer["archiveBucket"],
            "syncServiceAccount": outer["syncServiceAccount"],
            "attestation": {
                "key": outer["attestationPublicKey"],
                "verifier": verifier_id(outer["attestorServiceAccount"]),
                "bucket": outer["attestationsBucket"],
                "policyDigest": policy.digest,
                "maxAgeSeconds": policy.limits.attestation_max_age.total_seconds(),
            },
            "attestations": {},
            "adopt": settings.adopt,
            "withdrawOnDelete": settings.withdraw_on_delete,
            "providerVersion": PROVIDER_VERSION,
        }
    )
