"""One machine: a base image under an overlay of its own, run by bubblewrap in a network namespace.

The overlay is mounted in a mount namespace that ends with the machine's last process: the host never sees it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
from importlib import resources
from pathlib import Path
from typing import Final

from sandbox.cloud.errors import failed_precondition
from sandbox.machines import topology
from sandbox.machines.wiring import Names, short

CAPABILITIES: Final = (
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)
"""What root has inside: enough for apt, dpkg and ping, nothing for the host or the network's settings."""

_BOUNDS: Final = ",".join(("-all", *(f"+{name.removeprefix('CAP_').lower()}" for name in CAPABILITIES)))
_BOUNDED: Final = ("setpriv", f"--bounding-set={_BOUNDS}", f"--inh-caps={_BOUNDS}")
"""Keeps root to these for good; bubblewrap alone leaves the bounding set as it is."""

_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_BUNDLE: Final = "/etc/ssl/certs/ca-certificates.crt"
_ENVIRONMENT: Final = {
    "PATH": _PATH,
    "LANG": "C.UTF-8",
    # Clients that bring their own authorities trust Google's; of the sandbox's they have to be told.
    "SSL_CERT_FILE": _BUNDLE,
    "REQUESTS_CA_BUNDLE": _BUNDLE,
}
_OVERLAY: Final = "upperdir=upper,workdir=work,volatile"
_MOUNT: Final = f'mount -t overlay overlay -o "lowerdir=$1,{_OVERLAY}" root && shift && exec "$@"'
_GUARDED: Final = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_HIDDEN: Final = ("/proc/kcore", "/proc/keys", "/proc/timer_list")
_STOP_SECONDS: Final = 10


def folder(root: Path, node_name: str) -> Path:
    """Where a machine's files and its console's log lie."""
    return root / "machines" / short(node_name)


