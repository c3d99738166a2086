"""`dmz policy`: what may enter, and why a package may or may not."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import Any

import click

from dmz.commands.common import REFUSED, Setting, json_option, print_json, told
from dmz.console import Steps
from dmz.promotion.advisories.age import age
from dmz.promotion.base_image import BaseImage
from dmz.promotion.purl import purl
from dmz.promotion.rules.rule import Effect
from dmz.promotion.screening import Screening
from dmz.promotion.verdict import Outcome, Verdict
from dmz.workflow.examine import asked, examine
from dmz.workflow.sources import context, local_sources


@click.group()
def policy() -> None:
    """Show what may enter, and what the rules saw of a package.

    The policy is policy.toml in the checkout (dmz:policy), waivers are in waivers/ (dmz:waivers).
    """


@policy.command()
@json_option
@click.pass_obj
def check(setting: Setting, as_json: bool) -> None:
    """Check that policy, sources and waivers hold together.

    Shows them as well, and needs no stack. The exit code is 3 if a source is older than the policy allows.
    """
    steps = Steps()
    with told(as_json):
        estate, today = setting.checkout(), datetime.now(UTC)
        with steps.step("sources", "Sources") as step:
            sources = local_sources(estate.policy, estate.base_image, today, step.say)
            judge = Screening(
                estate.policy, sources, estate.waivers, estate.base_image, context(estate, today)
            )
    document = _checked(judge)
    if as_json:
        print_json(document)
        return
    click.echo(f"policy   {estate.policy.path.name}  sha256:{estate.policy.digest}")
    for rule in document["rules"]:
        click.echo(f"  {rule['name']:<16} {rule['effect']:<8} {rule['sentence']}")
    click.echo("sources")
    for source in judge.sources:
        moment = age(source.as_of, today) if source.as_of else "does not age"
        click.echo(f"  {source.name:<16} {moment}  sha256:{source.digest}")
    if estate.policy.sources.artifact_analysis:
        click.echo("  artifact-analysis is asked when it screens")
    click.echo(f"waivers  {len(document['waivers'])}  sha256:{estate.waivers.digest}")
    for waiver in document["waivers"]:
        click.echo(
            f"  {waiver['file']}: {', '.join(waiver['names'])} of {waiver['purl']}, {waiver['author']}, "
            f"{'ENDED on' if waiver['ended'] else 'until'} {waiver['until'][:10]}"
        )


@policy.command("explain")
@click.argument("package")
@click.argument("version", required=False)
@click.option("--offline", is_flag=True, help="By the lock files alone; what they don't say is unknown.")
@json_option
@click.pass_obj
def explain_(setting: Setting, package: str, version: str | None, offline: bool, as_json: bool) -> None:
    """Show every rule and what it saw of a package.

    PACKAGE is a name (or pypi/NAME, apt/NAME) of the release, else of the newest inventory; with a VERSION,
    what the outer repositories offer. The exit code is 3 if it may not enter.
    """
    steps = Steps()
    with told(as_json):
        asked(package)
        estate = setting.checkout()
        estate.check_policy()
        if not offline:
            estate = setting.entered(steps)
        with steps.step("explain", f"Facts about {package}") as step:
            verdicts = asyncio.run(examine(estate, package, version, offline, step.say))
    if as_json:
        print_json({"packages": [_document(each, estate.base_image) for each in verdicts]})
    else:
        for verdict in verdicts:
            _show(verdict, estate.base_image)
        if offline:
            click.echo("Nobody was asked: what the lock files don't keep was taken as unknown (--offline).")
    sys.exit(0 if all(each.admitted for each in verdicts) else REFUSED)


def _show(verdict: Verdict, image: BaseImage) -> None:
    artifact = verdict.entry.artifact
    click.echo(f"{artifact.key} {artifact.version}")
    click.echo(f"  {purl(artifact, image)}\n  sha256:{artifact.sha256}")
    for outcome in verdict.outcomes:
        mark, colour = _mark(outcome)
        click.secho(f"  {mark} {outcome.rule:<16} {outcome.effect:<8} {outcome.saw}", fg=colour)
    if verdict.admitted:
        click.echo("  It may enter." + ("" if not verdict.warnings else " The review would warn."))
    else:
        names = ", ".join(each.id for each in verdict.refusals)
        accept = f" To accept it, a waiver has to name {names}." if verdict.waivable else ""
        click.echo(f"  It may not enter.{accept}")


def _mark(outcome: Outcome) -> tuple[str, str | None]:
    if outcome.passed:
        return "✓", None
    worst = min((each.effect for each in outcome.seen if each.effect), key=list(Effect).index)
    return {Effect.REFUSE: ("✗", "red"), Effect.WARN: ("!", "yellow"), Effect.DRY_RUN: ("~", "cyan")}[worst]


def _document(verdict: Verdict, image: BaseImage) -> dict[str, Any]:
    artifact = verdict.entry.artifact
    return {
        "key": artifact.key,
        "version": artifact.version,
        "purl": purl(artifact, image),
        "sha256": artifact.sha256,
        "admitted": verdict.admitted,
        "warnings": list(verdict.warnings),
        "rules": [
            {
                "name": outcome.rule,
                "sentence": outcome.sentence,
                "effect": str(outcome.effect),
                "passed": outcome.passed,
                "saw": [
                    {
                        "words": each.words,
                        "effect": str(each.effect) if each.effect else None,
                        "id": each.id if each.effect or each.waiver else None,
                        "waiver": each.waiver.where if each.waiver else None,
                    }
                    for each in outcome.seen
                ],
            }
            for outcome in verdict.outcomes
        ],
    }


def _checked(judge: Screening) -> dict[str, Any]:
    policy, today = judge.policy, judge.context.today
    return {
        "policy": {"path": str(policy.path), "digest": policy.digest},
        "rules": [
            {"name": rule.name, "kind": rule.kind, "effect": str(rule.effect), "sentence": rule.sentence}
            for rule in policy.rules
        ],
        "limits": {
            "advisories_max_age_seconds": policy.limits.advisories_max_age.total_seconds(),
            "attestation_max_age_seconds": policy.limits.attestation_max_age.total_seconds(),
        },
        "sources": [
            {
                "name": source.name,
                "digest": source.digest,
                "as_of": source.as_of.isoformat() if source.as_of else None,
                "age_days": (today - source.as_of).days if source.as_of else None,
            }
            for source in judge.sources
        ],
        "waivers_digest": judge.waivers.digest,
        "waivers": [
            {
                "file": waiver.where,
                "author": waiver.author,
                "names": sorted(waiver.names),
                "purl": waiver.purl,
                "sha256": waiver.sha256,
                "until": waiver.until.isoformat(),
                "ended": waiver.ended(today),
            }
            for waiver in judge.waivers.all
        ],
    }
