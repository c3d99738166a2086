"""`dmz journal`: what was done to the inner side, by whom, and whether it came to an end."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from dmz.commands.common import Setting, json_option, print_json, told
from dmz.console import Steps
from dmz.promotion.journal import Entry
from dmz.promotion.runs import Run, State
from dmz.promotion.wording import printable
from dmz.workflow.journal import history
from dmz.workflow.journal import told as told_

_COLOURS = {State.FAILED: "red", State.KILLED: "red", State.RUNNING: "yellow"}


@click.command()
@click.argument("run", required=False)
@click.option(
    "--newest",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="How many runs to show, the newest first.",
)
@json_option
@click.pass_obj
def journal(setting: Setting, run: str | None, newest: int, as_json: bool) -> None:
    """Show who changed the inner side, when, and how it ended.

    With RUN (the beginning or the end of a run's name) each event of that run. A run that neither ended nor
    failed, and holds no lease, was killed; the next one says what of it is in place.
    """
    steps, entries = Steps(), list[Entry]()
    with told(as_json):
        estate = setting.entered(steps)
        with steps.step("journal", "Journal") as step:
            if run is None:
                found = asyncio.run(history(estate, step.say, newest))
            else:
                one, entries = asyncio.run(told_(estate, run, step.say))
                found = [one]
    if as_json:
        print_json(
            {"runs": [_document(each) for each in found], "events": [_event(each) for each in entries]}
        )
        return
    if not found:
        click.echo("The journal is empty: nothing was synced since it is kept.")
    for each in found:
        click.secho(_line(each), fg=_COLOURS.get(each.state))
        if each.note:
            click.echo(f"    {each.note}")
    for entry in entries:
        _show(entry)


def _line(run: Run) -> str:
    counts = [
        f"{count} {what}"
        for count, what in ((run.copied, "copied"), (run.withdrawn, "withdrawn"))
        if count is not None
    ]
    if run.bytes is not None:
        counts.append(f"{run.bytes / 1e6:.0f} MB")
    releases = ", ".join(f"{workload} {digest[:16]}" for workload, digest in sorted(run.releases.items()))
    said = (
        f" ({run.said.get('job') or run.said.get('actor') or run.said.get('user')}, as it says)"
        if run.said
        else ""
    )
    return (
        f"{run.at:%Y-%m-%d %H:%M:%S}Z  {run.state:<7}  {run.doing}  {', '.join(counts) or 'counts unknown'}  "
        f"{releases or 'no release'}  by {run.who}{said}  [{run.name}]"
    )


def _show(entry: Entry) -> None:
    part = f" ({entry.part} of {entry.parts})" if entry.parts > 1 else ""
    note = f": {printable(entry.note, 500)}" if entry.note else ""
    click.echo(f"{entry.at[:19]}Z  {entry.action}{part}{note}")
    for item in entry.items:
        click.echo(f"    {printable(item)}")


def _document(run: Run) -> dict[str, Any]:
    return {
        "run": run.name,
        "at": f"{run.at:%Y-%m-%dT%H:%M:%SZ}",
        "state": run.state,
        "doing": run.doing,
        "who": run.who,
        "said": dict(run.said),
        "releases": dict(run.releases),
        "copied": run.copied,
        "withdrawn": run.withdrawn,
        "bytes": run.bytes,
        "note": run.note,
    }


def _event(entry: Entry) -> dict[str, Any]:
    return {
        "number": entry.number,
        "at": entry.at,
        "action": entry.action,
        "items": list(entry.items),
        "note": entry.note,
        "details": entry.details,
    }
