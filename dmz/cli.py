"""The command line: what people and CI call. Each command is a thin call of `dmz.workflow`.

Exit codes: 0 as asked; 1 something did not work; 2 bad input, nothing was changed; 3 refused by screening or
by a check; 4 verified and found different, or a way out of the sealed network.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from dmz import targets
from dmz.console import Steps
from dmz.errors import DmzError, InputError, RefusedError
from dmz.promotion import inventory as inventories
from dmz.promotion.advisories import Severity
from dmz.promotion.inventory import Failure
from dmz.workflow.claims import PATIENCE
from dmz.workflow.discover import discover as discover_
from dmz.workflow.estate import Estate
from dmz.workflow.plan import SYNC
from dmz.workflow.plan import plan as plan_
from dmz.workflow.run import Options, counted
from dmz.workflow.run import run as run_
from dmz.workflow.screen import Screened, ScreeningRefusedError
from dmz.workflow.screen import screen as screen_
from dmz.workflow.summary import announce
from dmz.workflow.verify import verify as verify_

FAILED: Final = 1
BAD_INPUT: Final = 2
REFUSED: Final = 3
DIFFERENT: Final = 4

_REPORT: Final = Path(".sandbox/report.json")


class _Main(click.Group):
    """Also offers the commands that other packages plug in (entry points of the group `dmz.commands`)."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *(point.name for point in _plugged())])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for point in _plugged():
            if point.name == cmd_name:
                command: click.Command = point.load()
                return command
        return super().get_command(ctx, cmd_name)


def _plugged() -> Any:
    return entry_points(group="dmz.commands")


@click.group(cls=_Main, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("package-dmz"), prog_name="dmz")
@click.option(
    "--target",
    default=targets.DEFAULT,
    envvar="DMZ_TARGET",
    show_default=True,
    show_envvar=True,
    help="Where it takes place: 'sandbox' on this machine, or 'google' for the environment as it is.",
)
@click.option(
    "-C",
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="The checkout: where Pulumi.yaml is.  [default: the current folder]",
)
@click.option("--outer", default="outer", show_default=True, help="Name of the outer stack.")
@click.option("--inner", default="inner", show_default=True, help="Name of the inner stack.")
@click.pass_context
def cli(context: click.Context, target: str, folder: Path, outer: str, inner: str) -> None:
    """Screened Debian and Python packages for a Google Cloud project that has no way out.

    The outer stack has internet and finds out what a workload needs. What screening admits becomes a release:
    lock files that are reviewed like code. The inner stack's repositories are made to hold exactly that.

    \b
    Exit codes: 0 as asked; 1 something did not work; 2 bad input, nothing was changed;
    3 refused by screening or a check; 4 not as released, or a way out of the sealed network.
    """
    context.obj = _Setting(target, Estate(folder.resolve(), outer, inner))


class _Setting:
    """The target and the estate of one call; the target is entered when a command needs it."""

    def __init__(self, target: str, estate: Estate) -> None:
        self.target = target
        self._estate = estate

    def entered(self, steps: Steps) -> Estate:
        """The estate, with the environment leading to the target."""
        if not (self._estate.folder / "Pulumi.yaml").exists():
            raise InputError(f"{self._estate.folder} has no Pulumi.yaml; go to the checkout, or use -C")
        # The program reads the workload and the releases relative to Pulumi.yaml, and so do the commands.
        os.chdir(self._estate.folder)
        # Bad configuration is said before anything comes up.
        self._estate.check()
        with steps.step("target", f"Target: {self.target}") as step:
            targets.enter(self.target, step.say)
        return self._estate


_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on standard output.")
_advisories = click.option(
    "--advisories",
    type=click.Path(path_type=Path),
    default=Path("advisories"),
    show_default=True,
    help="Folder of OSV records to screen against.",
)
_threshold = click.option(
    "--threshold",
    type=click.Choice([str(each).lower() for each in Severity]),
    default="medium",
    show_default=True,
    help="Severity from which a finding refuses; a finding without severity always does.",
)
_patience = click.option(
    "--patience",
    type=click.FloatRange(min=0),
    default=PATIENCE,
    show_default=True,
    help="Seconds to wait for a machine.",
)


