"""`dmz screen`: from an inventory to a release."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from dmz.commands.common import (
    Setting,
    advisories_option,
    json_option,
    patience_option,
    print_json,
    refusals,
    threshold_option,
    told,
)
from dmz.console import Steps
from dmz.errors import InputError
from dmz.promotion import inventory as inventories
from dmz.promotion.finding import Severity
from dmz.promotion.inventory import Failure
from dmz.workflow.discover import discover as discover_
from dmz.workflow.screen import Screened
from dmz.workflow.screen import screen as screen_


@click.command()
@advisories_option
@threshold_option
@patience_option
@click.option(
    "--inventory",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Screen this inventory instead of the outer machine's newest.",
)
@json_option
@click.pass_obj
def screen(
    setting: Setting,
    advisories: Path,
    threshold: str,
    patience: float,
    inventory: Path | None,
    as_json: bool,
) -> None:
    """Screen the inventory and write the release's lock files.

    Nothing is copied. Commit what it writes: the pull request is the review. If something is refused and
    nothing takes its place, no file is written and the exit code is 3.
    """
    steps = Steps()
    with told(as_json):
        estate = setting.entered(steps)
        with steps.step("discover", "Inventory") as step:
            if inventory:
                found = inventories.parse(inventory.read_bytes(), str(inventory))
                if isinstance(found, Failure):
                    raise InputError(f"{inventory}: it tells of a failed installation: {found.error}")
            else:
                found = asyncio.run(discover_(estate, step.say, within=patience))
        with steps.step("screen", "Screening") as step:
            screened = asyncio.run(screen_(estate, found, advisories, Severity.parse(threshold), step.say))
    if as_json:
        print_json(_document(screened))
        return
    for words in screened.explanations:
        click.echo(words)
    for verdict in screened.noted:
        artifact = verdict.entry.artifact
        click.echo(
            f"noted, below the threshold: {artifact.name} {artifact.version}: "
            + ", ".join(finding.label for finding in verdict.noted)
        )
    click.echo(
        f"{len(screened.release.entries)} artifacts admitted. The lock files in {estate.releases} "
        + ("were written." if screened.changed else "are unchanged.")
    )
    click.echo(f"release {screened.release.digest}")


def _document(screened: Screened) -> dict[str, Any]:
    return {
        "workload": screened.release.workload,
        "release_digest": screened.release.digest,
        "changed": screened.changed,
        "admitted": [artifact.key for artifact in screened.release.artifacts],
        "refused": refusals(screened.refused),
        "explanations": list(screened.explanations),
    }
