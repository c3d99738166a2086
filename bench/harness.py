"""A small harness: whole processes, several rounds, the sides by turns, and what came of it in one file.

Both sides of a comparison run in the same round one after the other, so that whatever else the machine does
hits both. A result names the median; smallest and largest say how much to believe of it.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
RESULTS: Final = HERE / "results.json"
ROUNDS: Final = 5
_ATTEMPTS: Final = 5
PATIENCE: Final = 60
"""Seconds to wait for quiet before each."""
_DISTURBED: Final = 0.2
"""Part of one processor that others may use meanwhile."""


@dataclass(frozen=True)
class Run:
    """One process from its start to its end."""

    seconds: float
    processor: float
    """Seconds of user and system time, which other programs on the machine disturb less."""
    memory: float
    """MB at its peak."""
    output: str


@dataclass(frozen=True)
class Result:
    """One line of `results.json`."""

    name: str
    unit: str
    ours: float
    """The median."""
    other: float | None
    """The other program's median, or None if there is none to compare with."""
    ratio: float | None
    """Other to ours."""
    min: float
    median: float
    max: float
    target: float | None
    """At most this much; None: nothing was promised."""
    holds: bool | None


def run(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    *,
    fine: Sequence[int] = (0,),
    alone: bool = False,
    folder: Path | None = None,
    given: str | None = None,
) -> Run:
    """Run a program and measure it.

    Args:
        environment: variables beside those that there are.
        fine: the exit codes with which it says that it worked.
        alone: it needs no other process, so wait for quiet before, and repeat what something else disturbed;
            after some attempts the last one counts.
        folder: where it runs.
        given: its standard input.

    Raises:
        RuntimeError: it failed; the end of what it said is in the text.
    """
    for _ in range(_ATTEMPTS):
        if alone:
            await_quiet()
        before, started = _busy(), time.perf_counter()
        done = _run(command, environment, fine, folder, given)
        others = _busy() - before - done.processor
        if not alone or others < _DISTURBED * (time.perf_counter() - started):
            break
    return done


def peak(command: Sequence[str]) -> float:
    """MB that a program and what it started had together at the most, looked at fifty times a second.

    What processes share counts for each of them.

    Raises:
        RuntimeError: it failed.
    """
    most = 0
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        most = max(most, _resident(process.pid))
        time.sleep(0.02)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit code {process.returncode}")
    return most / 1000


def _resident(process: int) -> int:
    """kB that a process and all below it have now."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        below = [int(each) for task in tasks for each in (task / "children").read_text().split()]
    except OSError:
        return 0  # it has ended
    own = re.search(r"^VmRSS:\s*(\d+) kB$", status, re.MULTILINE)
    return (int(own[1]) if own else 0) + sum(map(_resident, below))


def await_quiet(patience: float = PATIENCE) -> None:
    """Wait until nothing else works on this machine, for some seconds at most."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        before = _busy()
        time.sleep(0.5)
        if _busy() - before < _DISTURBED * 0.5:
            return


def _busy() -> float:
    """Seconds that all processors have worked."""
    user, nice, system = map(int, Path("/proc/stat").read_text().split(maxsplit=4)[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def _run(
    command: Sequence[str],
    environment: Mapping[str, str] | None,
    fine: Sequence[int],
    folder: Path | None,
    given: str | None,
) -> Run:
    with tempfile.TemporaryFile("w+", errors="replace") as complaints:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            cwd=folder,
            # What is installed has its bytecode, so nobody makes it anew at each start.
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **(environment or {})},
        )
        if process.stdin:
            process.stdin.write(given or "")
            process.stdin.close()
        assert process.stdout
        output = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
        if process.returncode not in fine:
            complaints.seek(0)
            said = (complaints.read() or output)[-2000:]
            raise RuntimeError(f"{' '.join(command)}: exit code {process.returncode}: {said}")
    return Run(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000, output)


def result(
    name: str,
    unit: str,
    ours: Sequence[float],
    *,
    target: float | None = None,
    other: Sequence[float] | None = None,
) -> Result:
    """Sum up some rounds."""
    median = statistics.median(ours)
    against = statistics.median(other) if other else None
    return Result(
        name,
        unit,
        _round(median),
        None if against is None else _round(against),
        None if against is None else _round(against / median),
        _round(min(ours)),
        _round(median),
        _round(max(ours)),
        target,
        None if target is None else median <= target,
    )


def _round(value: float) -> float:
    return float(f"{value:.3g}")


def keep(results: Sequence[Result]) -> None:
    """Put results into `results.json`, in place of earlier ones of the same name."""
    old: list[dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    new = {each.name: asdict(each) for each in results}
    kept = [new.pop(each["name"], each) for each in old]
    RESULTS.write_text(json.dumps([*kept, *new.values()], indent=2) + "\n")


def show(results: Sequence[Result]) -> None:
    """Print results for a person."""
    for each in results:
        target = (
            "" if each.target is None else f"  (at most {each.target:g}: {'yes' if each.holds else 'NO'})"
        )
        other = "" if each.other is None else f"  other {each.other:g}, {each.ratio:g} times as much"
        print(f"{each.name}: {each.ours:g} {each.unit}  [{each.min:g} to {each.max:g}]{other}{target}")