@cli.command()
@_advisories
@_threshold
@_patience
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    default=_REPORT,
    show_default=True,
    help="Where to write the report for scripts.",
)
@_json
@click.pass_obj
def run(
    setting: _Setting, advisories: Path, threshold: str, patience: float, report: Path, as_json: bool
) -> None:
    """Do all of it: both stacks up, discovery, screening, sync, installation, probes, verification.

    Safe to run again: what is in place stays, and it says when nothing had to change.
    """
    steps = Steps()
    with _told(as_json):
        estate = setting.entered(steps)
        ran = run_(estate, Options(advisories, Severity.parse(threshold), patience), steps)
        ran.write(report)
    if as_json:
        _print(ran.summary.document())
    else:
        announce(ran, report, steps)
    sys.exit(0 if ran.holds else DIFFERENT)


@cli.command()
@_patience
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Also write it to this file."
)
@_json
@click.pass_obj
def discover(setting: _Setting, patience: float, output: Path | None, as_json: bool) -> None:
    """Wait for the outer machine's inventory of the workload, and show it.

    The outer stack has to be up (dmz run, or pulumi up -s outer).
    """
    steps = Steps()
    with _told(as_json):
        estate = setting.entered(steps)
        with steps.step("discover", "Discovery") as step:
            found = asyncio.run(discover_(estate, step.say, within=patience))
        document = found.model_dump(mode="json", by_alias=True)
        if output:
            output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if as_json:
        _print(document)
        return
    click.echo(f"{found.workload} on {found.base_image.runtime}: {counted(found)}")
    for deb in found.apt:
        click.echo(f"  apt   {deb.name}:{deb.architecture} {deb.version}")
    for wheel in found.pypi:
        click.echo(f"  pypi  {wheel.name} {wheel.version}{' (built from source)' if wheel.built else ''}")
    for file in found.files:
        click.echo(f"  file  {file.name} {file.sha256}")


@cli.command()
@_advisories
@_threshold
@_patience
@click.option(
    "--inventory",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Screen this inventory instead of the outer machine's newest.",
)
@_json
@click.pass_obj
def screen(
    setting: _Setting,
    advisories: Path,
    threshold: str,
    patience: float,
    inventory: Path | None,
    as_json: bool,
) -> None:
    """Screen the inventory and write the release's lock files.

    Nothing is copied. Commit what it writes: the pull request is the review. If something is refused and
    nothing takes its place, no file is written and the exit code is 3.
    """
    steps = Steps()
    with _told(as_json):
        estate = setting.entered(steps)
        with steps.step("discover", "Inventory") as step:
            if inventory:
                found = inventories.parse(inventory.read_bytes(), str(inventory))
                if isinstance(found, Failure):
                    raise InputError(f"{inventory}: it tells of a failed installation: {found.error}")
            else:
                found = asyncio.run(discover_(estate, step.say, within=patience))
        with steps.step("screen", "Screening") as step:
            screened = asyncio.run(screen_(estate, found, advisories, Severity.parse(threshold), step.say))
    if as_json:
        _print(_screened(screened))
        return
    for words in screened.explanations:
        click.echo(words)
    for verdict in screened.noted:
        artifact = verdict.entry.artifact
        click.echo(
            f"noted, below the threshold: {artifact.name} {artifact.version}: "
            + ", ".join(finding.label for finding in verdict.noted)
        )
    click.echo(
        f"{len(screened.release.entries)} artifacts admitted. The lock files in {estate.releases} "
        + ("were written." if screened.changed else "are unchanged.")
    )
    click.echo(f"release {screened.release.digest}")


def _screened(screened: Screened) -> dict[str, Any]:
    return {
        "workload": screened.release.workload,
        "release_digest": screened.release.digest,
        "changed": screened.changed,
        "admitted": [artifact.key for artifact in screened.release.artifacts],
        "refused": _refusals(screened.refused),
        "explanations": list(screened.explanations),
    }


