"""`dmz plan`: what the next sync would do."""

from __future__ import annotations

import asyncio
import sys

import click

from dmz.commands.common import (
    REFUSED,
    Setting,
    json_option,
    print_json,
    told,
)
from dmz.console import Steps
from dmz.workflow.plan import adopts
from dmz.workflow.plan import plan as plan_


@click.command()
@json_option
@click.pass_obj
def plan(setting: Setting, as_json: bool) -> None:
    """Show what the next sync would copy, keep and withdraw.

    Compares the lock files with what the inner repositories hold at this moment. Changes nothing. The exit
    code is 3 if the sync would refuse.
    """
    steps = Steps()
    with told(as_json):
        estate = setting.entered(steps)
        with steps.step("plan", "Plan") as step:
            found = asyncio.run(plan_(estate, step.say))
        first = not adopts(estate)
    code = REFUSED if found.foreign and first else 0
    if as_json:
        print_json(
            {
                "clear": [each.filename for each in found.clear],
                "copy": [f"{each.key} {each.version}" for each in found.copy],
                "keep": [f"{each.key} {each.version}" for each in found.keep],
                "withdraw": [each.filename for each in found.withdraw],
                "lingering": [each.filename for each in found.lingering],
                "foreign": [each.filename for each in found.foreign],
            }
        )
        sys.exit(code)
    for stored in found.clear:
        click.echo(f"! {stored.kind}/{stored.name} {stored.version} ({stored.filename}): withdrawn first")
    for artifact in found.copy:
        click.echo(f"+ {artifact.key} {artifact.version}")
    for stored in found.withdraw:
        click.echo(f"- {stored.kind}/{stored.name} {stored.version} ({stored.filename})")
    for stored in found.lingering:
        click.echo(f"~ {stored.filename} is in no release, and stays: its version has a released file")
    if found.foreign and first:
        click.echo(
            f"! the first sync waits for dmz:adopt: true: {len(found.foreign)} of these files "
            "are in no release, and this stack did not put them there"
        )
    click.echo(f"{len(found.copy)} to copy, {len(found.keep)} to keep, {len(found.withdraw)} to withdraw")
    sys.exit(code)
