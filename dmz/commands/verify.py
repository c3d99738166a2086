"""`dmz verify`: released = outer = inner = installed."""

from __future__ import annotations

import asyncio
import sys

import click

from dmz.commands.common import (
    DIFFERENT,
    Setting,
    json_option,
    patience_option,
    print_json,
    told,
)
from dmz.console import Steps
from dmz.workflow.verify import verify as verify_


@click.command()
@patience_option
@json_option
@click.pass_obj
def verify(setting: Setting, patience: float, as_json: bool) -> None:
    """Prove that released = outer = inner = installed.

    By the SHA-256 of every file. The exit code is 4 if they differ.
    """
    steps = Steps()
    with told(as_json):
        estate = setting.entered(steps)
        with steps.step("verify", "Verification") as step:
            found = asyncio.run(verify_(estate, step.say, within=patience))
    if as_json:
        print_json(
            {
                "release_digest": found.release.digest,
                "verified": found.holds,
                "differences": [str(each) for each in found.differences],
                "in_archive_alone": found.archived,
                "check": found.report.check.exit if found.report.check else None,
                "error": found.report.error,
            }
        )
    else:
        if found.report.error:
            click.echo(f"the inner machine refused: {found.report.error}")
        for difference in found.differences:
            click.echo(str(difference))
        if found.archived:
            click.echo(
                f"{found.archived} files no outer repository offers any more; outer's archive has them"
            )
        click.echo(
            f"release {found.release.digest}: {'all four agree' if found.holds else 'NOT as released'}"
        )
    sys.exit(0 if found.holds else DIFFERENT)
