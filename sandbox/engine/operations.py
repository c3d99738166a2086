"""Preview, update, refresh and destroy: one run from the state before to the state after."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.engine import urn as urns
from sandbox.engine import values
from sandbox.engine.backend import FileBackend, StackName, parse_stack_name
from sandbox.engine.builtin import BuiltinProvider
from sandbox.engine.deployment import AbortedError, Deployment
from sandbox.engine.errors import BailError, CancelledError, EngineError
from sandbox.engine.events import Events, Listener
from sandbox.engine.language import ClientProgram, ProcessProgram, Program, ProgramLog, ReportedError, Run
from sandbox.engine.monitor import EngineLog, Monitor, serve
from sandbox.engine.plugins import DYNAMIC_PACKAGE, Plugin, PluginProvider, plugin_command
from sandbox.engine.project import ConfigValue, Project
from sandbox.engine.providers import ConfigurableProvider, ProviderError
from sandbox.engine.registry import Registry
from sandbox.engine.secrets import Crypter
from sandbox.engine.state import Json, Resource, Snapshot, snapshot_from_json, snapshot_to_json


class Kind(enum.Enum):
    """What a run is for; the value is the CLI's word in the history."""

    PREVIEW = "preview"
    UPDATE = "update"
    REFRESH = "refresh"
    DESTROY = "destroy"


@dataclass(frozen=True)
class Target:
    """The stack that a run works on."""

    project: Project
    name: StackName
    backend: FileBackend
    config: dict[str, ConfigValue]
    config_record: Json
    """The configuration as the history keeps it, secrets encrypted."""
    crypter: Crypter
    crypter_for: Callable[[Json | None], Callable[[str], str]]
    """How to decrypt the secrets of a deployment, this stack's or another's."""


@dataclass(frozen=True)
class Options:
    """How a run is to be done."""

    parallel: int = 16
    message: str = ""
    exec_kind: str = "cli"
    client: str | None = None
    """Address of a process that runs the program itself."""
    refresh: bool = False
    """Refresh first."""
    clear_pending_creates: bool = False


@dataclass
class Outcome:
    """What a run did."""

    changes: Counter[str] = field(default_factory=Counter)

    @property
    def changed(self) -> bool:
        """Whether anything is, or would be, other than before."""
        return any(count for op, count in self.changes.items() if op not in ("same", "read"))


def perform(
    kind: Kind, target: Target, options: Options, listeners: list[Listener], *, preview: bool
) -> Outcome:
    """Do a run; a `BailError` says that it failed and that the events have told why."""
    if preview:
        return asyncio.run(_perform(kind, target, options, listeners, preview=True))
    with target.backend.lock(target.name):
        started = int(time.time())
        outcome = Outcome()
        result = "failed"
        try:
            asyncio.run(_perform(kind, target, options, listeners, preview=False, outcome=outcome))
            result = "succeeded"
        finally:
            target.backend.add_history(
                target.name,
                {
                    "kind": kind.value,
                    "startTime": started,
                    "message": options.message,
                    "environment": {"exec.kind": options.exec_kind},
                    "config": target.config_record,
                    "version": 0,
                    "result": result,
                    "endTime": int(time.time()),
                    "resourceChanges": dict(outcome.changes),
                },
            )
        return outcome


async def _perform(
    kind: Kind,
    target: Target,
    options: Options,
    listeners: list[Listener],
    *,
    preview: bool,
    outcome: Outcome | None = None,
) -> Outcome:
    outcome = outcome or Outcome()
    run = _Run(kind, target, options, Events(listeners), preview=preview)
    began = time.monotonic()
    masked = {key: "[secret]" if value.secret else value.text for key, value in target.config.items()}
    run.events.emit("preludeEvent", {"config": masked})
    error: EngineError | None = None
    try:
        await run.execute()
    except EngineError as caught:
        error = caught
    finally:
        outcome.changes.update(run.deployment.changes)
        run.events.emit(
            "summaryEvent",
            {
                "maybeCorrupt": False,
                "durationSeconds": round(time.monotonic() - began),
                "resourceChanges": dict(outcome.changes),
                "PolicyPacks": {},
                "isPreview": preview,
                "result": "failed" if error else "succeeded",
            },
        )
        run.events.emit("cancelEvent", {})
    if error is not None:
        raise error
    return outcome


class _ToEvents(ProgramLog):
    def __init__(self, events: Events, urn: str) -> None:
        self._events = events
        self._urn = urn

    def line(self, text: str, *, error: bool) -> None:
        """Show a line that the program printed."""
        if text.strip():
            self._events.diagnostic("info#err" if error else "info", text, self._urn)


