"""`dmz discover`: what the workload needs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import click

from dmz.commands.common import (
    Setting,
    json_option,
    patience_option,
    print_json,
    told,
)
from dmz.console import Steps
from dmz.workflow.discover import discover as discover_
from dmz.workflow.run import counted


@click.command()
@patience_option
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Also write it to this file."
)
@json_option
@click.pass_obj
def discover(setting: Setting, patience: float, output: Path | None, as_json: bool) -> None:
    """Wait for the outer machine's inventory of the workload, and show it.

    The outer stack has to be up (dmz run, or pulumi up -s outer).
    """
    steps = Steps()
    with told(as_json):
        estate = setting.entered(steps)
        with steps.step("discover", "Discovery") as step:
            found = asyncio.run(discover_(estate, step.say, within=patience))
        document = found.model_dump(mode="json", by_alias=True)
        if output:
            output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if as_json:
        print_json(document)
        return
    click.echo(f"{found.workload} on {found.base_image.runtime}: {counted(found)}")
    for deb in found.apt:
        click.echo(f"  apt   {deb.name}:{deb.architecture} {deb.version}")
    for wheel in found.pypi:
        click.echo(f"  pypi  {wheel.name} {wheel.version}{' (built from source)' if wheel.built else ''}")
    for file in found.files:
        click.echo(f"  file  {file.name} {file.sha256}")
