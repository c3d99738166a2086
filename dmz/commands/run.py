"""`dmz run`: all of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from dmz import targets
from dmz.commands.common import (
    DIFFERENT,
    Setting,
    json_option,
    patience_option,
    print_json,
    told,
)
from dmz.console import Steps
from dmz.workflow.run import Options
from dmz.workflow.run import run as run_
from dmz.workflow.summary import announce

_REPORT: Final = Path(".sandbox/report.json")


@click.command()
@patience_option
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    default=_REPORT,
    show_default=True,
    help="Where to write the report for scripts.",
)
@json_option
@click.pass_obj
def run(setting: Setting, patience: float, report: Path, as_json: bool) -> None:
    """Do all of it, from the stacks to the verification.

    Both stacks up, discovery, screening, attestation, sync, installation, verification. Safe to run
    again: what is in place stays, and it says when nothing had to change. On Google Cloud it ends before
    the attestation as long as the lock files are not committed as they are; elsewhere nobody reviews.
    """
    steps = Steps()
    with told(as_json):
        estate = setting.entered(steps)
        ran = run_(estate, Options(patience, unmerged=setting.target != targets.GOOGLE), steps)
        ran.write(report)
    if as_json:
        print_json(ran.summary.document())
    else:
        announce(ran, report, steps)
    sys.exit(0 if ran.holds else DIFFERENT)