class _Run:
    def __init__(
        self, kind: Kind, target: Target, options: Options, events: Events, *, preview: bool
    ) -> None:
        self._kind = kind
        self._target = target
        self._options = options
        self.events = events
        deployment = target.backend.load(target.name)
        base = snapshot_from_json(deployment, target.crypter_for(deployment))
        self._outputs_before = base.root_outputs()
        self._builtin = BuiltinProvider(self._read_outputs, self._find_resource)
        self._registry = Registry(self._load_provider)
        self._engine_address = ""
        self.deployment = Deployment(
            project=target.name.project,
            stack=target.name.stack,
            base=base,
            registry=self._registry,
            events=events,
            save=None if preview else self._save,
            parallel=options.parallel,
        )
        self._stack_urn = urns.make(
            target.name.stack,
            target.name.project,
            "",
            urns.STACK_TYPE,
            f"{target.name.project}-{target.name.stack}",
        )
        self._errors_logged = False
        if not preview and base.pending and kind is not Kind.REFRESH:
            listed = "".join(
                f"\n  * {resource.urn}, interrupted while {what}" for resource, what in base.pending
            )
            events.diagnostic(
                "warning",
                f"{len(base.pending)} operations of an earlier run were interrupted; whether they "
                "completed is not "
                f"known:{listed}\nCheck these resources, then run `pulumi refresh` "
                "(with --clear-pending-creates for creations that did not complete).",
            )

    def _save(self, snapshot: Snapshot) -> None:
        self._target.backend.save(self._target.name, snapshot_to_json(snapshot, self._target.crypter))

    # What providers need

    def _read_outputs(self, name: str) -> values.Properties:
        """The outputs of a stack; this stack's own are those of before the run."""
        backend = self._target.backend
        reference = parse_stack_name(name, self._target.name.project)
        if reference == self._target.name:
            return self._outputs_before
        if not backend.exists(reference):
            raise ProviderError(
                f'unknown stack "{reference}" in {backend.url}: run `pulumi up --stack '
                f"{reference.stack}` first "
                "or correct the stack reference"
            )
        deployment = backend.load(reference)
        return snapshot_from_json(deployment, self._target.crypter_for(deployment)).root_outputs()

    def _find_resource(self, urn: str) -> Resource | None:
        return self.deployment.news.get(urn)

    async def _load_provider(self, package: str) -> ConfigurableProvider:
        if package == "pulumi":
            return self._builtin
        command = plugin_command(package)
        main = self._target.project.main
        folder = main if main.is_dir() else main.parent

        def log(text: str) -> None:
            self.events.diagnostic("info#err", text)

        plugin = await Plugin.start(command, self._engine_address, folder, self._target.name.project, log)
        provider = PluginProvider(package, plugin)
        try:
            await provider.handshake(
                self._engine_address, folder if package == DYNAMIC_PACKAGE else Path(command[0]).parent
            )
        except BaseException:
            await provider.close()
            raise
        return provider

    # The run

    def _log_error(self) -> None:
        self._errors_logged = True

    async def execute(self) -> None:
        """Do everything; errors are told as events and end in a `BailError`."""
        deployment, options = self.deployment, self._options
        with_program = self._kind in (Kind.PREVIEW, Kind.UPDATE)
        monitor = Monitor(deployment, self._target.config, options.parallel)
        server, self._engine_address = await serve(
            monitor if with_program else None,
            EngineLog(self.events, self._log_error, deployment.aborted.is_set),
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._interrupt)
        try:
            with contextlib.suppress(AbortedError):
                if options.refresh or self._kind is Kind.REFRESH:
                    await deployment.refresh(clear_pending_creates=options.clear_pending_creates)
                if self._kind is Kind.DESTROY:
                    await deployment.delete_unregistered()
                if with_program:
                    await self._with_program(monitor)
            await deployment.settle()
            deployment.finish_stack_outputs()
            deployment.journal.save()
        finally:
            monitor.finished.set()
            await self._registry.close()
            await server.stop(0.2)
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
        word = "preview" if deployment.preview else self._kind.value
        if deployment.cancelled:
            self.events.diagnostic("error", f"{word} canceled", self._stack_urn)
            raise CancelledError(f"{word} canceled")
        if deployment.failed or self._errors_logged:
            self.events.diagnostic("error", f"{word} failed", self._stack_urn)
            raise BailError(f"{word} failed")

    def _interrupt(self) -> None:
        """The first interrupt ends the run in order; the second ends it now."""
        if self.deployment.cancelled:
            os._exit(130)
        self.events.diagnostic(
            "info",
            "Cancelling: waiting for what is under way; interrupt again to end at once.",
            self._stack_urn,
        )
        self.deployment.cancel()
        self._cancelling = asyncio.ensure_future(self._registry.cancel())

    async def _with_program(self, monitor: Monitor) -> None:
        deployment = self.deployment
        program: Program = ClientProgram(self._options.client) if self._options.client else ProcessProgram()
        run = Run(
            project=self._target.project,
            stack=self._target.name.stack,
            config=self._target.config,
            preview=deployment.preview,
            parallel=self._options.parallel,
            monitor=self._engine_address,
            engine=self._engine_address,
        )
        running = asyncio.create_task(program.run(run, _ToEvents(self.events, self._stack_urn)))
        waits: list[asyncio.Task[Any]] = [
            running,
            asyncio.create_task(monitor.program_done.wait()),
            asyncio.create_task(deployment.aborted.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                self._check_program(running)
            if not deployment.aborted.is_set():
                await deployment.settle()
            if not deployment.aborted.is_set() and not deployment.failed:
                await deployment.delete_unregistered()
        finally:
            await deployment.settle()
            monitor.finished.set()
            for wait in waits[1:]:
                wait.cancel()
            if deployment.aborted.is_set():
                await program.stop()
            if self._options.client and deployment.aborted.is_set():
                with contextlib.suppress(asyncio.TimeoutError, EngineError):
                    await asyncio.wait_for(running, 10)
            else:
                await asyncio.wait({running})
                self._check_program(running)

    def _check_program(self, running: asyncio.Task[None]) -> None:
        """Take note of a program that failed, unless it did because the run is over."""
        error = running.exception()
        if error is None or self.deployment.aborted.is_set():
            return
        if isinstance(error, ReportedError):
            self.deployment.failed = True
            self.deployment.aborted.set()
        elif isinstance(error, EngineError):
            self.deployment.fail(str(error), self._stack_urn)
        else:
            raise error
