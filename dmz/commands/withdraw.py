"""`dmz withdraw`: take a package out of the inner side at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import click

from dmz.commands.common import Setting, json_option, print_json, told
from dmz.console import Steps
from dmz.errors import InputError
from dmz.promotion.withdrawal import Wanted, Withdrawal
from dmz.promotion.wording import printable
from dmz.workflow.withdraw import Use
from dmz.workflow.withdraw import undo as undo_
from dmz.workflow.withdraw import use as use_
from dmz.workflow.withdraw import withdraw as withdraw_


@click.command()
@click.argument("package", metavar="PACKAGE[==VERSION]")
@click.option("--now", is_flag=True, help="Do it: act as the sync, and refuse what has it from now on.")
@click.option("--undo", is_flag=True, help="Let releases have again what was withdrawn with --now.")
@click.option("--reason", default="", help="Why, for those who are refused. Needed with --now.")
@json_option
@click.pass_obj
def withdraw(setting: Setting, package: str, now: bool, undo: bool, reason: str, as_json: bool) -> None:
    """Show who uses a package inside, or take it out at once.

    PACKAGE is a name, also after pypi/, apt/ or files/, the name of a file or its SHA-256. Without --now
    nothing changes: the next release without the package withdraws it. With --now its versions go whole, and
    no release that names one of their files is synced until --undo. What is installed stays installed.
    """
    steps = Steps()
    with told(as_json):
        wanted = Wanted.parse(package)
        if now and undo:
            raise InputError("--now and --undo don't go together; give one of them")
        if now and not reason.strip():
            raise InputError("--now without a reason; write it for those who are refused: --reason 'CVE-…'")
        estate = setting.entered(steps)
        why = printable(reason)
        if undo:
            with steps.step("withdraw", f"Undo the withdrawal of {wanted.text}") as step:
                records = asyncio.run(undo_(estate, wanted, why, step.say))
            _show_undone(records, as_json)
            return
        title = f"{'Withdrawing' if now else 'Who uses'} {wanted.text}"
        with steps.step("withdraw", title) as step:
            found = asyncio.run(
                withdraw_(estate, wanted, why, step.say) if now else use_(estate, wanted, step.say)
            )
    if as_json:
        print_json({"withdrawn": now, **_document(found)})
        return
    for line in _lines(found, now):
        click.echo(line)


def _lines(found: Use, now: bool) -> Iterator[str]:
    yield from (f"- {each}" for each in found.meant)
    yield from (f"- {each} (goes with it: the service deletes whole versions)" for each in found.beside)
    if not found.meant and not found.beside:
        yield "The inner repositories do not hold it."
    for workload, digest, where in found.releases:
        there = "published inside" if where == "inside" else "in the checkout"
        yield f"The release {digest[:16]} of {workload}, {there}, names it."
    if found.needed_by:
        yield f"Needed by: {', '.join(found.needed_by)}"
    for machine, when in found.installed:
        yield f"Machine {machine} reported at {when} that it has it installed."
    for record in found.barred:
        who, when, why = map(printable, (record.who, record.when, record.why))
        yield f"{printable(record.filename)} was withdrawn before, by {who} at {when}: {why}"
    if not now:
        yield "The next release without it withdraws it. At once: dmz withdraw … --now --reason TEXT"
        return
    if found.installed:
        yield "WARNING: what is installed stays installed: stop those machines, or give them another release."
    if any(where == "inside" for _, _, where in found.releases):
        yield "WARNING: a machine that starts now can't install a release that names it."
    yield (
        "Withdrawn: no release that names it is synced any more, until dmz withdraw … --undo. Next: "
        "deny it (policy.toml: deny-list), then `dmz screen` for a release without it; `pulumi up` sees what "
        "is gone after `pulumi refresh`."
    )


def _document(found: Use) -> dict[str, Any]:
    return {
        "files": list(found.meant),
        "beside": list(found.beside),
        "releases": [
            {"workload": workload, "release_digest": digest, "where": where}
            for workload, digest, where in found.releases
        ],
        "needed_by": list(found.needed_by),
        "installed": [{"machine": machine, "reported": when} for machine, when in found.installed],
        "withdrawn_before": [_record(each) for each in found.barred],
    }


def _record(record: Withdrawal) -> dict[str, Any]:
    return {
        name: getattr(record, name)
        for name in ("sha256", "key", "version", "filename", "who", "why", "when", "run")
    }


def _show_undone(records: tuple[Withdrawal, ...], as_json: bool) -> None:
    if as_json:
        print_json({"undone": [_record(each) for each in records]})
        return
    for record in records:
        click.echo(f"+ {printable(record.key)} {printable(record.version)} {printable(record.filename)}")
    click.echo("Releases may name it again; the next sync of one that does copies it.")
