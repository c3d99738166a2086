"""The command line: the group and its commands.

Exit codes: 0 as asked; 1 something did not work; 2 bad input, nothing was changed; 3 refused by screening or
by a check; 4 verified and found different, or a way out of the sealed network.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any, Final

import click

from dmz import targets
from dmz.collecting import collect_rarely, uncollected
from dmz.commands.common import Setting
from dmz.workflow.estate import Estate

_COMMANDS: Final = (
    *("advisories", "archive", "attest", "discover", "journal", "mend", "plan", "policy", "promote"),
    *("release", "run", "screen", "status", "verify", "withdraw"),
)
"""Each is in the module of its name in `dmz.commands`; only the one that is called is imported."""


class _Main(click.Group):
    """Also offers the commands that other packages plug in (entry points of the group `dmz.commands`)."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*_COMMANDS, *(point.name for point in _plugged())])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _COMMANDS:
            return command(cmd_name)
        for point in _plugged():
            if point.name == cmd_name:
                plugged: click.Command = point.load()
                return plugged
        return None


def command(name: str) -> click.Command:
    """A command of this package."""
    # While modules load, hardly anything becomes garbage, and to look for it takes an eighth of the time.
    with uncollected():
        found: click.Command = getattr(import_module(f"dmz.commands.{name}"), name)
    return found


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
    context.obj = Setting(target, Estate(folder.resolve(), outer, inner))


def main() -> None:
    """The entry point `dmz`."""
    collect_rarely()
    called: Callable[..., Any] = cli
    called()
