"""The part that touches the host: namespaces by iproute2, rules by nft, and sockets inside namespaces."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from sandbox.machines.wiring import Change, Names, Step, Wiring, change

T = TypeVar("T")

_NAMED: Final = Path("/run/netns")
_CLONE_NEWNET: Final = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class KernelError(OSError):
    """A command that changes the host's namespaces failed; the text is the command and what it said."""


async def run(*command: str, text: str = "") -> str:
    """What a command prints, given `text` on its standard input."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(text.encode())
    if process.returncode != 0:
        said = " ".join(err.decode(errors="replace").split())
        raise KernelError(f"{' '.join(command)}: {said or f'exit {process.returncode}'}")
    return out.decode()


def inside(namespace: str, action: Callable[[], T]) -> T:
    """What `action` returns, run inside a named network namespace.

    A thread of its own enters it, for a thread can't be trusted to come back: it ends there.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def enter() -> None:
        try:
            handle = os.open(_NAMED / namespace, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if _libc.setns(handle, _CLONE_NEWNET) != 0:
                    error = ctypes.get_errno()
                    raise OSError(error, f"setns {namespace}: {os.strerror(error)}")
            finally:
                os.close(handle)
            results.append(action())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=enter, name=f"netns {namespace}")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def listen(namespace: str, kind: socket.SocketKind, address: str, port: int) -> socket.socket:
    """A bound (and for TCP listening) socket in a namespace, not blocking, for asyncio."""

    def make() -> socket.socket:
        made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if ":" in address:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.bind((address, port))
            if kind == socket.SOCK_STREAM:
                made.listen(128)
            made.setblocking(False)
        except BaseException:
            made.close()
            raise
        return made

    return inside(namespace, make)


class Kernel:
    """The host's namespaces of one sandbox."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._wiring = Wiring()

    async def apply(self, wanted: Wiring) -> bool:
        """Make the host hold this wiring; whether anything had to be done."""
        todo = change(self._wiring, wanted)
        if todo:
            await self._carry_out(todo, wanted)
            self._wiring = wanted
        return bool(todo)

    async def clear(self) -> None:
        """Remove every process and namespace under this sandbox's id, whoever made it."""
        left = self.leftovers()
        if left:
            for pid in _processes(left):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for name in left:
                # A socket that is still open would keep the namespace and what is linked to it.
                for link in (await run("ip", "-n", name, "-brief", "link")).splitlines():
                    interface = link.split()[0].partition("@")[0]
                    if interface != "lo":
                        with contextlib.suppress(KernelError):  # its other end may have taken it along
                            await run("ip", "-n", name, "link", "del", "dev", interface)
            await run("ip", "-batch", "-", text="".join(f"netns del {name}\n" for name in left))
        self._wiring = Wiring()

    def leftovers(self) -> list[str]:
        """The names of the namespaces under this sandbox's id that the host has."""
        if not _NAMED.is_dir():
            return []
        return sorted(each.name for each in _NAMED.iterdir() if each.name.startswith(self._names.prefix))

    async def _carry_out(self, todo: Change, wanted: Wiring) -> None:
        for step in todo.remove:
            await _batch(step)
        if todo.create:
            await _batch(Step(None, tuple(f"netns add {name}" for name in todo.create)))
        for name in todo.create:
            forwards = name in wanted.forwarding
            await asyncio.to_thread(inside, name, lambda forwards=forwards: _settle(forwards))
            await _batch(Step(name, ("link set dev lo up",)))
        for name, text in todo.rulesets.items():
            await run("ip", "netns", "exec", name, "nft", "-f", "-", text=text)
        for step in todo.add:
            await _batch(step)


async def _batch(step: Step) -> None:
    where = ("-n", step.namespace) if step.namespace else ()
    await run("ip", *where, "-batch", "-", text="".join(f"{line}\n" for line in step.commands))


def _settle(forwards: bool) -> None:
    """Kernel settings of a new namespace; to be run inside it."""
    net = Path("/proc/sys/net")
    settings = {
        "ipv4/ip_forward": str(int(forwards)),
        "ipv6/conf/all/forwarding": str(int(forwards)),
        # The ruleset checks senders itself, and the way back may be another one.
        "ipv4/conf/all/rp_filter": "0",
        "ipv4/conf/default/rp_filter": "0",
        # Addresses come from the topology alone.
        "ipv6/conf/all/accept_ra": "0",
        "ipv6/conf/default/accept_ra": "0",
        # Without a capability everybody may ping, as systemd sets it.
        "ipv4/ping_group_range": "0 2147483647",
    }
    for name, value in settings.items():
        (net / name).write_text(value)


def _processes(namespaces: list[str]) -> list[int]:
    """The processes that run in one of these network namespaces."""
    wanted = {(stat.st_dev, stat.st_ino) for stat in ((_NAMED / name).stat() for name in namespaces)}
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):  # it ended meanwhile
                stat = (entry / "ns/net").stat()
                if (stat.st_dev, stat.st_ino) in wanted:
                    found.append(int(entry.name))
    return found
