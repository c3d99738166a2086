"""The part of `pulumi`'s command line that the embedded engine has; anything else is refused by name."""

from __future__ import annotations

import functools
import getpass
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from sandbox.engine.errors import (
    EXIT_CONFIGURATION,
    BailError,
    CancelledError,
    ChangesError,
    ConfigurationError,
    EngineError,
)
from sandbox.engine.project import ConfigValue, evaluate, is_secure, parse_path, write_file
from sandbox.engine.state import DEPLOYMENT_VERSION, VERSION, snapshot_from_json, snapshot_to_json
from sandbox.engine.urn import STACK_TYPE
from sandbox.engine.urn import make as make_urn
from sandbox.engine.workspace import NoStackSelectedError, Stack, Workspace, default_environment

F = TypeVar("F", bound=Callable[..., Any])

_HELP = f"""Pulumi's engine, embedded (follows CLI {VERSION}).

It has the commands and options listed here. What it does not have it refuses; the Pulumi CLI, where it is on
PATH, works on the same state."""


class _Settings:
    """Options that may stand before or after any command."""

    def __init__(self) -> None:
        self.cwd: str | None = None
        self.non_interactive = False
        self.color = "auto"

    @property
    def workspace(self) -> Workspace:
        folder = Path(self.cwd) if self.cwd else Path.cwd()
        if not folder.is_dir():
            raise ConfigurationError(f"--cwd {folder}: there is no such folder")
        return Workspace(folder.absolute(), default_environment())

    @property
    def interactive(self) -> bool:
        return not self.non_interactive and sys.stdin.isatty() and sys.stdout.isatty()

    @property
    def colored(self) -> bool:
        return self.color == "always" or (self.color == "auto" and sys.stdout.isatty())


def _settings() -> _Settings:
    return click.get_current_context().ensure_object(_Settings)


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value not in (None, False):
        setattr(context.ensure_object(_Settings), str(parameter.name), value)


def _common(command: F) -> F:
    """The options that every command takes."""
    for option in (
        click.option(
            "-C", "--cwd", expose_value=False, callback=_remember, help="Run as if started in this folder."
        ),
        click.option(
            "--non-interactive", is_flag=True, expose_value=False, callback=_remember, help="Ask for nothing."
        ),
        click.option(
            "--color",
            type=click.Choice(["always", "never", "auto"]),
            expose_value=False,
            callback=_remember,
            help="Color the output (default: on a terminal).",
        ),
    ):
        command = option(command)
    return command


_stack_option = click.option("-s", "--stack", metavar="NAME", help="The stack (default: the selected one).")
_json_option = click.option("-j", "--json", "as_json", is_flag=True, help="Print JSON.")
_secrets_option = click.option("--show-secrets", is_flag=True, help="Print secrets in the clear.")
_path_option = click.option("--path", is_flag=True, help="KEY is a path into a map or a list.")
_config_file_option = click.option(
    "--config-file", metavar="FILE", help="Use this file instead of Pulumi.STACK.yaml."
)


def _print_json(content: Any) -> None:
    click.echo(json.dumps(content, indent=2, ensure_ascii=False))


