"""`dmz promote`: the sync's copying, by shards, ahead of it."""

from __future__ import annotations

import asyncio

import click

from dmz.commands.common import Setting, json_option, print_json, told
from dmz.console import Steps
from dmz.promotion.progress import duration
from dmz.promotion.schedule import Schedule, Task
from dmz.promotion.shards import Shard
from dmz.sync.shard import Promoted
from dmz.workflow.promote import foresee
from dmz.workflow.promote import promote as promote_


@click.command()
@click.option(
    "--shard",
    default="1/1",
    show_default=True,
    metavar="I/N",
    help="The part that this task copies: the first of four is 1/4. All tasks need the same N.",
)
@click.option(
    "--schedule",
    "tasks",
    type=int,
    metavar="N",
    help="Copy nothing; show how long N tasks would take, what limits them, and how many are worth it.",
)
@click.option(
    "--bandwidth",
    type=click.FloatRange(min=0, min_open=True),
    default=125.0,
    show_default=True,
    metavar="MB/S",
    help="With --schedule: what goes through one task in a second.",
)
@json_option
@click.pass_obj
def promote(setting: Setting, shard: str, tasks: int | None, bandwidth: float, as_json: bool) -> None:
    """Copy what the next sync would copy, or one shard of it.

    For a release that is too large for one machine: run it as N tasks, each with its --shard I/N, then
    `pulumi up`, which clears, admits, publishes and withdraws, and has little left to copy. A shard copies
    attested artifacts only, as the sync's own identity. Running it twice does nothing the second time.

    Cloud Run jobs count their tasks from 0:

    \b
    dmz promote --shard $((CLOUD_RUN_TASK_INDEX + 1))/$CLOUD_RUN_TASK_COUNT
    """
    steps = Steps()
    with told(as_json):
        part = Shard.parse(shard)
        estate = setting.entered(steps)
        if tasks is not None:
            with steps.step("schedule", f"Schedule of {tasks} tasks") as step:
                made = asyncio.run(foresee(estate, tasks, Task(bandwidth * 1e6), step.say)).schedule
            _show_schedule(made, as_json)
            return
        with steps.step("promote", f"Promotion of shard {part}") as step:
            done = asyncio.run(promote_(estate, part, step.say))
            step.outcome = _outcome(done)
    if as_json:
        print_json(_document(done))
        return
    if done.contested:
        first = done.contested[0]
        click.echo(
            f"{len(done.contested)} files wait for the next `pulumi up`, such as {first.key} "
            f"{first.version}: their versions hold what nobody approved, and the sync clears that first"
        )
    if not (done.copied or done.contested):
        click.echo("Nothing had to be copied.")


def _outcome(done: Promoted) -> str:
    staged = f", {done.staged} staged before" if done.staged else ""
    return f"{done.copied} copied ({done.bytes / 1e6:.0f} MB){staged}, {done.kept} were there"


def _document(done: Promoted) -> dict[str, object]:
    return {
        "shard": str(done.shard),
        "copied": done.copied,
        "bytes": done.bytes,
        "staged": done.staged,
        "kept": done.kept,
        "contested": [f"{each.key} {each.version}" for each in done.contested],
        "seconds": round(done.seconds, 1),
    }


def _show_schedule(made: Schedule, as_json: bool) -> None:
    load, each = made.load, made.quota
    if as_json:
        print_json(
            {
                "tasks": made.tasks,
                "files": load.files,
                "bytes": load.bytes,
                "seconds": round(made.seconds, 1),
                "limit": made.limit.name.lower(),
                "recommended": made.recommended,
                "requests_per_minute_and_task": each.requests,
                "writes_per_minute_and_task": each.writes,
            }
        )
        return
    if not load.files:
        click.echo("Nothing has to be copied.")
        return
    click.echo(
        f"{load.files} files, {load.bytes / 1e6:.0f} MB, by {made.tasks} tasks: about "
        f"{duration(made.seconds)}; what limits is {made.limit}"
    )
    click.echo(f"each task keeps to {each.requests:.0f} requests and {each.writes:.0f} writes a minute")
    click.echo(f"worth it: {made.recommended} tasks")
