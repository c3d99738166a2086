"""All of it: outer up, inventory, screening, preview, attestation, inner up, report, verification."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dmz.automation import Changes, engine
from dmz.console import Steps
from dmz.errors import DmzError, RefusedError
from dmz.promotion import release as releases
from dmz.promotion.probes import Judgement, Verdict, judge, sealed
from dmz.promotion.remarks import remarks
from dmz.promotion.summary import Summary, counts
from dmz.promotion.transfer import Counters
from dmz.workflow.attest import Attested, attest
from dmz.workflow.claims import PATIENCE
from dmz.workflow.discover import counted, counts_of, discover
from dmz.workflow.estate import Estate
from dmz.workflow.plan import SYNC
from dmz.workflow.screen import Screened, screen
from dmz.workflow.verify import Verified, verify


@dataclass(frozen=True)
class Options:
    """What a person may choose of a run."""

    patience: float = PATIENCE
    """Seconds to wait for each machine."""
    unmerged: bool = False
    """Whether a release may be attested that nobody merged: for trying out, not for a project of worth."""


@dataclass(frozen=True)
class Ran:
    """What a run did and found."""

    summary: Summary
    screened: Screened
    attested: Attested
    """Of the workload's release."""
    verified: Verified
    judgements: tuple[Judgement, ...]
    preview: Changes
    changed: bool
    """Whether anything is other than before."""

    @property
    def leaks(self) -> tuple[Judgement, ...]:
        """The ways out that the sealed machine found."""
        return tuple(each for each in self.judgements if each.verdict is Verdict.LEAK)

    @property
    def holds(self) -> bool:
        """Whether the run may be called a success: verified, the check passed, nothing leaked."""
        return self.verified.holds and not self.leaks

    def write(self, path: Path) -> None:
        """Write the report for scripts."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.summary.document(), indent=2) + "\n", encoding="utf-8")


def run(estate: Estate, options: Options, steps: Steps) -> Ran:
    """Carry the workload in the checkout all the way through.

    Raises:
        DmzError: a step did not work; what was done before stays, and running again goes on from there.
    """
    began = datetime.now(UTC)
    # A lock that does not read is for a person to look at: screening would write over it.
    releases.read_all(estate.releases)
    # A policy that does not parse is said before anything comes up.
    estate.check_policy()
    with steps.step("outer", "Outer stack: projects, network, repositories, machine") as step:
        outer = estate.outer.up(step.say)
        step.outcome = str(outer)
    with steps.step("discover", "Discovery: the outer machine installs the workload") as step:
        inventory = asyncio.run(discover(estate, step.say, within=options.patience, since=began))
        step.outcome = counted(inventory)
    with steps.step("screen", "Screening: inventory, advisories, policy") as step:
        screened = asyncio.run(screen(estate, inventory, step.say))
        step.outcome = (
            f"{len(screened.release.entries)} artifacts admitted, {len(screened.refused)} findings refused; "
            + ("lock files written" if screened.changed else "lock files unchanged")
        )
    if estate.inner.resources():
        with steps.step("refresh", "Refresh: what do the inner repositories hold today?") as step:
            estate.inner.refresh(step.say)
    with steps.step("preview", "Preview: what would change inside") as step:
        preview = estate.inner.preview(step.say)
        step.outcome = str(preview)
    with steps.step("attest", "Attestation: the release is judged once more and signed") as step:
        attested = asyncio.run(attest(estate, step.say, unmerged=options.unmerged))
        made = [each for each in attested if each.made]
        step.outcome = f"{len(made)} signed" if made else "still holds"
    before, entered = _last_sync(estate), datetime.now(UTC)
    inner = preview
    if preview.any or made:
        with steps.step("inner", "Inner stack: sealed network, sync, machine") as step:
            inner = estate.inner.up(step.say)
            step.outcome = str(inner)
    outputs = estate.inner_outputs()
    copied = _counters(outputs, estate, before, len(screened.release.entries))
    with steps.step("verify", "Verification: released = outer = inner = installed") as step:
        # A failure with a release that was here before is of no account: the sync may have mended it.
        new = (before or {}).get("releases") != outputs.get("releases")
        since = entered if new else None
        verified = asyncio.run(verify(estate, step.say, within=options.patience, since=since))
        step.outcome = "all agree" if verified.holds else "NOT as released"
    if verified.report.error:
        raise RefusedError(f"the inner machine refused: {verified.report.error}")
    judgements = judge(inventory.probes, verified.report.probes)
    summary = Summary(
        workload=estate.workload.name,
        release_digest=screened.release.digest,
        engine=engine(),
        discovered=counts_of(inventory),
        installed=counts(held.kind for held in verified.report.held),
        refused=screened.refused,
        network_sealed=sealed(judgements),
        perimeter_sealed=not outputs.get("seal"),
        sync=copied,
        outer_probes=inventory.probes,
        inner_probes=verified.report.probes,
        verified=verified.holds,
        seconds=steps.seconds,
        policy=screened.by.policy.digest,
        sources=screened.by.sources,
        remarks=Counter(remark.sort for remark in remarks(screened.verdicts)),
    )
    changed = outer.any or inner.any or screened.changed or bool(made)
    [own] = [each for each in attested if each.release.workload == screened.release.workload]
    return Ran(summary, screened, own, verified, tuple(judgements), preview, changed)


def _last_sync(estate: Estate) -> Mapping[str, Any] | None:
    found = [each.get("outputs") or {} for each in estate.inner.resources(SYNC)]
    return found[0] if found else None


def _counters(
    outputs: Mapping[str, Any], estate: Estate, before: Mapping[str, Any] | None, artifacts: int
) -> Counters:
    """What the sync did in this run; the state keeps what it did when it last did something."""
    after = _last_sync(estate)
    if after is None:
        raise DmzError(
            f"stack {estate.inner_name} has no PackageSync after up; look at its output: {outputs}"
        )
    if before is not None and before.get("packages") == after.get("packages"):
        return Counters(kept=artifacts)
    return Counters(
        copied=int(after["copied"]),
        kept=int(after["kept"]),
        withdrawn=int(after["withdrawn"]),
        bytes=int(after["bytes"]),
        seconds=float(after["seconds"]),
    )