def _refusals(found: Any) -> list[dict[str, Any]]:
    return [
        {"purl": each.purl, "advisory": each.advisory, "fixed": list(each.fixed), "remedy": each.remedy}
        for each in found
    ]


@cli.command()
@_json
@click.pass_obj
def plan(setting: _Setting, as_json: bool) -> None:
    """Show what the next sync would copy, keep and withdraw.

    Compares the lock files with what the inner repositories hold at this moment. Changes nothing. The exit
    code is 3 if the sync would refuse.
    """
    steps = Steps()
    with _told(as_json):
        estate = setting.entered(steps)
        with steps.step("plan", "Plan") as step:
            found = asyncio.run(plan_(estate, step.say))
        first = not (estate.inner_settings.adopt or estate.inner.resources(SYNC))
    code = REFUSED if found.conflicts or (found.foreign and first) else 0
    if as_json:
        _print(
            {
                "copy": [f"{each.key} {each.version}" for each in found.copy],
                "keep": [f"{each.key} {each.version}" for each in found.keep],
                "withdraw": [each.filename for each in found.withdraw],
                "conflicts": [str(each) for each in found.conflicts],
                "lingering": [each.filename for each in found.lingering],
                "foreign": [each.filename for each in found.foreign],
            }
        )
        sys.exit(code)
    for artifact in found.copy:
        click.echo(f"+ {artifact.key} {artifact.version}")
    for stored in found.withdraw:
        click.echo(f"- {stored.kind}/{stored.name} {stored.version} ({stored.filename})")
    for conflict in found.conflicts:
        click.echo(f"! {conflict}")
    for stored in found.lingering:
        click.echo(f"~ {stored.filename} is in no release, and stays: its version has a released file")
    if found.foreign and first:
        click.echo(
            f"! the first sync waits for dmz:adopt: true: {len(found.foreign)} of these files "
            "are in no release, and this stack did not put them there"
        )
    click.echo(f"{len(found.copy)} to copy, {len(found.keep)} to keep, {len(found.withdraw)} to withdraw")
    sys.exit(code)


@cli.command()
@_patience
@_json
@click.pass_obj
def verify(setting: _Setting, patience: float, as_json: bool) -> None:
    """Prove that released = in outer = in inner = installed, by SHA-256.

    The exit code is 4 if they differ.
    """
    steps = Steps()
    with _told(as_json):
        estate = setting.entered(steps)
        with steps.step("verify", "Verification") as step:
            found = asyncio.run(verify_(estate, step.say, within=patience))
    if as_json:
        _print(
            {
                "release_digest": found.release.digest,
                "verified": found.holds,
                "differences": [str(each) for each in found.differences],
                "check": found.report.check.exit if found.report.check else None,
                "error": found.report.error,
            }
        )
    else:
        if found.report.error:
            click.echo(f"the inner machine refused: {found.report.error}")
        for difference in found.differences:
            click.echo(str(difference))
        click.echo(
            f"release {found.release.digest}: {'all four agree' if found.holds else 'NOT as released'}"
        )
    sys.exit(0 if found.holds else DIFFERENT)


@contextmanager
def _told(as_json: bool) -> Iterator[None]:
    """Ends the program with one line and the exit code that fits, whatever the project's own error was."""
    try:
        yield
    except ScreeningRefusedError as error:
        _end(REFUSED, str(error), as_json, {"refused": _refusals(error.refusals)})
    except InputError as error:
        _end(BAD_INPUT, str(error), as_json)
    except RefusedError as error:
        _end(REFUSED, str(error), as_json)
    except DmzError as error:
        _end(FAILED, str(error), as_json)


def _end(code: int, message: str, as_json: bool, more: dict[str, Any] | None = None) -> NoReturn:
    if as_json:
        _print({"error": message, **(more or {})})
    click.secho(f"dmz: {message}", fg="red", err=True)
    sys.exit(code)


def _print(document: dict[str, Any]) -> None:
    click.echo(json.dumps(document, indent=2))


def main() -> None:
    """The entry point `dmz`."""
    command: Callable[..., Any] = cli
    command()
