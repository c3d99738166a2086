"""`dmz archive`: what outer keeps of what was admitted, and letting go of what no kept release needs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

import click

from dmz.commands.common import DIFFERENT, Setting, json_option, print_json, told
from dmz.console import Steps
from dmz.errors import InputError
from dmz.promotion.change import megabytes
from dmz.promotion.retention import Gone, Record, Stack
from dmz.registries.archive import Content
from dmz.workflow.archive import Archived, Pruned
from dmz.workflow.archive import prune as prune_
from dmz.workflow.archive import show as show_

_SHOWN: Final = 5
"""Files of a kind that are named one by one."""
_MENDED: Final = "syncs take it from its source; `dmz archive prune --verify` deletes it"


@click.group()
def archive() -> None:
    """Show what is kept, and prune what is not needed.

    Every file that a sync lets in is kept in outer by its SHA-256, as long as one of the newest releases of
    an inner stack names it (dmz:keptReleases): going back, or filling a second inner project, needs no
    upstream.
    """


_verify = click.option(
    "--verify", is_flag=True, help="Read and hash every file that is kept: it costs what reading costs."
)


@archive.command()
@_verify
@json_option
@click.pass_obj
def show(setting: Setting, verify: bool, as_json: bool) -> None:
    """Show which releases are kept, and what pruning would free.

    With --verify the exit code is 4 if a file has other bytes than its SHA-256 says.
    """
    steps = Steps()
    with told(as_json):
        estate = setting.entered(steps)
        with steps.step("archive", "Archive") as step:
            found = asyncio.run(show_(estate, step.say, verify=verify))
    code = DIFFERENT if found.wrong else 0
    if as_json:
        print_json(_document(found))
        sys.exit(code)
    for line in _lines(found):
        click.echo(line)
    sys.exit(code)


@archive.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--forget",
    multiple=True,
    metavar="PROJECT[/LOCATION[/WORKLOAD]]",
    help="An inner stack that is gone for good, or what it no longer runs: keep nothing for it.",
)
@_verify
@json_option
@click.pass_obj
def prune(setting: Setting, yes: bool, forget: tuple[str, ...], verify: bool, as_json: bool) -> None:
    """Delete what no kept release names.

    Shows it first and asks. Acts as the archivist, the only one who can delete here; what is younger than a
    day stays. What was begun and interrupted goes on the next time. With --verify what is damaged goes too:
    the next sync that finds it inside archives it anew.
    """
    steps = Steps()
    with told(as_json):
        gone = [Gone.parse(text) for text in forget]
        if as_json and not yes:
            raise InputError("--json can't ask; look with `dmz archive show --json`, then add --yes")
        estate = setting.entered(steps)
        with steps.step("archive", "Archive") as step:
            found = asyncio.run(show_(estate, step.say, verify=verify, forget=gone))
        if not as_json:
            for line in _lines(found):
                click.echo(line)
        if not found.nothing_to_do and not yes:
            wrong = [each for each in found.wrong or () if each not in found.free]
            damaged = f", {_amount(wrong)} that are damaged" if wrong else ""
            click.confirm(
                f"Delete {_amount(found.free)}{damaged} and {len(found.old)} records for good?", abort=True
            )
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
    for stack, gone in sorted(_by_stack(found.forgotten).items()):
        last = max(each.created for each in gone)
        lines.append(f"{stack} is forgotten, with {len(gone)} records; the last is of {last:%Y-%m-%d}")
    lines.append(f"{found.objects} files, {megabytes(found.bytes)}, in gs://{found.bucket}")
    lines.append(f"{_amount(found.free)} and {len(found.old)} records are needed by no kept release")
    if found.young:
        lines.append(f"{_amount(found.young)} more are not older than a day, and stay until then")
    if found.wrong is not None:
        lines.append(f"every file was read: {len(found.wrong) or 'none'} of them damaged")
    wrong = {each.sha256 for each in found.wrong or ()}
    for what, digests in (
        (
            "is missing: its sync did not end, and the next one brings it, or somebody deleted it",
            found.missing,
        ),
        (f"has another size than its release says; {_MENDED}", sorted(set(found.damaged) - wrong)),
        (f"is damaged: it has other bytes; {_MENDED}", sorted(wrong)),
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
        "forgotten": {str(stack): len(gone) for stack, gone in sorted(_by_stack(found.forgotten).items())},
        "wrong": None if found.wrong is None else [each.sha256 for each in found.wrong],
    }


def _by_stack(records: Iterable[Record]) -> dict[Stack, list[Record]]:
    found: dict[Stack, list[Record]] = {}
    for each in records:
        found.setdefault(each.stack, []).append(each)
    return found


def _amount(contents: Sequence[Content]) -> str:
    return f"{len(contents)} files ({megabytes(sum(each.size for each in contents))})"
