"""`dmz attest`: sign what was merged."""

from __future__ import annotations

import asyncio

import click

from dmz.commands.common import Setting, json_option, print_json, told, unseen
from dmz.console import Steps
from dmz.promotion.statement import moment
from dmz.workflow.attest import attest as attest_


@click.command()
@click.option("--again", is_flag=True, help="Make a new attestation although there is one that holds.")
@json_option
@click.pass_obj
def attest(setting: Setting, again: bool, as_json: bool) -> None:
    """Sign that the releases of the checkout may go inside.

    Run it after the merge, as a member of dmz:attestors: every release is judged again, by the policy,
    the waivers and the advisories of now. Then `pulumi up` lets it in. Without a change since the last
    time nothing is signed. The exit code is 3 if a release is refused, or is not as git's HEAD has it.
    """
    steps = Steps()
    with told(as_json):
        estate = setting.entered(steps)
        with steps.step("attest", "Attestation: judge again and sign") as step:
            found = asyncio.run(attest_(estate, step.say, again=again))
            made = sum(each.made for each in found)
            step.outcome = f"{made} signed" if made else "nothing changed"
    if as_json:
        print_json(
            {
                "attested": [
                    {
                        "workload": each.release.workload,
                        "release_digest": each.release.digest,
                        "time_verified": moment(each.attestation.time_verified),
                        "envelope": each.line.rpartition("sha256:")[2],
                        "made": each.made,
                        "kept_in_archive": each.kept or None,
                        "withdrawals_unseen": each.unseen or None,
                    }
                    for each in found
                ]
            }
        )
        return
    for each in found:
        click.echo(
            f"release {each.release.digest} of {each.release.workload}: "
            + ("attested" if each.made else "is attested and nothing changed since")
            + f" {each.line}"
        )
        if each.kept:
            click.echo(
                f"  {each.kept} of it no outer repository offers any more: judged as the archive keeps them"
            )
    for why in sorted({each.unseen for each in found if each.unseen}):
        click.echo(unseen(why))
