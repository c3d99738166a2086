"""What a person sees while it runs: one line for each step, with its time, and progress in between."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TextIO

from rich.console import Console

_QUIET: Final = 2.0
"""Seconds after which a running step shows that it is alive."""
_PLAIN_EVERY: Final = 10.0
"""Seconds between two signs of life where the output is no terminal."""


@dataclass
class Step:
    """A running step."""

    title: str
    started: float = field(default_factory=time.monotonic)
    note: str = ""
    """What it is at just now; shown while it runs."""
    outcome: str = ""
    """What came of it; shown when it ended."""

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self.started

    def say(self, note: str) -> None:
        """Tell what it is at just now."""
        self.note = " ".join(note.split())


class Steps:
    """The steps of one run: shown as they go, timed, and kept for the report."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._console = Console(file=stream, highlight=False, soft_wrap=True)
        self.seconds: dict[str, float] = {}

    def print(self, text: str, style: str | None = None) -> None:
        """Print a line as it is."""
        self._console.print(text, style=style, markup=False)

    @contextmanager
    def step(self, name: str, title: str) -> Iterator[Step]:
        """Run a step; `name` is its key in the report, `title` what a person reads."""
        running = Step(title)
        ended = threading.Event()
        alive = threading.Thread(target=self._show, args=(running, ended), daemon=True)
        alive.start()
        try:
            yield running
        except BaseException:
            ended.set()
            alive.join()
            self._console.print(f"  ✗ {title}  ({running.seconds:.1f} s)", style="red", markup=False)
            raise
        ended.set()
        alive.join()
        self.seconds[name] = round(self.seconds.get(name, 0.0) + running.seconds, 2)
        outcome = f": {running.outcome}" if running.outcome else ""
        self._console.print(f"  ✓ {title}{outcome}  ({running.seconds:.1f} s)", markup=False)

    def _show(self, running: Step, ended: threading.Event) -> None:
        if ended.wait(_QUIET):
            return
        if self._console.is_terminal:
            with self._console.status("") as status:
                while not ended.wait(0.2):
                    status.update(self._line(running))
            return
        while True:
            self._console.print(f"    {self._line(running)}", markup=False)
            if ended.wait(_PLAIN_EVERY):
                return

    @staticmethod
    def _line(running: Step) -> str:
        note = f" — {running.note[:140]}" if running.note else ""
        return f"{running.title} … {running.seconds:.0f} s{note}"
