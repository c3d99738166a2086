"""`dmz run`: all of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from dmz.commands.common import (
    DIFFERENT,
    Setting,
    advisories_option,
    json_option,
    patience_option,
    print_json,
    threshold_option,
    told,
)
from dmz.console import Steps
from dmz.promotion.finding import Severity
from dmz.workflow.run import Options
from dmz.workflow.run import run as run_
from dmz.workflow.summary import announce

_REPORT: Final = Path(".sandbox/report.json")


@click.command()
@advisories_option
@threshold_option
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
def run(
    setting: Setting, advisories: Path, threshold: str, patience: float, report: Path, as_json: bool
) -> None:
    """Do all of it: both stacks up, discovery, screening, sync, installation, probes, verification.

    Safe to run again: what is in place stays, and it says when nothing had to change.
    """
    steps = Steps()
    with told(as_json):
        estate = setting.entered(steps)
        ran = run_(estate, Options(advisories, Severity.parse(threshold), patience), steps)
        ran.write(report)
    if as_json:
        print_json(ran.summary.document())
    else:
        announce(ran, report, steps)
    sys.exit(0 if ran.holds else DIFFERENT)