def command(root: Path, names: Names, node_name: str, argv: list[str]) -> list[str]:
    """The command line that runs `argv` as root inside a machine that is up; ApiError if it is not."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((folder(root, node_name) / "pid").read_text())
        if _in_namespace(pid, names.machine(node_name)):
            environment = [f"{key}={value}" for key, value in _ENVIRONMENT.items()]
            return [
                *("nsenter", f"--target={pid}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"),
                *("--wdns=/", "--", *_BOUNDED, "--reset-env", "--"),
                *("env", *environment, *argv),
            ]
    raise failed_precondition(f"{node_name} is not running")


class Machine:
    """A machine that can be booted, stopped and booted again; its files stay until `delete`."""

    def __init__(self, declared: topology.Machine, image: Path, root: Path, names: Names) -> None:
        self.name = declared.name
        self._declared = declared
        self._image = image
        self._folder = folder(root, declared.name)
        self._namespace = names.machine(declared.name)
        self._process: asyncio.subprocess.Process | None = None
        self._init: int | None = None

    @property
    def console(self) -> Path:
        """What its startup script prints."""
        return self._folder / "console.log"

    @property
    def running(self) -> bool:
        """Whether its processes are alive."""
        return self._process is not None and self._process.returncode is None

    async def boot(self, authority: Path) -> None:
        """Start it; returns once its startup script runs. `authority` (PEM) is added to what it trusts.

        Its network namespace exists. ApiError if it does not come up.
        """
        await asyncio.to_thread(self._prepare, authority)
        ready, started = os.pipe()
        status, report = os.pipe()
        try:
            with self.console.open("ab") as console:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command(started, report),
                    cwd=self._folder,
                    env={"PATH": _PATH},
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=console,
                    stderr=asyncio.subprocess.STDOUT,
                    pass_fds=(started, report),
                )
            os.close(started)
            os.close(report)
            started = report = -1
            self._init = await asyncio.to_thread(_child, status)
            if self._init is not None:
                (self._folder / "pid").write_text(str(self._init))
            if not await asyncio.to_thread(os.read, ready, 16):
                await self.stop()
                said = self.console.read_text(errors="replace").strip().rpartition("\n")[2]
                raise failed_precondition(f"{self.name} did not come up: {said}")
        except BaseException:
            await self.stop()
            raise
        finally:
            for handle in (ready, started, status, report):
                if handle >= 0:
                    os.close(handle)

    async def stop(self) -> None:
        """Kill all its processes; its files stay."""
        process, self._process = self._process, None
        init, self._init = self._init, None
        (self._folder / "pid").unlink(missing_ok=True)
        if process is None:
            return
        for pid in (init, process.pid if process.returncode is None else None):
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()

    async def delete(self) -> None:
        """Stop it and remove its files."""
        await self.stop()
        if self._folder.exists():
            await asyncio.to_thread(shutil.rmtree, self._folder)

    def _prepare(self, authority: Path) -> None:
        """The folders of the overlay, and in it what a machine on Google would find on its own disk."""
        for name in ("upper", "work", "root"):
            (self._folder / name).mkdir(parents=True, exist_ok=True, mode=0o755)
        # Else a volatile overlay refuses to be mounted a second time; its files are as the machine left them.
        shutil.rmtree(self._folder / "work" / "work" / "incompat", ignore_errors=True)
        machine = self._declared
        domain = machine.fqdn.partition(".")[2]
        files = {
            "etc/hostname": f"{machine.hostname}\n",
            "etc/hosts": (
                "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
                f"{machine.address} {machine.fqdn} {machine.hostname}\n"
                "169.254.169.254 metadata.google.internal metadata\n"
            ),
            "etc/resolv.conf": (
                f"search {domain} c.{machine.project}.internal google.internal\nnameserver 169.254.169.254\n"
            ),
            "usr/local/share/ca-certificates/sandbox.crt": authority.read_text(encoding="ascii"),
        }
        for name, text in files.items():
            target = self._folder / "upper" / name
            for parent in reversed(target.relative_to(self._folder / "upper").parents):
                here = self._folder / "upper" / parent
                if not here.exists():
                    here.mkdir(mode=0o755)
                    shutil.copystat(self._image / parent, here)
            target.write_text(text, encoding="utf-8")
            target.chmod(0o644)

    def _command(self, started: int, report: int) -> list[str]:
        init = resources.files("sandbox.machines") / "guest-init.sh"
        environment = [word for key, value in _ENVIRONMENT.items() for word in ("--setenv", key, value)]
        start = f"exec 3>&{started} {started}>&- {report}>&-; exec /bin/bash /run/guest-init"
        return [
            *("nsenter", f"--net=/run/netns/{self._namespace}", "--"),
            *("unshare", "--mount", "--propagation", "private", "--"),
            *("sh", "-c", _MOUNT, "sh", _escaped(self._image)),
            *("bwrap", "--unshare-pid", "--unshare-uts", "--unshare-ipc", "--unshare-cgroup"),
            *("--die-with-parent", "--new-session", "--json-status-fd", str(report)),
            *("--hostname", self._declared.hostname),
            *("--bind", "root", "/", "--proc", "/proc", "--dev", "/dev"),
            *("--perms", "1777", "--tmpfs", "/tmp", "--perms", "0755", "--tmpfs", "/run"),  # noqa: S108
            *("--perms", "1777", "--tmpfs", "/dev/shm"),  # noqa: S108
            # bubblewrap leaves these writable for root, and with them the host's kernel.
            *(word for name in _GUARDED if Path(name).exists() for word in ("--ro-bind", name, name)),
            *(word for name in _HIDDEN if Path(name).exists() for word in ("--ro-bind", "/dev/null", name)),
            *("--ro-bind", str(init), "/run/guest-init"),
            *("--clearenv", *environment, "--chdir", "/"),
            *("--cap-drop", "ALL", *(word for name in CAPABILITIES for word in ("--cap-add", name))),
            *("--", *_BOUNDED, "--", "/bin/bash", "-c", start),
        ]


def _child(status: int) -> int | None:
    """The process that is number 1 inside, from bubblewrap's first report; None when it ended without one."""
    text = b""
    while chunk := os.read(status, 4096):
        text += chunk
        for line in text.splitlines():
            with contextlib.suppress(ValueError):
                found = json.loads(line).get("child-pid")
                if found is not None:
                    return int(found)
    return None


def _in_namespace(pid: int, namespace: str) -> bool:
    """Whether the process is in that network namespace: a number alone may belong to somebody else by now."""
    mine, named = Path(f"/proc/{pid}/ns/net").stat(), Path(f"/run/netns/{namespace}").stat()
    return (mine.st_dev, mine.st_ino) == (named.st_dev, named.st_ino)


def _escaped(path: Path) -> str:
    """A path as an option of an overlay mount."""
    text = str(path)
    if "," in text:
        raise failed_precondition(f"{text}: a cache folder can't have a comma in its path")
    return text.replace("\\", "\\\\").replace(":", "\\:")
