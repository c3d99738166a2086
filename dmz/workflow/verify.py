"""Verification: what was released is in outer, in inner, and on the sealed machine, to the byte."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from dmz.artifact import Artifact
from dmz.promotion import release as releases
from dmz.promotion import report as reports
from dmz.promotion.release import Release
from dmz.promotion.report import Report
from dmz.promotion.verification import Difference, differences
from dmz.promotion.workload import Workload
from dmz.registries.bucket import Bucket
from dmz.registries.google import connect
from dmz.workflow.claims import PATIENCE, Say, newest
from dmz.workflow.estate import Estate
from dmz.workflow.holdings import held_inside, held_outside


@dataclass(frozen=True)
class Verified:
    """What a verification found."""

    release: Release
    report: Report
    differences: tuple[Difference, ...]
    """Empty: everything is as released."""
    archived: int
    """How many of the files no outer repository offers any more, so that only outer's archive has them."""

    @property
    def holds(self) -> bool:
        """Whether all places agree and the machine's check passed."""
        return not self.differences and self.report.passed


async def report_of(
    estate: Estate, release: Release, say: Say, *, within: float = PATIENCE, since: datetime | None = None
) -> Report:
    """The newest report of the sealed machine that names this release and the workload's present check.

    Args:
        within: seconds after which waiting ends.
        since: a failure from before this moment is not the last word, as the machine tries again by itself;
            None for the moment of the call.

    Raises:
        DmzError: there was none in time.
    """
    outputs = estate.inner_outputs()
    earliest = (since or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    async with connect(outputs["location"]) as google:
        return await newest(
            Bucket(google, outputs["reportsBucket"]),
            f"reports/{release.workload}/{release.digest}/",
            reports.parse,
            lambda report: _speaks_of(report, release, estate.workload),
            say,
            within=within,
            settled=lambda report: report.error is None or report.created >= earliest,
        )


def _speaks_of(report: Report, release: Release, workload: Workload) -> bool:
    check = hashlib.sha256(workload.check.encode()).hexdigest()
    return report.release == release.digest and (report.check is None or report.check.sha256 == check)


async def verify(
    estate: Estate, say: Say, *, within: float = PATIENCE, since: datetime | None = None
) -> Verified:
    """Compare the four places for the workload's release.

    Args:
        within: seconds to wait for the machine's report.
        since: as `report_of` takes it.

    Raises:
        InputError: there is no release, or it does not read.
        DmzError: the machine has not reported.
    """
    release = releases.read(estate.releases, estate.workload.name)
    report = await report_of(estate, release, say, within=within, since=since)
    others: list[Artifact] = [
        artifact
        for each in releases.read_all(estate.releases)
        if each.workload != release.workload
        for artifact in each.artifacts
    ]
    outer, inner = estate.outer_outputs(), estate.inner_outputs()
    async with connect(inner["location"]) as google:
        say("reading what the outer repositories have")
        outside = await held_outside(google, outer, estate.base_image, release.artifacts)
        say("reading what the inner repositories have")
        inside = await held_inside(google, inner, outer.get("archiveBucket"))
    found = differences(release.artifacts, outside.held, inside, report.held, others)
    return Verified(release, report, tuple(found), outside.archived)