def _table(headers: list[str], rows: list[list[str]]) -> None:
    widths = [max(len(row[i]) for row in [headers, *rows]) for i in range(len(headers))]
    for row in [headers, *rows]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@click.group(help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@_common
def pulumi() -> None:
    """See `_HELP`."""


# Running


def _run_options(command: F) -> F:
    for option in reversed(
        [
            _stack_option,
            _config_file_option,
            click.option(
                "-p",
                "--parallel",
                type=click.IntRange(min=1),
                default=16,
                show_default=True,
                help="Operations at once.",
            ),
            click.option("-m", "--message", default="", help="A message for the history."),
            click.option("--diff", is_flag=True, help="Show what changes, entry by entry."),
            click.option("--expect-no-changes", is_flag=True, help="Fail if anything changes."),
            click.option("-d", "--debug", is_flag=True, help="Show debugging messages."),
            click.option("--suppress-outputs", is_flag=True, help="Do not show the stack's outputs."),
            click.option("--suppress-progress", is_flag=True, help="Do not show the single steps."),
            click.option("--event-log", metavar="TARGET", help="Log events to a file or to tcp://HOST:PORT."),
            click.option("--exec-kind", default="cli", hidden=True),
            click.option("--client", metavar="ADDRESS", hidden=True),
        ]
    ):
        command = option(command)
    return _common(command)


def _confirm_options(command: F) -> F:
    for option in (
        click.option("-f", "--skip-preview", is_flag=True, help="Do it without a preview."),
        click.option("-y", "--yes", is_flag=True, help="Do it without asking."),
    ):
        command = option(command)
    return command


_no_program_option = click.option(
    "--run-program", type=click.BOOL, default=False, hidden=True, is_flag=False, flag_value=True
)


def _refuse_program(run_program: bool) -> None:
    if run_program:
        raise ConfigurationError("--run-program is not implemented by the embedded engine")


def _perform(
    kind_name: str, given: dict[str, Any], *, preview_only: bool, yes: bool = True, skip_preview: bool = False
) -> None:
    """Preview, ask and do, as the options say."""
    settings = _settings()
    if not preview_only and not yes and not settings.interactive:
        raise ConfigurationError("--yes must be passed in to proceed when running in non-interactive mode")
    stack = settings.workspace.stack(given["stack"], given["config_file"])
    stack.check()
    changed = False
    if preview_only or not skip_preview:
        changed = _run(kind_name, stack, settings, given, preview=True)
        if given["expect_no_changes"] and changed:
            raise ChangesError("no changes were expected but changes were proposed")
    if preview_only:
        return
    if not yes and not skip_preview and not click.confirm(f"Do you want to perform this {kind_name}?"):
        raise CancelledError(f"confirmation declined, not proceeding with the {kind_name}")
    changed = _run(kind_name, stack, settings, given, preview=False)
    if given["expect_no_changes"] and changed:
        raise ChangesError("no changes were expected but changes occurred")


def _run(kind_name: str, stack: Stack, settings: _Settings, given: dict[str, Any], *, preview: bool) -> bool:
    # The SDK takes a while to load; commands that need no run go without it.
    from sandbox.engine.display import Digest, Display
    from sandbox.engine.events import open_event_log
    from sandbox.engine.operations import Kind, Options, Target, perform

    target = Target(
        project=stack.project,
        name=stack.name,
        backend=stack.backend,
        config=stack.values(),
        config_record=stack.config_record(),
        crypter=stack.crypter(),
        crypter_for=stack.decrypter,
    )
    options = Options(
        parallel=given["parallel"],
        message=given["message"],
        exec_kind=given["exec_kind"],
        client=given["client"],
        refresh=given.get("refresh", False),
        clear_pending_creates=given.get("clear_pending_creates", False),
    )
    as_json = given.get("as_json", False)
    name = stack.name
    display: Any = (
        Digest()
        if as_json
        else Display(
            stack=name.stack,
            stack_urn=make_urn(name.stack, name.project, "", STACK_TYPE, f"{name.project}-{name.stack}"),
            action=kind_name,
            preview=preview,
            diff=given["diff"],
            color=settings.colored,
            debug=given["debug"],
            show_outputs=not given["suppress_outputs"],
            show_progress=not given["suppress_progress"],
        )
    )
    listeners = [display]
    log = open_event_log(given["event_log"]) if given["event_log"] else None
    if log is not None:
        listeners.append(log)
    try:
        outcome = perform(Kind(kind_name), target, options, listeners, preview=preview)
    finally:
        if log is not None:
            log.close()
        if as_json:
            click.echo(display.text())
    return outcome.changed


@pulumi.command()
@_run_options
@click.option("-r", "--refresh", is_flag=True, help="Look at what is really there first.")
@_json_option
def preview(**given: Any) -> None:
    """Show what an update would change."""
    _perform("preview", given, preview_only=True)


@pulumi.command()
@_run_options
@_confirm_options
@click.option("-r", "--refresh", is_flag=True, help="Look at what is really there first.")
def up(yes: bool, skip_preview: bool, **given: Any) -> None:
    """Create or update the stack's resources."""
    _perform("update", given, preview_only=False, yes=yes, skip_preview=skip_preview)


pulumi.add_command(up, "update")


@pulumi.command()
@_run_options
@_confirm_options
@click.option("--preview-only", is_flag=True, help="Only show what a refresh would change.")
@click.option("--clear-pending-creates", is_flag=True, help="Forget creations that were interrupted.")
@_no_program_option
def refresh(run_program: bool, preview_only: bool, yes: bool, skip_preview: bool, **given: Any) -> None:
    """Take over into the state what is really there."""
    _refuse_program(run_program)
    _perform("refresh", given, preview_only=preview_only, yes=yes, skip_preview=skip_preview)


@pulumi.command()
@_run_options
@_confirm_options
@click.option("-r", "--refresh", is_flag=True, help="Look at what is really there first.")
@click.option("--preview-only", is_flag=True, help="Only show what would be destroyed.")
@click.option("--remove", is_flag=True, help="Remove the stack afterwards.")
@_no_program_option
def destroy(
    run_program: bool, preview_only: bool, remove: bool, yes: bool, skip_preview: bool, **given: Any
) -> None:
    """Destroy all of the stack's resources."""
    _refuse_program(run_program)
    _perform("destroy", given, preview_only=preview_only, yes=yes, skip_preview=skip_preview)
    if preview_only:
        return
    workspace = _settings().workspace
    stack = workspace.stack(given["stack"], given["config_file"])
    if remove:
        _remove_stack(workspace, stack, force=False, preserve_config=False)
        return
    click.echo(
        "The resources in the stack have been deleted, but the history and configuration associated "
        "with the stack "
        "are still maintained.\nIf you want to remove the stack completely, run `pulumi stack rm "
        f"{stack.name.stack}`."
    )


# Stacks


@pulumi.group("stack", invoke_without_command=True)
@_stack_option
@click.option("--show-name", is_flag=True, help="Print only the stack's name.")
@_common
@click.pass_context
def stack_group(context: click.Context, stack: str | None, show_name: bool) -> None:
    """Manage stacks; without a command, describe one."""
    if context.invoked_subcommand is not None:
        if stack or show_name:
            raise ConfigurationError("pulumi stack: options go after the command")
        return
    chosen = _settings().workspace.stack(stack)
    if show_name:
        click.echo(chosen.name.stack)
        return
    deployment = chosen.backend.load(chosen.name) or {}
    click.echo(f"Current stack is {chosen.name.stack}:")
    if "manifest" in deployment:
        click.echo(f"    Last updated: {deployment['manifest']['time']}")
    resources = deployment.get("resources", [])
    click.echo(f"Current stack resources ({len(resources)}):")
    for resource in resources:
        click.echo(f"    {resource['type']}  {resource['urn'].split('::')[-1]}")


@stack_group.command("init")
@click.argument("name", required=False)
@_stack_option
@click.option("--secrets-provider", default="default", help="Only passphrase is known.")
@click.option("--no-select", is_flag=True, help="Do not select the new stack.")
@_common
def stack_init(name: str | None, stack: str | None, secrets_provider: str, no_select: bool) -> None:
    """Make a stack."""
    if secrets_provider not in ("default", "passphrase"):
        raise ConfigurationError(
            f"--secrets-provider {secrets_provider}: the embedded engine knows only passphrase"
        )
    if bool(name) == bool(stack):
        raise ConfigurationError("name the new stack, once")
    workspace = _settings().workspace
    files = workspace.stack_files(workspace.name(name or stack), workspace.backend())
    files.create()
    if not no_select:
        workspace.select(files.name)
    click.echo(f"Created stack '{files.name.stack}'")


@stack_group.command("select")
@click.argument("name", required=False)
@_stack_option
@click.option("-c", "--create", is_flag=True, help="Make the stack if there is none.")
@_common
def stack_select(name: str | None, stack: str | None, create: bool) -> None:
    """Choose the stack for the commands to come."""
    wanted = name or stack
    if not wanted or (name and stack):
        raise ConfigurationError("name the stack to select, once")
    workspace = _settings().workspace
    backend = workspace.backend()
    full = workspace.name(wanted)
    if create and not backend.exists(full):
        workspace.stack_files(full, backend).create()
    workspace.stack(wanted)
    workspace.select(full)


@stack_group.command("ls")
@_json_option
@click.option("-a", "--all", "everything", is_flag=True, help="The stacks of all projects.")
@_common
def stack_ls(as_json: bool, everything: bool) -> None:
    """List stacks."""
    workspace = _settings().workspace
    backend = workspace.backend()
    project = workspace.project_if_any() if everything else workspace.project
    current = workspace.selected() if project else None
    entries = []
    for name in backend.stacks():
        if not everything and project and name.project != project.name:
            continue
        deployment = backend.load(name) or {}
        shown = name.stack if project and name.project == project.name else str(name)
        entry: dict[str, Any] = {"name": shown, "current": name == current}
        if "manifest" in deployment:
            entry["lastUpdate"] = deployment["manifest"]["time"][:23] + "Z"
        entry["resourceCount"] = len(deployment.get("resources", []))
        entries.append(entry)
    if as_json:
        _print_json(entries)
        return
    rows = [
        [e["name"] + ("*" if e["current"] else ""), e.get("lastUpdate", "n/a"), str(e["resourceCount"])]
        for e in entries
    ]
    _table(["NAME", "LAST UPDATE", "RESOURCE COUNT"], rows)


stack_group.add_command(stack_ls, "list")


def _remove_stack(workspace: Workspace, stack: Stack, *, force: bool, preserve_config: bool) -> None:
    with stack.backend.lock(stack.name):
        stack.backend.remove(stack.name, force=force)
    if not preserve_config:
        stack.config.file.unlink(missing_ok=True)
    if workspace.selected() == stack.name:
        workspace.select(None)
    click.echo(f"Stack '{stack.name.stack}' has been removed!")


@stack_group.command("rm")
@click.argument("name", required=False)
@_stack_option
@click.option("-y", "--yes", is_flag=True, help="Do it without asking.")
@click.option("-f", "--force", is_flag=True, help="Also with resources, which go on to exist.")
@click.option("--preserve-config", is_flag=True, help="Keep Pulumi.STACK.yaml.")
@_common
def stack_rm(name: str | None, stack: str | None, yes: bool, force: bool, preserve_config: bool) -> None:
    """Remove a stack and its configuration."""
    settings = _settings()
    chosen = settings.workspace.stack(name or stack)
    if not yes:
        if not settings.interactive:
            raise ConfigurationError(
                "--yes must be passed in to proceed when running in non-interactive mode"
            )
        if not click.confirm(f"This will permanently remove the '{chosen.name.stack}' stack!"):
            raise CancelledError("confirmation declined")
    _remove_stack(settings.workspace, chosen, force=force, preserve_config=preserve_config)


@stack_group.command("output")
@click.argument("name", required=False)
@_stack_option
@_json_option
@_secrets_option
@_common
def stack_output(name: str | None, stack: str | None, as_json: bool, show_secrets: bool) -> None:
    """Print the stack's outputs."""
    from sandbox.engine import values

    chosen = _settings().workspace.stack(stack)
    deployment = chosen.backend.load(chosen.name)
    decrypt = chosen.decrypter(deployment) if show_secrets else lambda _: '"[secret]"'
    outputs = snapshot_from_json(deployment, decrypt).root_outputs()
    shown = {key: values.plain(outputs[key]) for key in sorted(outputs)}
    if name is not None:
        if name not in shown:
            raise EngineError(f"current stack does not have output property '{name}'")
        value = shown[name]
        if as_json:
            _print_json(value)
        else:
            click.echo(value if isinstance(value, str) else json.dumps(value))
    elif as_json:
        _print_json(shown)
    elif not shown:
        click.echo("No output values currently in this stack")
    else:
        click.echo("Current stack outputs:")
        rows = [[key, value if isinstance(value, str) else json.dumps(value)] for key, value in shown.items()]
        _table(["OUTPUT", "VALUE"], rows)


@stack_group.command("export")
@_stack_option
@_secrets_option
@click.option("--file", "file", metavar="FILE", help="Write to this file.")
@_common
def stack_export(stack: str | None, show_secrets: bool, file: str | None) -> None:
    """Print the stack's state."""
    chosen = _settings().workspace.stack(stack)
    deployment = chosen.backend.load(chosen.name)
    if show_secrets and deployment:
        snapshot = snapshot_from_json(deployment, chosen.decrypter(deployment))
        manifest = deployment["manifest"]
        deployment = {**snapshot_to_json(snapshot, chosen.crypter(), show_secrets=True), "manifest": manifest}
    text = json.dumps({"version": DEPLOYMENT_VERSION, "deployment": deployment}, indent=4, ensure_ascii=False)
    if file:
        write_file(Path(file), text + "\n")
    else:
        click.echo(text)


@stack_group.command("import")
@_stack_option
@click.option("--file", "file", metavar="FILE", help="Read this file (default: standard input).")
@click.option("-f", "--force", is_flag=True, help="Also when it looks like another stack's state.")
@_common
def stack_import(stack: str | None, file: str | None, force: bool) -> None:
    """Replace the stack's state by an exported one."""
    chosen = _settings().workspace.stack(stack)
    try:
        content = json.loads(Path(file).read_text(encoding="utf-8") if file else sys.stdin.read())
        version, deployment = content["version"], content["deployment"]
    except OSError as error:
        raise ConfigurationError(f"--file {file}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{file or 'standard input'} is not an exported state: {error}") from error
    if version != DEPLOYMENT_VERSION:
        raise ConfigurationError(f"deployment version {version} is not known to the embedded engine")
    snapshot = snapshot_from_json(deployment, chosen.decrypter(deployment))
    prefix = f"urn:pulumi:{chosen.name.stack}::{chosen.name.project}::"
    strangers = [resource.urn for resource in snapshot.resources if not resource.urn.startswith(prefix)]
    if strangers and not force:
        raise ConfigurationError(
            f"resource '{strangers[0]}' belongs to another stack; --force imports it anyway"
        )
    with chosen.backend.lock(chosen.name):
        chosen.backend.save(chosen.name, snapshot_to_json(snapshot, chosen.crypter()))
    click.echo("Import complete.")


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


@stack_group.command("history")
@_stack_option
@_json_option
@_secrets_option
@click.option(
    "--page-size", type=click.IntRange(min=0), default=10, show_default=True, help="Updates a page."
)
@click.option("--page", type=click.IntRange(min=1), default=1, show_default=True, help="Which page.")
@_common
def stack_history(stack: str | None, as_json: bool, show_secrets: bool, page_size: int, page: int) -> None:
    """List past updates, the latest first."""
    chosen = _settings().workspace.stack(stack)
    updates = chosen.backend.history(chosen.name)
    if page_size:
        updates = updates[(page - 1) * page_size : page * page_size]
    if not as_json:
        if not updates:
            click.echo("Stack has never been updated")
        for update in updates:
            changes = ", ".join(
                f"{count} {op}" for op, count in sorted(update.get("resourceChanges", {}).items())
            )
            click.echo(
                f"{_time(update['startTime'])}  {update['kind']}  {update['result']}  {changes}".rstrip()
            )
            if update["message"]:
                click.echo(f"    {update['message']}")
        return
    _print_json([_history_entry(chosen, update, show_secrets) for update in updates])


def _history_entry(stack: Stack, update: dict[str, Any], show_secrets: bool) -> dict[str, Any]:
    config = {}
    for key, value in (update.get("config") or {}).items():
        evaluated = evaluate(value, stack.decrypt if show_secrets else lambda _: "")
        config[key] = _config_entry(evaluated, show_secrets)
    return {
        "version": update.get("version", 0),
        "kind": update["kind"],
        "startTime": _time(update["startTime"]),
        "message": update["message"],
        "environment": update["environment"],
        "config": config,
        "result": update["result"],
        "endTime": _time(update["endTime"]),
        "resourceChanges": update.get("resourceChanges", {}),
    }


pulumi.add_command(stack_history, "history")


@pulumi.command()
@click.argument("name", required=False)
@_stack_option
@click.option("-y", "--yes", is_flag=True, help="Do it without asking.")
@_common
def cancel(name: str | None, stack: str | None, yes: bool) -> None:
    """Remove the locks of a stack, whoever holds them."""
    settings = _settings()
    chosen = settings.workspace.stack(name or stack)
    if not yes:
        if not settings.interactive:
            raise ConfigurationError(
                "--yes must be passed in to proceed when running in non-interactive mode"
            )
        if not click.confirm(f"Remove the locks of '{chosen.name.stack}'?"):
            raise CancelledError("confirmation declined")
    chosen.backend.cancel(chosen.name)
    click.echo(f"The currently running update for '{chosen.name.stack}' has been canceled!")


# Configuration


def _config_entry(value: ConfigValue, show_secrets: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    if not value.secret or show_secrets:
        entry["value"] = value.text
        if value.structured:
            entry["objectValue"] = json.loads(value.text)
    return {**entry, "secret": value.secret}


@pulumi.group("config", invoke_without_command=True)
@_stack_option
@_json_option
@_secrets_option
@_config_file_option
@_common
@click.pass_context
def config_group(
    context: click.Context, stack: str | None, as_json: bool, show_secrets: bool, config_file: str | None
) -> None:
    """Manage a stack's configuration; without a command, list it."""
    if context.invoked_subcommand is not None:
        if stack or as_json or show_secrets or config_file:
            raise ConfigurationError("pulumi config: options go after the command")
        return
    chosen = _settings().workspace.stack(stack, config_file)
    entries = chosen.values(blind=not show_secrets)
    if as_json:
        _print_json({key: _config_entry(value, show_secrets) for key, value in entries.items()})
        return
    prefix = f"{chosen.project.name}:"
    rows = [
        [key.removeprefix(prefix), "[secret]" if value.secret and not show_secrets else value.text]
        for key, value in entries.items()
    ]
    _table(["KEY", "VALUE"], rows)


def _split_key(stack: Stack, key: str, path: bool) -> tuple[str, list[str | int]]:
    """The full key and, with `--path`, the steps into its value."""
    if not path:
        return stack.project.key(key), []
    namespace, separator, rest = key.rpartition(":") if ":" in key.split("[")[0] else ("", "", key)
    first, *steps = parse_path(rest)
    return stack.project.key(f"{namespace}{separator}{first}"), steps


@config_group.command("get")
@click.argument("key")
@_stack_option
@_json_option
@_path_option
@_config_file_option
@_common
def config_get(key: str, stack: str | None, as_json: bool, path: bool, config_file: str | None) -> None:
    """Print one value."""
    from sandbox.engine.project import merged

    chosen = _settings().workspace.stack(stack, config_file)
    full, steps = _split_key(chosen, key, path)
    try:
        value = merged(chosen.project, chosen.config)[full]
        for step in steps:
            value = value[step]
    except (KeyError, IndexError, TypeError) as error:
        raise EngineError(f"configuration key '{key}' not found for stack '{chosen.name.stack}'") from error
    evaluated = evaluate(value, chosen.decrypt)
    if as_json:
        _print_json(_config_entry(evaluated, show_secrets=True))
    else:
        click.echo(evaluated.text)


def _set(stack: Stack, key: str, value: Any, *, path: bool) -> None:
    full, steps = _split_key(stack, key, path)
    if not steps:
        stack.config.values[full] = value
        return
    container: Any = stack.config.values
    place: str | int = full
    for step in steps:
        wanted: type = list if isinstance(step, int) else dict
        existing = container[place] if _has(container, place) else None
        if is_secure(existing) or not isinstance(existing, wanted | None):
            raise ConfigurationError(
                f"--path {key}: there is a value in the way that is not a {wanted.__name__}"
            )
        if existing is None:
            existing = wanted()
            _put(container, place, existing, key)
        container, place = existing, step
    _put(container, place, value, key)


def _has(container: Any, place: str | int) -> bool:
    if isinstance(container, list):
        return isinstance(place, int) and place < len(container)
    return place in container


def _put(container: Any, place: str | int, value: Any, key: str) -> None:
    if isinstance(container, list) and isinstance(place, int) and place == len(container):
        container.append(value)
    elif isinstance(container, list) and not _has(container, place):
        raise ConfigurationError(f"--path {key}: a list is extended at its end only")
    else:
        container[place] = value


def _plaintext(text: str, *, path: bool) -> Any:
    """With `--path`, numbers and booleans are kept as such inside lists and maps."""
    if path and text in ("true", "false"):
        return text == "true"
    if path and text.lstrip("-").isdigit() and str(int(text)) == text:
        return int(text)
    return text


@config_group.command("set")
@click.argument("key")
@click.argument("value", required=False)
@_stack_option
@click.option("--secret", is_flag=True, help="Encrypt the value.")
@click.option("--plaintext", is_flag=True, help="Store the value in the clear.")
@_path_option
@_config_file_option
@_common
def config_set(
    key: str,
    value: str | None,
    stack: str | None,
    secret: bool,
    plaintext: bool,
    path: bool,
    config_file: str | None,
) -> None:
    """Set one value; without VALUE it is read from standard input."""
    if secret and plaintext:
        raise ConfigurationError("--secret and --plaintext exclude each other")
    settings = _settings()
    chosen = settings.workspace.stack(stack, config_file)
    if value is None:
        value = (
            click.prompt("value", hide_input=secret)
            if settings.interactive
            else sys.stdin.read().rstrip("\n")
        )
    assert value is not None
    _set(
        chosen, key, {"secure": chosen.encrypt(value)} if secret else _plaintext(value, path=path), path=path
    )
    chosen.config.save()


@config_group.command("set-all")
@_stack_option
@click.option("--secret", "secrets", multiple=True, metavar="KEY=VALUE", help="A value to encrypt.")
@click.option(
    "--plaintext", "plaintexts", multiple=True, metavar="KEY=VALUE", help="A value to store in the clear."
)
@click.option("--json", "document", metavar="JSON", help="Values in the form that `config --json` prints.")
@_path_option
@_config_file_option
@_common
def config_set_all(
    stack: str | None,
    secrets: tuple[str, ...],
    plaintexts: tuple[str, ...],
    document: str | None,
    path: bool,
    config_file: str | None,
) -> None:
    """Set several values at once."""
    chosen = _settings().workspace.stack(stack, config_file)
    pairs = [(text, False) for text in plaintexts] + [(text, True) for text in secrets]
    for text, is_secret in pairs:
        key, separator, value = text.partition("=")
        if not separator:
            raise ConfigurationError(f"{text!r} must be of the form KEY=VALUE")
        content = {"secure": chosen.encrypt(value)} if is_secret else _plaintext(value, path=path)
        _set(chosen, key, content, path=path)
    if document is not None:
        try:
            entries = {
                key: (entry["value"], entry.get("secret", False), entry.get("objectValue"))
                for key, entry in json.loads(document).items()
            }
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise ConfigurationError(
                f"--json: not in the form that `pulumi config --json` prints: {error}"
            ) from error
        for key, (value, is_secret, structure) in entries.items():
            plain = value if structure is None else structure
            _set(chosen, key, {"secure": chosen.encrypt(value)} if is_secret else plain, path=False)
    chosen.config.save()


def _remove(stack: Stack, key: str, path: bool) -> None:
    full, steps = _split_key(stack, key, path)
    container: Any = stack.config.values
    *ways, last = [full, *steps]
    try:
        for way in ways:
            container = container[way]
        del container[last]
    except (KeyError, IndexError, TypeError):
        pass  # the CLI too removes what is not there without a word


@config_group.command("rm")
@click.argument("key")
@_stack_option
@_path_option
@_config_file_option
@_common
def config_rm(key: str, stack: str | None, path: bool, config_file: str | None) -> None:
    """Remove one value."""
    chosen = _settings().workspace.stack(stack, config_file)
    _remove(chosen, key, path)
    chosen.config.save()


@config_group.command("rm-all")
@click.argument("keys", nargs=-1, required=True)
@_stack_option
@_path_option
@_config_file_option
@_common
def config_rm_all(keys: tuple[str, ...], stack: str | None, path: bool, config_file: str | None) -> None:
    """Remove several values."""
    chosen = _settings().workspace.stack(stack, config_file)
    for key in keys:
        _remove(chosen, key, path)
    chosen.config.save()


# About


@pulumi.command()
@_common
def version() -> None:
    """Print the version."""
    click.echo(f"{VERSION}-embedded")


@pulumi.command()
@_json_option
@_common
def whoami(as_json: bool) -> None:
    """Print who runs this, and with `--json` where the state is."""
    user = getpass.getuser()
    if as_json:
        _print_json({"user": user, "url": _settings().workspace.backend().url})
    else:
        click.echo(user)


def _fail(message: str) -> None:
    click.echo(f"error: {message}", err=True)


def main(arguments: list[str] | None = None) -> NoReturn:
    """The command line; ends the process with the CLI's exit code."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


@functools.cache
def _refusal(command: str) -> str:
    return f"the embedded engine implements a part of pulumi's command line, see `{command} --help`"


def run(arguments: list[str]) -> int:
    """Run a command; its exit code."""
    try:
        pulumi.main(args=arguments, prog_name="pulumi", standalone_mode=False)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "pulumi"
        _fail(f"{command}: {error.format_message()} ({_refusal(command)})")
        return EXIT_CONFIGURATION
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _fail("cancelled")
        return CancelledError.exit_code
    except BailError as error:
        return error.exit_code
    except (EngineError, NoStackSelectedError) as error:
        _fail(str(error))
        return error.exit_code
    return 0
