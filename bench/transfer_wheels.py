"""72 wheels from one repository to another: the product's own path, and what else there is, by turns."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from bench import bandersnatch, devpi, script
from bench.bars import bars
from bench.harness import HERE, PATIENCE, ROUNDS, Result, Run, await_quiet, result, run
from bench.material import artifacts, sums, wheels
from bench.serving import environment, serving
from bench.transfer_memory import MOST
from dmz.promotion.copying import DEFAULT_LIMITS

FASTER: Final = 15
"""Times, than curl and twine for each file."""
SLOWER: Final = 1.4
"""Times at most, as a plain copy needs."""
_TURNS: Final = 3
_CONNECTIONS: Final = str(DEFAULT_LIMITS.concurrency)


class Wheels:
    """The servers, and what each side needed in each round: seconds, by what it did."""

    def __init__(self, scratch: Path, stack: ExitStack, patience: float) -> None:
        """Start the servers; they run as long as `stack` is open."""
        self._patience = patience
        self._scratch = scratch
        self._folder = wheels()
        self._artifacts = artifacts(self._folder)
        self._list = self._folder.with_suffix(".json")
        self._expected = {each.filename: each.sha256 for each in self._artifacts}
        self._kept = scratch / "kept"
        self._kept.mkdir()
        shelf = stack.enter_context(serving("shelf", self._folder, self._kept))
        self._url = f"http://127.0.0.1:{shelf['port']}"
        self._shelf = environment(python=shelf["port"], api=shelf["port"])
        self._devpi = stack.enter_context(devpi.running(scratch / "devpi"))
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.memory: list[float] = []
        """MB at the peak of the copying process, with an archive to fill."""

    def round(self, number: int) -> None:
        """All sides, one after the other, each into a place of its own."""
        self._copies(number)
        self._script(number)
        self._bandersnatch(number)
        self._push(number)
        with serving("cloud", self._scratch / f"cloud-{number}", *_declared()) as cloud:
            self._cloud(environment(**cloud))
        shutil.rmtree(self._scratch / f"cloud-{number}")

    def _copies(self, number: int) -> None:
        """Ours and the plain copy, which take half a second: the middle one of three, by turns.

        Before the first round each copies once that does not count, as the server has to get going.
        """
        took: dict[str, list[float]] = defaultdict(list)
        for turn in range(_TURNS if number else _TURNS + 1):
            for side in ("ours", "plain") if (number + turn) % 2 else ("plain", "ours"):
                name = f"{side}-{number}-{turn}"
                await_quiet(self._patience)
                done, said = (self._ours if side == "ours" else self._plain)(name, self._shelf)
                took[side].append(said["seconds"])
                took[f"{side}, process"].append(done.seconds)
                self._check(side, sums(self._kept / name))
                shutil.rmtree(self._kept / name)
        for what, seconds in took.items():
            self._took(what, statistics.median(seconds[-_TURNS:]))

    def results(self) -> list[Result]:
        """One line for each comparison."""
        seconds = self.seconds
        size = sum(each.size for each in self._artifacts) / 1e6
        what = f"{len(self._artifacts)} wheels, {size:.0f} MB"
        most = statistics.median(seconds["script"]) / FASTER
        plain = statistics.median(seconds["plain"]) * SLOWER
        pushed = [sum(pair) for pair in zip(seconds["devpi upload"], seconds["devpi push"], strict=True)]
        ours = seconds["ours, process"]
        if len(ours) >= ROUNDS:
            (HERE / "transfer.svg").write_text(self._chart(f"{what}: seconds, logarithmic"))
        on_cloud = "to the sandbox's Artifact Registry"
        return [
            result(
                f"{what}, against curl and twine for each file, four at once",
                "s",
                ours,
                other=seconds["script"],
                target=most,
            ),
            result(
                f"{what}, copying alone, against a plain copy that checks nothing",
                "s",
                seconds["ours"],
                other=seconds["plain"],
                target=plain,
            ),
            result(f"{what}, against devpi, upload and push", "s", ours, other=pushed),
            result(f"{what}, against devpi, push alone", "s", ours, other=seconds["devpi push"]),
            result(f"{what}, against bandersnatch", "s", ours, other=seconds["bandersnatch"]),
            result(
                f"{what}, {on_cloud}, copying alone, against a plain copy",
                "s",
                seconds["cloud"],
                other=seconds["cloud plain"],
                target=statistics.median(seconds["cloud plain"]) * SLOWER,
            ),
            result(f"{what}, {on_cloud} and to the archive, copying alone", "s", seconds["cloud archive"]),
            result(
                f"memory at its peak, {what}, to a repository and archive", "MB", self.memory, target=MOST
            ),
        ]

    def _chart(self, title: str) -> str:
        median = {name: statistics.median(values) for name, values in self.seconds.items()}
        ours = "dmz"
        return bars(
            title,
            {
                "plain copy that checks nothing": median["plain, process"],
                ours: median["ours, process"],
                "bandersnatch (mirror)": median["bandersnatch"],
                "devpi (upload and push)": median["devpi upload"] + median["devpi push"],
                "curl and twine for each, four at once": median["script"],
            },
            ours=frozenset({ours}),
            unit="s",
        )

    def _ours(self, name: str, where: Mapping[str, str], *more: str) -> tuple[Run, dict[str, Any]]:
        done = run([sys.executable, "-m", "bench.promote", str(self._list), name, *more], where)
        said = json.loads(done.output)
        if said["copied"] != len(self._artifacts):
            raise RuntimeError(f"only {said['copied']} of {len(self._artifacts)} wheels were copied")
        return done, said

    def _plain(self, name: str, where: Mapping[str, str]) -> tuple[Run, dict[str, Any]]:
        done = run([sys.executable, "-m", "bench.plain", str(self._list), name, _CONNECTIONS], where)
        return done, json.loads(done.output)

    def _script(self, number: int) -> None:
        name, folder = f"script-{number}", self._scratch / f"script-{number}"
        await_quiet(self._patience)
        done = script.twine(
            self._artifacts, f"{self._url}/p/outer/", f"{self._url}/p/{name}/", "none", folder
        )
        self._took("script", done.seconds)
        self._check("the usual script", sums(self._kept / name))
        shutil.rmtree(self._kept / name)
        shutil.rmtree(folder)

    def _bandersnatch(self, number: int) -> None:
        folder = self._scratch / f"bandersnatch-{number}"
        await_quiet(self._patience)
        self._took("bandersnatch", bandersnatch.mirror(self._url, folder).seconds)
        self._check("bandersnatch", sums(folder / "mirror/web/packages"))
        shutil.rmtree(folder)

    def _push(self, number: int) -> None:
        one, two = f"one-{number}", f"two-{number}"
        for name in (one, two):
            self._devpi.index(name)
        await_quiet(self._patience)
        self._took("devpi upload", self._devpi.upload(self._folder, one).seconds)
        await_quiet(self._patience)
        self._took("devpi push", self._devpi.push(self._artifacts, one, two).seconds)
        self._check("devpi", self._devpi.sums(two, self._artifacts))

    def _cloud(self, where: Mapping[str, str]) -> None:
        run([sys.executable, "-m", "bench.load", str(self._folder), "-"], where)
        await_quiet(self._patience)
        self._took("cloud", self._ours("inner", where)[1]["seconds"])
        await_quiet(self._patience)
        self._took("cloud plain", self._plain("plain", where)[1]["seconds"])
        await_quiet(self._patience)
        said = self._ours("first", where, "--archive", "archive")[1]
        self._took("cloud archive", said["seconds"])
        self.memory.append(said["memory"])

    def _took(self, what: str, seconds: float) -> None:
        self.seconds[what].append(seconds)
        print(f"  {what}: {seconds:.2f} s", file=sys.stderr)

    def _check(self, side: str, found: Mapping[str, str]) -> None:
        if found != self._expected:
            raise RuntimeError(
                f"{side}: {len(found)} files, not the {len(self._expected)} that were to be copied"
            )


def _declared() -> tuple[str, ...]:
    return "PYTHON:outer", "PYTHON:inner", "PYTHON:plain", "PYTHON:first", "bucket:archive"


def measure(rounds: int, scratch: Path) -> list[Result]:
    """All sides, by turns."""
    with ExitStack() as stack:
        sides = Wheels(scratch, stack, PATIENCE if rounds >= ROUNDS else 0)
        for number in range(rounds):
            print(f"wheels, round {number + 1} of {rounds}", file=sys.stderr)
            sides.round(number)
    return sides.results()
