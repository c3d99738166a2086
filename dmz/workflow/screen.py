"""Screening a workload: from a machine's claim to a release, by what the outer repositories know.

Which packages are needed is the machine's word. Digests, sizes and upload times are the repositories' and
their upstream's, and a version that is refused leads to a new resolution that leaves it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dmz.promotion import inventory as inventories
from dmz.promotion import release as releases
from dmz.promotion.evidence import Evidence
from dmz.promotion.installed import Installed
from dmz.promotion.inventory import Inventory
from dmz.promotion.refusal import Remedy, explain
from dmz.promotion.release import Release
from dmz.promotion.screening import Screening
from dmz.promotion.summary import Refusal
from dmz.promotion.verdict import Verdict
from dmz.promotion.waivers import Waiver
from dmz.promotion.workload import workload_digest
from dmz.registries.google import connect
from dmz.workflow.base_packages import base_packages
from dmz.workflow.claims import Say
from dmz.workflow.closure import Closure, prove
from dmz.workflow.estate import Estate
from dmz.workflow.outer import Outer
from dmz.workflow.refused import ScreeningRefusedError
from dmz.workflow.release_papers import papers
from dmz.workflow.settle import Setting, settle
from dmz.workflow.sources import screening


@dataclass(frozen=True)
class Screened:
    """What a screening came to."""

    release: Release
    changed: bool
    """Whether the lock files are others than before."""
    refused: tuple[Refusal, ...]
    explanations: tuple[str, ...]
    """Each refusal, as a person would say it, with what was taken instead."""
    verdicts: tuple[Verdict, ...]
    """Of what was admitted, in the release's order."""
    by: Screening
    """The policy, the sources and the waivers that it was judged by, and the moment."""
    closure: Closure = field(default_factory=lambda: Closure((), ()))
    """What was proved of its installation, and what was not."""

    @property
    def unused(self) -> tuple[Waiver, ...]:
        """Waivers that nothing in the release needs."""
        return self.by.unused(self.verdicts)


async def screen(estate: Estate, inventory: Inventory, say: Say) -> Screened:
    """Screen an inventory by the checkout's policy and write the release's lock files into the checkout.

    Raises:
        ScreeningRefusedError: something is refused and nothing takes its place; no file was written.
        RefusedError: what is known is too old to screen by, or the repositories contradict the inventory.
        InputError: the inventory answers something else than the checkout asks, or the policy, a waiver or a
            source is no good.
    """
    image = estate.base_image
    inventories.check(inventory, estate.workload, image, "the inventory")
    outputs = estate.outer_outputs()
    async with connect(outputs["location"]) as google:
        judge = await screening(estate, google, say, expected=len(inventory.apt) + len(inventory.pypi))
        outer = Outer(google, outputs, image, say)
        found = await outer.collect(inventory)
        digest = inventory.base_image.dpkg_digest
        return await admit(estate, judge, outer, found, digest, say, base=inventory.base_packages)


async def admit(
    estate: Estate,
    judge: Screening,
    outer: Outer,
    found: Sequence[Evidence],
    dpkg_digest: str,
    say: Say,
    before: Sequence[tuple[Verdict, Remedy]] = (),
    base: Sequence[Installed] = (),
) -> Screened:
    """Make a release of what is known, resolving again where something is refused, and write it.

    Args:
        found: what the workload needs, with the facts about it.
        dpkg_digest: of the base image's packages.
        before: what was refused already, and what stands in its place.
        base: the base image's packages; empty: looked for where they may be known.

    Raises:
        ScreeningRefusedError: something is refused and nothing takes its place; no file was written.
        RefusedError: what was admitted would not install; no file was written.
    """
    image, workload = estate.base_image, estate.workload
    base = base or await base_packages(outer.google, outer.outputs, estate.folder, image, dpkg_digest)
    settled = await settle(Setting(judge, workload, image, outer, base, say), found)
    refused = [*(each for one, other in before for each in Refusal.of(one, other, image)), *settled.refused]
    explanations = [*(explain(one, other) for one, other in before), *settled.explanations]
    verdicts = judge.judge_all(settled.evidence)
    _refuse([verdict for verdict in verdicts if not verdict.admitted], estate)
    made = Release(
        workload=workload.name,
        workload_digest=workload_digest(workload),
        runtime=image.runtime,
        dpkg_digest=dpkg_digest,
        python=image.python,
        entries=tuple(verdict.entry for verdict in verdicts),
    )
    closure = await prove(outer, made, image, workload, base, say)
    others_made = [each for each in releases.read_all(estate.releases) if each.workload != made.workload]
    # One name with two contents could never be inside: better said now than by the sync.
    releases.union([*others_made, made])
    beside = papers(
        estate,
        made,
        verdicts,
        judge,
        refusals=explanations,
        closure=closure.proved,
        unproved=closure.open,
    )
    changed = releases.write(made, estate.releases, beside)
    verdicts.sort(key=lambda verdict: verdict.entry.artifact)
    return Screened(made, changed, tuple(refused), tuple(explanations), tuple(verdicts), judge, closure)


def _refuse(stopped: Sequence[Verdict], estate: Estate) -> None:
    if stopped:
        raise ScreeningRefusedError(
            " ".join(explain(verdict, None) for verdict in stopped) + " No release was written.",
            [found for verdict in stopped for found in Refusal.of(verdict, None, estate.base_image)],
        )
