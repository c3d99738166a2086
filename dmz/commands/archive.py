"""`dmz archive`: what outer keeps of what was admitted, and letting go of what no kept release needs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import click

from dmz.commands.common import Setting, json_option, print_json, told
from dmz.console import Steps
from dmz.errors import InputError
from dmz.promotion.change import megabytes
from dmz.registries.archive import Content
from dmz.workflow.archive import Archived, Pruned
from dmz.workflow.archive import prune as prune_
from dmz.workflow.archive import show as show_

_SHOWN: Final = 5
"""Files of a kind that are named one by one."""


@click.group()
def archive() -> None:
    """Show what is kept, and prune what is not needed.

    Every file that a sync lets in is kept in outer by its SHA-256, as long as one of the newest releases of
    an inner stack names it (dmz:keptReleases): going back, or filling a second inner project, needs no
    upstream.
    """


@archive.command()
@json_option
@click.pass_obj
def show(setting: Setting, as_json: bool) -> None:
    """Show which releases are kept, and what pruning would free."""
    steps = Steps()
    with told(as_json):
        estate = setting.entered(steps)
        with steps.step("archive", "Archive") as step:
            found = asyncio.run(show_(estate, step.say))
    if as_json:
        print_json(_document(found))
        return
    for line in _lines(found):
        click.echo(line)


@archive.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def prune(setting: Setting, yes: bool, as_json: bool) -> None:
    """Delete what no kept release names.

    Shows it first and asks. Acts as the archivist, the only one who can delete here; what is younger than a
    day stays. What was begun and interrupted goes on the next time.
    """
    steps = Steps()
    with told(as_json):
        if as_json and not yes:
            raise InputError("--json can't ask; look with `dmz archive show --json`, then add --yes")
        estate = setting.entered(steps)
        with steps.step("archive", "Archive") as step:
            found = asyncio.run(show_(estate, step.say))
        if not as_json:
            for line in _lines(found):
                click.echo(line)
        if not found.nothing_to_do and not yes:
            click.confirm(f"Delete {_amount(found.free)} and {len(found.old)} records for good?", abort=True)
        done = Pruned()
        if not found.nothing_to_do:
            with steps.step("prune", "Pruning") as step:
                done = asyncio.run(prune_(estate, found, step.say))
    if as_json:
        print_json(
            {
                **_document(found),
                "pruned": {"objects": done.objects, "bytes": done.bytes, "records": done.records},
            }
        )
    elif found.nothing_to_do:
        click.echo("Nothing had to go.")
    else:
        click.echo(f"Deleted {done.objects} files ({megabytes(done.bytes)}) and {done.records} records.")


def _lines(found: Archived) -> list[str]:
    lines = [
        f"{stack}: {len(records)} of at most {found.newest} releases are kept, the newest is "
        f"{records[0].digest[:16]}… of {records[0].created:%Y-%m-%d}"
        for stack, records in sorted(found.stacks.items())
    ] or ["No release is kept yet."]
    lines.append(f"{found.objects} files, {megabytes(found.bytes)}, in gs://{found.bucket}")
    lines.append(f"{_amount(found.free)} and {len(found.old)} records are needed by no kept release")
    if found.young:
        lines.append(f"{_amount(found.young)} more are not older than a day, and stay until then")
    for what, digests in (
        (
            "is missing: its sync did not end, and the next one brings it, or somebody deleted it",
            found.missing,
        ),
        ("has another size than its release says: going back will refuse it", found.damaged),
    ):
        lines += [f"! sha256:{digest} {what}" for digest in digests[:_SHOWN]]
        if len(digests) > _SHOWN:
            lines.append(f"! so it is with {len(digests) - _SHOWN} more files; --json has all")
    return lines


def _document(found: Archived) -> dict[str, Any]:
    return {
        "bucket": found.bucket,
        "kept_releases": found.newest,
        "stacks": [
            {
                "project": stack.project,
                "location": stack.location,
                "workload": stack.workload,
                "releases": [
                    {"release_digest": each.digest, "announced": f"{each.created:%Y-%m-%dT%H:%M:%SZ}"}
                    for each in records
                ],
            }
            for stack, records in sorted(found.stacks.items())
        ],
        "objects": found.objects,
        "bytes": found.bytes,
        "free": {
            "objects": len(found.free),
            "bytes": sum(each.size for each in found.free),
            "records": len(found.old),
        },
        "young": {"objects": len(found.young), "bytes": sum(each.size for each in found.young)},
        "missing": list(found.missing),
        "damaged": list(found.damaged),
    }


def _amount(contents: Sequence[Content]) -> str:
    return f"{len(contents)} files ({megabytes(sum(each.size for each in contents))})"
