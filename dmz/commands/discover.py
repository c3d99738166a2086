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
    workload_option,
)
from dmz.console import Steps
from dmz.errors import InputError
from dmz.workflow.discover import counted
from dmz.workflow.discover import discover as discover_
from dmz.workflow.foresee import foresee


@click.command()
@patience_option
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Also write it to this file."
)
@click.option(
    "--resolve",
    is_flag=True,
    help="Ask no machine: resolve against the outer repositories, for the base image.",
)
@workload_option
@json_option
@click.pass_obj
def discover(
    setting: Setting,
    patience: float,
    output: Path | None,
    resolve: bool,
    workload: Path | None,
    as_json: bool,
) -> None:
    """Show what the outer machine says the workload needs.

    Waits for its inventory. The outer stack has to be up (dmz run, or pulumi up -s outer). With --resolve
    its machine is not asked: the answer comes in seconds, and says what only an installation could show.
    """
    steps = Steps()
    with told(as_json):
        if workload and not resolve:
            raise InputError(
                f"--workload {workload}: the outer machine installs its stack's own; add --resolve"
            )
        if output and not output.parent.is_dir():
            raise InputError(f"--output {output}: there is no folder {output.parent}; make it first")
        setting.checkout().of_workload(workload)
        estate = setting.entered(steps).of_workload(workload)
        with steps.step("discover", "Discovery") as step:
            found = asyncio.run(
                foresee(estate, step.say) if resolve else discover_(estate, step.say, within=patience)
            )
            step.outcome = counted(found)
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
    for words in found.open:
        click.echo(f"  open  {words}")
