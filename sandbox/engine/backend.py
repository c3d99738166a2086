"""The file backend: where the states of stacks are kept, in the CLI's own layout.

    .pulumi/meta.yaml                                        version: 1
    .pulumi/stacks/PROJECT/STACK.json                        the state; .json.bak is the one before
    .pulumi/history/PROJECT/STACK/STACK-NANOSECONDS.history.json and .checkpoint.json
    .pulumi/backups/PROJECT/STACK/STACK.NANOSECONDS.json
    .pulumi/locks/organization/PROJECT/STACK/UUID.json       there while a run changes the stack

Source: `pkg/backend/diy` (pulumi/pulumi).
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import re
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sandbox.engine.errors import ConfigurationError, EngineError, StackNotFoundError
from sandbox.engine.project import read_yaml, write_file
from sandbox.engine.state import DEPLOYMENT_VERSION, Json, now

ORGANIZATION = "organization"
_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,100}")


@dataclass(frozen=True)
class StackName:
    """A stack and the project it belongs to."""

    project: str
    stack: str

    def __str__(self) -> str:
        return f"{ORGANIZATION}/{self.project}/{self.stack}"


def parse_stack_name(text: str, project: str | None) -> StackName:
    """`STACK`, `organization/STACK` or `organization/PROJECT/STACK`."""
    parts = text.split("/")
    if len(parts) > 1 and parts[0] != ORGANIZATION:
        raise ConfigurationError(f"stack {text!r}: organization name must be '{ORGANIZATION}'")
    if len(parts) < 3 and project is None:
        raise ConfigurationError(
            f"stack {text!r} must be named {ORGANIZATION}/PROJECT/STACK outside of a project"
        )
    name = StackName(parts[1] if len(parts) == 3 else project or "", parts[-1])
    if len(parts) > 3 or not all(_NAME.fullmatch(part) for part in (name.project, name.stack)):
        raise ConfigurationError(f"{text!r} is not a stack name (letters, digits, '-', '_' and '.')")
    return name


class FileBackend:
    """States of stacks in a folder."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "file" or parts.netloc not in ("", "~", "."):
            raise ConfigurationError(
                f"backend {url!r}: the embedded engine keeps its state in a folder only; "
                "set PULUMI_BACKEND_URL to file:///FOLDER"
            )
        if parts.query:
            raise ConfigurationError(
                f"backend {url!r}: parameters are not implemented by the embedded engine"
            )
        self.url = url
        folder = Path(unquote(parts.netloc + parts.path)).expanduser().absolute()
        if not folder.is_dir():
            raise ConfigurationError(f"backend {url!r}: the folder {folder} does not exist; create it first")
        self._root = folder / ".pulumi"
        self._lock_id = str(uuid.uuid4())
        self._prepare()

    def _prepare(self) -> None:
        meta = self._root / "meta.yaml"
        if not meta.exists():
            if any((self._root / "stacks").glob("*.json")):
                raise ConfigurationError(
                    f"{self._root} has the old layout without projects: run `pulumi state upgrade` of "
                    "the Pulumi CLI"
                )
            write_file(meta, "version: 1\n")
        elif (version := read_yaml(meta).get("version")) != 1:
            raise ConfigurationError(f"{meta}: version {version!r} is not known to the embedded engine")

    # Stacks

    def file(self, name: StackName) -> Path:
        """Where a stack's state is."""
        return self._root / "stacks" / name.project / f"{name.stack}.json"

    def exists(self, name: StackName) -> bool:
        """Whether there is such a stack."""
        return self.file(name).is_file()

    def stacks(self) -> list[StackName]:
        """All stacks of all projects."""
        files = sorted((self._root / "stacks").glob("*/*.json"))
        return [StackName(file.parent.name, file.stem) for file in files]

    def create(self, name: StackName, deployment: Json) -> None:
        """Make a stack that is not there yet."""
        if self.exists(name):
            raise EngineError(f"stack '{name}' already exists")
        self.save(name, deployment)

    def load(self, name: StackName) -> Json | None:
        """A stack's deployment as it is in the file; None if it was never written."""
        return self.load_versioned(name)[1]

    def load_versioned(self, name: StackName) -> tuple[int, Json | None]:
        """The version of a stack's deployment, and the deployment."""
        path = self.file(name)
        for extension in (".gz", ".zst"):
            if path.with_name(path.name + extension).exists():
                raise EngineError(f"{path}{extension}: the embedded engine does not read compressed states")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            version, deployment = content["version"], content["checkpoint"].get("latest")
        except FileNotFoundError as error:
            raise StackNotFoundError(str(name)) from error
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise EngineError(f"{path} is not a readable state; the one before it is {path}.bak") from error
        if version not in (0, DEPLOYMENT_VERSION) or content.get("features"):
            raise EngineError(
                f"{path}: deployment version {version} is not known to the embedded engine; use the "
                "Pulumi CLI"
            )
        return version, deployment

    def save(self, name: StackName, deployment: Json) -> None:
        """Replace a stack's state; the state before is kept as .bak."""
        path = self.file(name)
        if path.exists():
            former = path.with_name(path.name + ".bak")
            former.unlink(missing_ok=True)
            former.hardlink_to(path)  # the new state is another file under the same name
        checkpoint = {"stack": str(name), "latest": deployment}
        content = {"version": DEPLOYMENT_VERSION, "checkpoint": checkpoint}
        write_file(path, json.dumps(content, separators=(",", ":"), ensure_ascii=False))

    def remove(self, name: StackName, *, force: bool) -> None:
        """Remove a stack that has no resources, or with `force` any; its last state stays as .bak."""
        deployment = self.load(name) or {}
        resources = deployment.get("resources", [])
        only_root = len(resources) == 1 and resources[0]["type"] == "pulumi:pulumi:Stack"
        if resources and not only_root and not force:
            raise EngineError(
                f"'{name.stack}' still has resources; removal rejected. Possible actions:\n"
                "- Make sure that the stack does not contain any resources (`pulumi destroy`)\n"
                "- Pass --force to remove it although its resources go on to exist"
            )
        path = self.file(name)
        path.replace(path.with_name(path.name + ".bak"))
        shutil.rmtree(self._folder("history", name), ignore_errors=True)

    def _folder(self, kind: str, name: StackName) -> Path:
        return self._root / kind / name.project / name.stack

    # History

    def add_history(self, name: StackName, update: Json) -> None:
        """Record an update that is over, with a copy of the state it left, and keep a backup of that."""
        state = self.file(name).read_text(encoding="utf-8")
        stamp = time.time_ns()
        prefix = self._folder("history", name) / f"{name.stack}-{stamp}"
        text = json.dumps(update, separators=(",", ":"), ensure_ascii=False)
        write_file(prefix.with_name(prefix.name + ".history.json"), text)
        write_file(prefix.with_name(prefix.name + ".checkpoint.json"), state)
        write_file(self._folder("backups", name) / f"{name.stack}.{stamp}.json", state)

    def history(self, name: StackName) -> list[Json]:
        """The updates of a stack, the latest first."""
        files = sorted(self._folder("history", name).glob("*.history.json"), reverse=True)
        return [json.loads(file.read_text(encoding="utf-8")) for file in files]

    # Locks

    def _lock_folder(self, name: StackName) -> Path:
        return self._root / "locks" / ORGANIZATION / name.project / name.stack

    @contextlib.contextmanager
    def lock(self, name: StackName) -> Iterator[None]:
        """Keep others from changing a stack; the lock of a process that is gone is removed."""
        self._check_locks(name)
        path = self._lock_folder(name) / f"{self._lock_id}.json"
        content = {
            "pid": os.getpid(),
            "username": getpass.getuser(),
            "hostname": socket.gethostname(),
            "timestamp": now(),
        }
        write_file(path, json.dumps(content))
        try:
            self._check_locks(name)
            yield
        finally:
            path.unlink(missing_ok=True)

    def _check_locks(self, name: StackName) -> None:
        held = []
        for path in self._lock_folder(name).glob("*.json"):
            if path.stem == self._lock_id:
                continue
            try:
                lock: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue  # gone in between, or not written yet
            if _is_stale(lock):
                path.unlink(missing_ok=True)
            else:
                held.append(
                    f"\n  file://{path}: created by {lock['username']}@{lock['hostname']} "
                    f"(pid {lock['pid']}) at {lock['timestamp']}"
                )
        if held:
            raise EngineError(
                f"the stack is currently locked by {len(held)} lock(s). Either wait for the other "
                "process(es) to end "
                f"or delete the lock file with `pulumi cancel`.{''.join(held)}"
            )

    def cancel(self, name: StackName) -> None:
        """Remove every lock of a stack."""
        for path in self._lock_folder(name).glob("*.json"):
            path.unlink(missing_ok=True)


def _is_stale(lock: dict[str, Any]) -> bool:
    """Whether the process that made the lock is gone, or its number was given to another since."""
    if lock.get("hostname") != socket.gethostname():
        return False
    process = Path("/proc") / str(lock.get("pid"))
    try:
        fields = (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        boot = next(
            int(line.split()[1])
            for line in Path("/proc/stat").read_text(encoding="utf-8").splitlines()
            if line.startswith("btime")
        )
    except OSError:
        return True
    started = boot + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    # the kernel's boot time is in whole seconds
    return started > datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", lock["timestamp"])).timestamp() + 2
