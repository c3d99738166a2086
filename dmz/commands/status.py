"""`dmz status`: what is inside, by what is known today."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import click

from dmz.commands.common import REFUSED, Setting, json_option, print_json, told
from dmz.console import Steps
from dmz.workflow.status import Status
from dmz.workflow.status import status as status_


@click.command()
@click.option(
    "--offline",
    is_flag=True,
    help="Judge the checkout's lock files by the files on this machine: findings alone, no service is asked.",
)
@json_option
@click.pass_obj
def status(setting: Setting, offline: bool, as_json: bool) -> None:
    """Screen what is inside by what is known today.

    By the advisories, the policy and the waivers of now. Names what would be refused, the waivers that end
    soon, and how old the attestation is. Changes nothing. The exit code is 3 if anything would be refused or
    an attestation does not hold; `dmz mend` looks for the smallest change.
    """
    steps = Steps()
    with told(as_json):
        estate = setting.checkout() if offline else setting.entered(steps)
        with steps.step("status", "Screening what is inside") as step:
            found = asyncio.run(status_(estate, step.say, offline=offline))
    code = 0 if found.holds and not found.unattested else REFUSED
    if as_json:
        print_json(_document(found))
        sys.exit(code)
    for line in found.lines():
        click.echo(line)
    sys.exit(code)


def _document(found: Status) -> dict[str, Any]:
    return {
        "inside": found.inside,
        "holds": found.holds,
        "releases": [
            {
                "workload": each.release.workload,
                "release_digest": each.release.digest,
                "attestation": found.attested.get(each.release.workload),
                "attestation_holds": each.release.workload not in found.unattested if found.inside else None,
                "rules": sorted(each.rules),
                "refused": [
                    {
                        "key": entry.artifact.key,
                        "version": entry.artifact.version,
                        "reasons": [{"rule": one.rule, "id": one.id, "words": one.words} for one in seen],
                    }
                    for entry, seen in each.refused
                ],
                "ending": [
                    {
                        "key": artifact.key,
                        "names": sorted(waiver.names),
                        "owner": waiver.author,
                        "until": f"{waiver.until:%Y-%m-%dT%H:%M:%SZ}",
                    }
                    for artifact, waiver in each.ending
                ],
            }
            for each in found.standings
        ],
        "sources": [
            {
                "name": each.name,
                "as_of": f"{each.as_of:%Y-%m-%dT%H:%M:%SZ}" if each.as_of else None,
                "digest": each.digest,
            }
            for each in found.sources
        ],
        "notes": list(found.notes),
    }
