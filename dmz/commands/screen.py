"""`dmz screen`: from an inventory to a release."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from dmz.commands.common import (
    Setting,
    json_option,
    patience_option,
    print_json,
    refusals,
    told,
    unseen,
    workload_option,
)
from dmz.console import Steps
from dmz.errors import InputError
from dmz.promotion import inventory as inventories
from dmz.promotion.inventory import Failure
from dmz.promotion.remarks import lines, remarks
from dmz.workflow.discover import discover as discover_
from dmz.workflow.foresee import foresee
from dmz.workflow.screen import Screened
from dmz.workflow.screen import screen as screen_


@click.command()
@workload_option
@patience_option
@click.option(
    "--inventory",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Screen this inventory instead of the outer machine's newest.",
)
@click.option(
    "--resolve",
    is_flag=True,
    help="Screen what the outer repositories resolve to, without a machine (dmz discover --resolve).",
)
@json_option
@click.pass_obj
def screen(
    setting: Setting,
    workload: Path | None,
    patience: float,
    inventory: Path | None,
    resolve: bool,
    as_json: bool,
) -> None:
    """Screen the inventory and write the lock files.

    What may enter is policy.toml's word (dmz policy check), and what was accepted is in waivers/.
    Nothing is copied. Commit what it writes: the pull request is the review. If something is refused and
    nothing takes its place, no file is written and the exit code is 3.
    """
    steps = Steps()
    with told(as_json):
        own = setting.checkout()
        own.check_policy()
        if inventory and resolve:
            raise InputError("--inventory and --resolve each say what to screen; give one of them")
        if own.of_workload(workload) is not own and not inventory and not resolve:
            raise InputError(
                f"--workload {workload}: the outer machine installs {own.workload.name}; give an --inventory "
                "of this one, or --resolve"
            )
        estate = setting.entered(steps).of_workload(workload)
        with steps.step("discover", "Inventory") as step:
            if inventory:
                found = inventories.parse(inventory.read_bytes(), str(inventory))
                if isinstance(found, Failure):
                    raise InputError(f"{inventory}: it tells of a failed installation: {found.error}")
            elif resolve:
                found = asyncio.run(foresee(estate, step.say))
            else:
                found = asyncio.run(discover_(estate, step.say, within=patience))
        with steps.step("screen", "Screening") as step:
            screened = asyncio.run(screen_(estate, found, step.say))
    if as_json:
        print_json(_document(screened))
        return
    closure = (*screened.closure.proved, *screened.closure.open)
    for words in (*screened.explanations, *_remarks(screened), *closure):
        click.echo(words)
    click.echo(
        f"{len(screened.release.entries)} artifacts admitted. The lock files in {estate.releases} "
        + ("were written." if screened.changed else "are unchanged.")
    )
    click.echo(f"release {screened.release.digest}")
    if screened.by.context.unseen:
        click.echo(unseen(screened.by.context.unseen))


def _remarks(screened: Screened) -> list[str]:
    return lines(remarks(screened.verdicts), screened.unused)


def _document(screened: Screened) -> dict[str, Any]:
    return {
        "workload": screened.release.workload,
        "release_digest": screened.release.digest,
        "changed": screened.changed,
        "policy_digest": screened.by.policy.digest,
        "waivers_digest": screened.by.waivers.digest,
        "admitted": [artifact.key for artifact in screened.release.artifacts],
        "refused": refusals(screened.refused),
        "explanations": list(screened.explanations),
        "remarks": _remarks(screened),
        "withdrawals_unseen": screened.by.context.unseen or None,
        "closure": {"proved": list(screened.closure.proved), "open": list(screened.closure.open)},
    }
