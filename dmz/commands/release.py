"""`dmz release`: the releases that there are and were, what differs, and going back to one."""

from __future__ import annotations

import asyncio

import click

from dmz.commands.common import Setting, json_option, print_json, told
from dmz.console import Steps
from dmz.errors import InputError
from dmz.promotion import release as releases
from dmz.workflow.claims import Say
from dmz.workflow.estate import Estate
from dmz.workflow.release_compare import INNER, Point, compare, point
from dmz.workflow.release_compare import with_findings as with_findings_
from dmz.workflow.release_history import History
from dmz.workflow.release_use import use as use_

workload_option = click.option("--workload", help="Of this workload alone, by its name.")


@click.group()
def release() -> None:
    """List releases, compare two of them, and go back to one.

    A release is named by the beginning of its digest (7 digits or more) or by a git revision that has it.
    """


@release.command("list")
@workload_option
@json_option
@click.pass_obj
def list_(setting: Setting, workload: str | None, as_json: bool) -> None:
    """Show the releases in git's history, the newest first.

    A star marks the one that is in the checkout now.
    """
    with told(as_json):
        estate = setting.checkout()
        history = History(estate.folder, estate.releases)
        found = [each for name in ([workload] if workload else history.known()) for each in history.log(name)]
        here = {
            name: releases.read(estate.releases, name).digest for name in releases.released(estate.releases)
        }
        if not found:
            raise InputError(
                f"git has no release{f' of {workload}' if workload else ''} yet; run `dmz screen` and commit"
            )
    if as_json:
        print_json(
            {
                "releases": [
                    {
                        "workload": each.workload,
                        "digest": each.digest,
                        "commit": each.commit,
                        "date": each.date,
                        "author": each.author,
                        "subject": each.subject,
                        "checkout": here.get(each.workload) == each.digest,
                    }
                    for each in found
                ]
            }
        )
        return
    for each in found:
        click.echo(f"{'*' if here.get(each.workload) == each.digest else ' '} {each}")


@release.command()
@click.argument("before", default="HEAD")
@click.argument("after", required=False)
@workload_option
@click.option(
    "--findings",
    "with_findings",
    is_flag=True,
    help="Also tell which findings come and go, by the policy's files on this machine.",
)
@json_option
@click.pass_obj
def diff(
    setting: Setting,
    before: str,
    after: str | None,
    workload: str | None,
    with_findings: bool,
    as_json: bool,
) -> None:
    """Show what differs between two releases, package by package.

    BEFORE and AFTER are a git revision, the beginning of a release digest, a folder with lock files, or
    'inner' for what is published inside. By default the last commit and the checkout.
    """
    steps = Steps()
    with told(as_json):
        # Only what is inside needs the target.
        estate = setting.entered(steps) if INNER in (before, after) else setting.checkout()
        other = after or str(estate.releases.relative_to(estate.folder))
        one, two = asyncio.run(_points(estate, (before, other), steps.print))
        if with_findings:
            one, two = (with_findings_(estate, each, steps.print) for each in (one, two))
        found = compare(one, two, workload)
    if as_json:
        print_json({"differences": [each.document() for each in found]})
        return
    for each in found:
        for line in each.lines():
            click.echo(line)


async def _points(estate: Estate, names: tuple[str, str], say: Say) -> tuple[Point, Point]:
    one, other = names
    return await point(estate, one, say), await point(estate, other, say)


@release.command()
@click.argument("which", metavar="REVISION|DIGEST")
@click.option("--workload", help="Whose release, if a revision has several.  [default: the stack's own]")
@json_option
@click.pass_obj
def use(setting: Setting, which: str, workload: str | None, as_json: bool) -> None:
    """Put an earlier release back into the checkout.

    Restores its lock files, bill of materials and review, checked against its digest. Nothing is committed
    and nothing inside changes: that is the next `pulumi up`.
    """
    with told(as_json):
        estate = setting.checkout()
        used = use_(estate, which, workload)
    digest, name = used.release.digest, used.release.workload
    if as_json:
        print_json(
            {
                "workload": name,
                "release_digest": digest,
                "commit": used.commit,
                "changed": used.changed,
                "other_workload": used.other_workload,
            }
        )
        return
    click.echo(
        f"release {digest} of {name}, from commit {used.commit[:10]}, "
        + ("is in the checkout." if used.changed else "is in the checkout already.")
    )
    if used.other_workload:
        file = estate.inner_settings.workload
        click.echo(
            f"Note: it was made for another version of {file}; bring that back as well: "
            f"git checkout {used.commit[:10]} -- {file}"
        )
    if used.changed:
        click.echo(
            f"Next: commit {estate.releases.name} for review; after the merge: dmz attest, and "
            f"pulumi up -s {estate.inner_name}."
        )
