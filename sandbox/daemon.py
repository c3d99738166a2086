"""The daemon of one sandbox, from the outside: started, found, asked and ended by its folder."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from sandbox import preflight
from sandbox.cloud.endpoints import address, variables
from sandbox.cloud.tokens import write_secret
from sandbox.errors import SandboxError
from sandbox.machines import sandbox_id
from sandbox.machines.kernel import Kernel
from sandbox.machines.wiring import Names

DEFAULT_ROOT: Final = Path(".sandbox")
START_SECONDS: Final = 300
"""How long a start may take; most of it is waiting for machines that run again."""
STOP_SECONDS: Final = 60
PASSPHRASE: Final = "sandbox"  # noqa: S105 (it keeps nothing secret)
"""Of the stacks' secrets, none of which matter. Every sandbox has the same: the Pulumi CLI leaves its salt in
`Pulumi.<stack>.yaml`, and the next sandbox has to work with that salt."""

_SHIMS: Final = {"pulumi": "sandbox.engine", "pulumi-resource-gcp": "sandbox.provider"}
"""The programs that the sandbox puts on PATH, and the modules that they are."""


class Daemon:
    """The sandbox in a folder."""

    def __init__(self, root: Path = DEFAULT_ROOT, cache: Path | None = None) -> None:
        """`cache` defaults to DMZ_SANDBOX_CACHE, and to a folder in `root`."""
        self.root = root.absolute()
        named = os.environ.get("DMZ_SANDBOX_CACHE")
        self.cache = (cache or (Path(named) if named else self.root / "cache")).absolute()
        self.log = self.root / "cloud.log"
        self._record = self.root / "daemon.json"
        self._lock = self.root / "daemon.lock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the daemon's process is there, ready or not: it holds a lock as long as it lives."""
        if not self._lock.exists():
            return False
        with self._lock.open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return True
            return False

    def environment(self) -> dict[str, str]:
        """The variables with which any `pulumi` or Google client works on this sandbox.

        SandboxError if it isn't up.
        """
        record = self._read()
        if record is None:
            raise SandboxError(f"{self.root}: no sandbox is up here; start it with 'dmz sandbox up'")
        return variables(self.root, record["ports"])

    def start(self, progress: Callable[[str], None]) -> None:
        """Bring the sandbox up, unless it is; returns once it answers.

        SandboxError says what keeps it from running here, before anything is changed, or why it didn't start.
        """
        if self._healthy():
            return
        if not self.running:
            preflight.require()
            self._prepare()
            progress(f"starting the sandbox in {self.root}")
            self._spawn()
        self._wait(progress)

    def stop(self, progress: Callable[[str], None]) -> None:
        """Take the sandbox down: no process, namespace, mount or rule of it is left.

        What was declared, and what the repositories and buckets hold, stays in the folder.
        """
        record = self._read()
        if self.running:
            if record is None:
                raise SandboxError(f"{self.root}: the sandbox is starting; wait until it is up ({self.log})")
            progress("stopping the sandbox")
            os.kill(record["pid"], signal.SIGTERM)
            end = time.monotonic() + STOP_SECONDS
            while self._alive(record["pid"]):
                if time.monotonic() > end:
                    raise SandboxError(
                        f"process {record['pid']} did not end in {STOP_SECONDS} s; see {self.log}"
                    )
                time.sleep(0.05)
        self._record.unlink(missing_ok=True)
        kernel = Kernel(Names(sandbox_id(self.root)))
        if kernel.leftovers():  # of a daemon that was killed
            asyncio.run(kernel.clear())
        if left := [*kernel.leftovers(), *self._mounts()]:
            raise SandboxError(f"{self.root}: these are left of the sandbox: {', '.join(left)}")

    def _alive(self, pid: int) -> bool:
        """Whether the daemon's process is there; one that this process started is waited for."""
        if self._process is not None and self._process.pid == pid:
            return self._process.poll() is None
        return Path(f"/proc/{pid}").exists()

    def _read(self) -> dict[str, Any] | None:
        """What the daemon wrote when it was ready; None when it isn't."""
        if not self.running:
            return None
        try:
            record: dict[str, Any] = json.loads(self._record.read_text())
        except FileNotFoundError:
            return None
        return record

    def _healthy(self) -> bool:
        """Whether the daemon answers a call."""
        record = self._read()
        if record is None:
            return False
        token = (self.root / "operator.token").read_text().strip()
        request = urllib.request.Request(  # noqa: S310 (the daemon's own address)
            f"{address(record['ports'], 'cloudresourcemanager')}/v1/projects/sandbox",
            headers={"Authorization": f"Bearer {token}"},
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(request, timeout=10) as answer:
                return bool(answer.status == 200)
        except urllib.error.URLError:
            return False

    def _prepare(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.cache.mkdir(parents=True, exist_ok=True)
        (self.root / "state").mkdir(exist_ok=True)
        passphrase = self.root / "passphrase"
        if not passphrase.exists():
            write_secret(passphrase, PASSPHRASE)
        folder = self.root / "bin"
        folder.mkdir(exist_ok=True)
        for name, module in _SHIMS.items():
            shim = folder / name
            shim.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m {module} "$@"\n')
            shim.chmod(0o755)

    def _spawn(self) -> None:
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sandbox.cloud", "--root", str(self.root), "--cache", str(self.cache)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _wait(self, progress: Callable[[str], None]) -> None:
        begin = said = time.monotonic()
        while not self._healthy():
            now = time.monotonic()
            ended = not self.running if self._process is None else self._process.poll() is not None
            if ended or now - begin > START_SECONDS:
                lines = self.log.read_text(errors="replace").strip().splitlines()
                raise SandboxError(
                    f"the sandbox did not start: {lines[-1] if lines else 'no log'} (see {self.log})"
                )
            if now - said > 2:
                said = now
                progress(f"waiting for the sandbox ({now - begin:.0f} s)")
            time.sleep(0.05)

    def _mounts(self) -> list[str]:
        """Mounts of the host below the sandbox's folder."""
        mounted = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
        return [point for point in mounted if Path(point).is_relative_to(self.root)]
