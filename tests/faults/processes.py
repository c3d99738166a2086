"""Syncs in processes of their own, so that they can be killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

from dmz.errors import DmzError
from tests.faults.proxy import Exchange
from tests.faults.syncing import run
from tests.faults.world import Inner

REFUSED = 3
"""Exit code of a sync that ended with one line for a person."""

# A server that has imported everything already forks off a process in some milliseconds.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.faults.processes"])


def start(inner: Inner, work: Callable[..., object] = run, *arguments: Any) -> BaseProcess:
    """Begin the later release's sync, or other work on its inputs, in a process of its own."""
    return apart(inner.world.environment(), work, inner.later, inner.before, *arguments)


def apart(environment: dict[str, str], work: Callable[..., object], *arguments: Any) -> BaseProcess:
    """Begin any work in a process of its own."""
    process = _CONTEXT.Process(target=_carry_out, args=(environment, work, *arguments))
    process.start()
    return process


def killed(
    inner: Inner,
    when: Callable[[Exchange, str], bool],
    work: Callable[..., object] = run,
    *arguments: Any,
) -> str:
    """Begin the later release's sync, or other work on its inputs, and kill it at the first moment that
    `when` says; where that was.

    `when` is asked about each request that comes, each part of a body, and each answer of the cloud.
    """
    proxy, where = inner.world.proxy, "nowhere: it was at its end before"
    started = threading.Event()

    def watch(exchange: Exchange, what: str) -> None:
        nonlocal where
        if proxy.watch is watch and when(exchange, what):
            proxy.watch = None
            started.wait()
            process.kill()
            where = f"{exchange.step}, {what}"

    proxy.watch = watch
    process = start(inner, work, *arguments)
    started.set()
    process.join()
    proxy.wait()
    gone = proxy.watch is None
    proxy.watch = None
    assert process.exitcode == (-signal.SIGKILL if gone else 0), process.exitcode
    return where


def _carry_out(environment: dict[str, str], work: Callable[..., object], *arguments: Any) -> None:
    os.environ.update(environment)
    try:
        work(*arguments)
    except DmzError as error:
        print(error, file=sys.stderr)
        sys.exit(REFUSED)
