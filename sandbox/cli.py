"""The command line of the sandbox: `dmz sandbox up|down|env|log|shell`."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from sandbox.cloud.endpoints import shell_lines
from sandbox.cloud.errors import ApiError
from sandbox.cloud.store import read_records
from sandbox.daemon import DEFAULT_ROOT, Daemon
from sandbox.errors import SandboxError
from sandbox.machines import machine_command

Command = TypeVar("Command", bound=Callable[..., Any])


def _root(command: Command) -> Command:
    return click.option(
        "--root",
        type=click.Path(path_type=Path),
        default=DEFAULT_ROOT,
        show_default=True,
        help="The sandbox's folder.",
    )(command)


def _json(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


@click.group()
def sandbox() -> None:
    """Google Cloud's stand-in on this machine.

    It serves Google's APIs on local ports, with machines in network namespaces, so that the same program runs
    without a cloud account. It needs root on Linux.
    """


@sandbox.command()
@_root
@_json
def up(root: Path, as_json: bool) -> None:
    """Start the sandbox, and wait until it answers.

    One that is up stays as it is. What was declared earlier comes back: machines boot again, and addresses
    stay the same.
    """
    daemon = Daemon(root)
    try:
        daemon.start(lambda line: click.echo(line, err=True))
        values = daemon.environment()
    except SandboxError as error:
        _fail(error)
    if as_json:
        click.echo(json.dumps({"root": str(daemon.root), "environment": values}, indent=2))
    else:
        click.echo(f"The sandbox is up in {daemon.root}.")
        click.echo('Lead a shell to it with: eval "$(dmz sandbox env)"')


@sandbox.command()
@_root
@_json
def down(root: Path, as_json: bool) -> None:
    """Stop the sandbox: no process, namespace, mount or rule of it is left.

    The folder stays, with what was declared, the repositories' contents and the cache, and 'up' takes them up
    again. Remove the folder to forget them.
    """
    daemon = Daemon(root)
    was_up = daemon.running
    try:
        daemon.stop(lambda line: click.echo(line, err=True))
    except SandboxError as error:
        _fail(error)
    if as_json:
        click.echo(json.dumps({"root": str(daemon.root), "was_up": was_up}))
    else:
        click.echo("The sandbox is down." if was_up else "The sandbox was not up.")


@sandbox.command()
@_root
@_json
def env(root: Path, as_json: bool) -> None:
    """Print the variables with which 'pulumi' and Google's clients work on the sandbox.

    They hold an access token of the sandbox: mind where the output goes.

    \b
        eval "$(dmz sandbox env)"
        pulumi preview -s outer
    """
    try:
        values = Daemon(root).environment()
    except SandboxError as error:
        _fail(error)
    click.echo(json.dumps(values, indent=2) if as_json else shell_lines(values), nl=as_json)


@sandbox.command()
@click.argument("machine", required=False)
@_root
@click.option("-f", "--follow", is_flag=True, help="Go on as the log grows, until interrupted.")
def log(machine: str | None, root: Path, follow: bool) -> None:
    """Show the console of MACHINE, or without one the log of the sandbox itself.

    MACHINE is the name of a TPU node, such as 'outer', or PROJECT/NAME where two projects have one.
    """
    daemon = Daemon(root)
    if machine is None:
        path = daemon.log
    else:
        _, project, _, zone, _, name = _node(daemon, machine).split("/")
        path = daemon.root / "machines" / f"{project}.{zone}.{name}" / "console.log"
    if not path.exists():
        _fail(SandboxError(f"{path}: there is no such log; was it ever started?"))
    with path.open(errors="replace") as file:
        while True:
            for line in file:
                click.echo(line, nl=False)
            if not follow:
                return
            time.sleep(0.3)


@sandbox.command()
@click.argument("machine")
@click.argument("command", nargs=-1)
@_root
def shell(machine: str, command: tuple[str, ...], root: Path) -> None:
    """Open a shell as root inside MACHINE, or run COMMAND there.

    The shell is in the machine's namespaces: it sees the machine's files and network, not this host's.

    \b
        dmz sandbox shell inner
        dmz sandbox shell inner -- getent hosts example.com
    """
    daemon = Daemon(root)
    name = _node(daemon, machine)
    try:
        argv = machine_command(daemon.root, name, list(command) or ["/bin/bash", "-l"])
    except ApiError as error:
        _fail(SandboxError(f"{error.message}; start it with 'dmz sandbox up'"))
    os.execvp(argv[0], argv)  # noqa: S606 (the machine's own command takes the place of this process)


def _node(daemon: Daemon, machine: str) -> str:
    """The full name of the node that a person means; ends the program if it isn't exactly one."""
    wanted = machine.split("/")
    names = [
        name.removeprefix("tpu/")
        for name in read_records(daemon.root / "resources.jsonl")
        if name.startswith("tpu/") and "/nodes/" in name
    ]
    found = [
        name
        for name in names
        if name == machine or [name.split("/")[1], name.split("/")[5]][-len(wanted) :] == wanted
    ]
    if len(found) == 1:
        return found[0]
    known = ", ".join("/".join(name.split("/")[1::4]) for name in names) or "none"
    what = "names several machines" if found else "is no machine of this sandbox"
    _fail(SandboxError(f"'{machine}' {what}; there are: {known}"))


def _fail(error: Exception) -> NoReturn:
    click.echo(f"Error: {error}", err=True)
    sys.exit(1)
