"""Runs the program of a project: in a process of its own, or in the process that waits at `--client`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc  # type: ignore[import-untyped,unused-ignore]
import grpc.aio  # type: ignore[import-untyped,unused-ignore]
from pulumi.runtime.proto import language_pb2, language_pb2_grpc

from sandbox.engine.backend import ORGANIZATION
from sandbox.engine.errors import EngineError
from sandbox.engine.plugins import CHANNEL_OPTIONS
from sandbox.engine.processes import guarded
from sandbox.engine.program import ALREADY_REPORTED
from sandbox.engine.project import ConfigValue, Project

_HOST: Final = Path(__file__).with_name("program.py")
_EXIT_SECONDS: Final = 10
"""How long a program may take to end after a run has failed."""


@dataclass(frozen=True)
class Run:
    """What a program is told."""

    project: Project
    stack: str
    config: dict[str, ConfigValue]
    preview: bool
    parallel: int
    monitor: str
    """Address of the resource monitor."""
    engine: str
    """Address of the engine's log."""


class ProgramLog:
    """Takes the lines a program prints; to be overridden."""

    def line(self, text: str, *, error: bool) -> None:
        """One line of standard output or standard error."""


class Program:
    """A program that can be run once."""

    async def run(self, run: Run, log: ProgramLog) -> None:
        """Run to the end; a failure that was not reported yet is an `EngineError`, else `ReportedError`."""
        raise NotImplementedError

    async def stop(self) -> None:
        """End a program whose run is over."""


class ReportedError(EngineError):
    """The program failed and has said why itself."""


class ProcessProgram(Program):
    """Runs `__main__.py` with the interpreter that runs the engine."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def run(self, run: Run, log: ProgramLog) -> None:
        """See `Program`."""
        settings = {
            "program": str(run.project.main),
            "monitor": run.monitor,
            "engine": run.engine,
            "project": run.project.name,
            "stack": run.stack,
            "parallel": run.parallel,
            "dry_run": run.preview,
            "organization": ORGANIZATION,
            "root_directory": str(run.project.folder),
        }
        main = run.project.main
        environment = {
            **os.environ,
            "PULUMI_ENGINE_PROGRAM": json.dumps(settings),
            "PULUMI_CONFIG": json.dumps({key: value.text for key, value in run.config.items()}),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(
                [key for key, value in run.config.items() if value.secret]
            ),
        }
        self._process = await asyncio.create_subprocess_exec(
            *guarded([sys.executable, "-u", "-P", str(_HOST)]),
            cwd=main if main.is_dir() else main.parent,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            process_group=0,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        await asyncio.gather(
            _lines(self._process.stdout, log, error=False), _lines(self._process.stderr, log, error=True)
        )
        code = await self._process.wait()
        if code == ALREADY_REPORTED:
            raise ReportedError("the program failed")
        if code:
            raise EngineError(f"Program exited with non-zero exit code: {code}")

    async def stop(self) -> None:
        """See `Program`."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _EXIT_SECONDS)
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _lines(stream: asyncio.StreamReader, log: ProgramLog, *, error: bool) -> None:
    buffer = b""
    while chunk := await stream.read(65536):
        *lines, buffer = (buffer + chunk).split(b"\n")
        for line in lines:
            log.line(line.decode(errors="replace"), error=error)
    if buffer:
        log.line(buffer.decode(errors="replace"), error=error)


class ClientProgram(Program):
    """Has the program run by a `pulumirpc.LanguageRuntime` that listens already (inline programs)."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def run(self, run: Run, log: ProgramLog) -> None:
        """See `Program`."""
        request = language_pb2.RunRequest(
            project=run.project.name,
            stack=run.stack,
            pwd=str(run.project.folder),
            program=".",
            args=[run.engine],
            config={key: value.text for key, value in run.config.items()},
            configSecretKeys=[key for key, value in run.config.items() if value.secret],
            dryRun=run.preview,
            parallel=run.parallel,
            monitor_address=run.monitor,
            organization=ORGANIZATION,
        )
        async with grpc.aio.insecure_channel(self._address, options=CHANNEL_OPTIONS) as channel:
            stub: Any = language_pb2_grpc.LanguageRuntimeStub(channel)
            try:
                response = await stub.Run(request)
            except grpc.aio.AioRpcError as error:
                raise EngineError(f"--client {self._address}: {error.details()}") from error
        if response.error:
            raise ReportedError(response.error)
