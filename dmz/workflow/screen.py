"""Screening a workload: from a machine's claim to a release, by what the outer repositories know.

Which packages are needed is the machine's word. Digests, sizes and upload times are the repositories' and
their upstream's, and a version that is refused leads to a new resolution that leaves it out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dmz.promotion import inventory as inventories
from dmz.promotion import release as releases
from dmz.promotion.advisories import Advisories
from dmz.promotion.finding import Severity
from dmz.promotion.inventory import Inventory
from dmz.promotion.release import Release
from dmz.promotion.screening import Policy, Screening, Verdict, explain
from dmz.promotion.summary import Refusal
from dmz.promotion.workload import workload_digest
from dmz.registries.google import connect
from dmz.workflow.claims import Say
from dmz.workflow.estate import Estate
from dmz.workflow.outer import Outer, file_entries
from dmz.workflow.settle import ScreeningRefusedError, Search


@dataclass(frozen=True)
class Screened:
    """What a screening came to."""

    release: Release
    changed: bool
    """Whether the lock files are others than before."""
    refused: tuple[Refusal, ...]
    explanations: tuple[str, ...]
    """Each refusal, as a person would say it, with what was taken instead."""
    noted: tuple[Verdict, ...] = field(default=())
    """Admitted, with findings below the threshold."""


async def screen(
    estate: Estate, inventory: Inventory, advisories: Path, threshold: Severity, say: Say
) -> Screened:
    """Screen an inventory and write the release's lock files into the checkout.

    Raises:
        ScreeningRefusedError: something is refused and nothing takes its place; no file was written.
        InputError: the inventory answers something else than the checkout asks, or the advisories are none.
    """
    inventories.check(inventory, estate.workload, estate.base_image, "the inventory")
    outputs = estate.outer_outputs()
    judge = Screening(Advisories.load(advisories), estate.base_image, Policy(threshold))
    async with connect(outputs["location"]) as google:
        facts = Outer(google, outputs, estate.base_image)
        say("asking the outer repositories for digests and sizes")
        others = [*await facts.debs(inventory), *await file_entries(facts.files, inventory.files)]
        wheels = await facts.wheels(inventory.pypi)
        search = Search(judge, estate.workload, estate.base_image, facts, say)
        wheels, refused, explanations = await search.settle(wheels)
        say("asking the upstream for upload times")
        wheels = await facts.dated(wheels)
    verdicts = [judge.judge(entry) for entry in [*others, *wheels]]
    stopped = [verdict for verdict in verdicts if not verdict.admitted]
    if stopped:
        raise ScreeningRefusedError(
            " ".join(explain(verdict, None) for verdict in stopped) + " No release was written.",
            [found for verdict in stopped for found in Refusal.of(verdict, None, estate.base_image)],
        )
    made = Release(
        workload=estate.workload.name,
        workload_digest=workload_digest(estate.workload),
        runtime=inventory.base_image.runtime,
        dpkg_digest=inventory.base_image.dpkg_digest,
        python=estate.base_image.python,
        entries=tuple(verdict.entry for verdict in verdicts),
    )
    changed = releases.write(made, estate.releases)
    noted = tuple(verdict for verdict in verdicts if verdict.noted)
    return Screened(made, changed, tuple(refused), tuple(explanations), noted)
