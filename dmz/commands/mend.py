"""`dmz mend`: the smallest change of a release after which nothing in it is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from dmz.commands.common import Setting, json_option, print_json, refusals, told, unseen, workload_option
from dmz.console import Steps
from dmz.promotion import release as releases
from dmz.promotion.difference import Side, difference
from dmz.workflow.mend import mend as mend_


@click.command()
@workload_option
@json_option
@click.pass_obj
def mend(setting: Setting, workload: Path | None, as_json: bool) -> None:
    """Write lock files in which nothing is refused now.

    They are for a pull request. Begins with the release in the checkout and changes as little as it can:
    what is admitted today stays. Nothing is copied. If something is refused and nothing takes its place,
    no file is written and the exit code is 3.
    """
    steps = Steps()
    with told(as_json):
        setting.checkout().of_workload(workload)
        estate = setting.entered(steps).of_workload(workload)
        before = releases.read(estate.releases, estate.workload.name)
        with steps.step("mend", "Mending the release") as step:
            screened = asyncio.run(mend_(estate, step.say))
    after = screened.release if screened else before
    found = difference(Side(before), Side(after))
    if as_json:
        print_json(
            {
                "workload": before.workload,
                "release_digest": after.digest,
                "changed": not found.empty,
                "refused": refusals(screened.refused if screened else ()),
                "explanations": list(screened.explanations if screened else ()),
                "difference": found.document(),
                "closure": {
                    "proved": list(screened.closure.proved if screened else ()),
                    "open": list(screened.closure.open if screened else ()),
                },
            }
        )
        return
    if screened is None:
        click.echo(f"Nothing to mend: all of release {before.digest} would be admitted today.")
        return
    closure = (*screened.closure.proved, *screened.closure.open)
    for words in (*screened.explanations, *found.lines(), *closure):
        click.echo(words)
    click.echo(f"The lock files in {estate.releases.name} were written. Commit them for review.")
    click.echo(f"release {after.digest}")
    if screened.by.context.unseen:
        click.echo(unseen(screened.by.context.unseen))
