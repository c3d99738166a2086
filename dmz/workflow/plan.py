"""The plan as a person asks for it: the releases in the checkout against what inner holds at this moment."""

from __future__ import annotations

from typing import Final

from dmz.archive import approved
from dmz.promotion import drift
from dmz.promotion import release as releases
from dmz.promotion.plan import Plan
from dmz.promotion.plan import plan as compare
from dmz.registries.bucket import Bucket
from dmz.registries.google import connect
from dmz.sync.withdrawn import refuse_withdrawn
from dmz.workflow.claims import Say
from dmz.workflow.estate import Estate
from dmz.workflow.holdings import held_inside

SYNC: Final = "pulumi-python:dynamic/dmz:PackageSync"
"""The type of the sync in the inner stack's state."""


async def plan(estate: Estate, say: Say) -> Plan:
    """What the next sync would copy, keep and withdraw; changes nothing.

    Raises:
        InputError: the inner stack is not up, or a release does not read.
        RefusedError: a release names what was withdrawn at once.
        TransferError: a service failed, or who asks may not read the archive where only that tells.
    """
    outputs = estate.inner_outputs()
    if outputs.get("packageSync") and estate.workload.name not in releases.released(estate.releases):
        # The sync would not withdraw everything for this, and so it is no plan.
        releases.read(estate.releases, estate.workload.name)
    desired = releases.union(releases.read_all(estate.releases))
    async with connect(outputs["location"]) as google:
        say("reading what the inner repositories have")
        stored = await held_inside(google, outputs, estate.outer_outputs().get("archiveBucket"))
        await refuse_withdrawn(Bucket(google, outputs["releaseBucket"]), desired)
        before = approved_before(estate)
        made = compare(desired, stored, before)
        if made.foreign and not adopts(estate):
            # As the sync does: what a first run copied that came to no end is named by its record alone.
            say("reading what the archive knows of earlier runs")
            archive = Bucket(google, estate.outer_outputs()["archiveBucket"])
            earlier = await approved(archive, outputs["project"], outputs["location"])
            made = compare(desired, stored, earlier.union(before))
        return made


def adopts(estate: Estate) -> bool:
    """Whether the next sync may withdraw what this stack did not put there: not the first one by itself."""
    return estate.inner_settings.adopt or bool(estate.inner.resources(SYNC))


def approved_before(estate: Estate) -> set[str]:
    """The SHA-256 of what the releases of earlier syncs approved for the inner stack, as its state tells."""
    before = [each["outputs"] for each in estate.inner.resources(SYNC)]
    return set().union(*(drift.approved(each["packages"], each.get("lingering") or ()) for each in before))
