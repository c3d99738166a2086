"""100 debs from one apt repository to another: staged, imported in one go, shown in the suite's index.

All of it is the sandbox's, and the usual script's as well; aptly has a repository of its own, and the files
before it begins.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench import script
from bench.aptly import INSTALLED, Aptly
from bench.bars import bars
from bench.harness import HERE, PATIENCE, ROUNDS, Result, Run, await_quiet, result, run
from bench.material import artifacts, debs
from bench.serving import environment, serving
from dmz.registries.debian import Packages

_DECLARED: Final = (
    *("APT:outer", "APT:inner", "APT:first", "APT:curl", "APT:client"),
    *("bucket:outer-staging", "bucket:staging", "bucket:first-staging", "bucket:archive"),
)
_Script = Callable[[Sequence[str], str, str, str, Path], Run]
_SCRIPTS: Final[Mapping[str, _Script]] = {"curl": script.curl, "client": script.client}


class Debs:
    """What each side needed in each round, in seconds, by what it did."""

    def __init__(self, scratch: Path, patience: float) -> None:
        """`patience`: seconds to wait for quiet before each."""
        self._scratch = scratch
        self._patience = patience
        self._folder = debs()
        self._artifacts = artifacts(self._folder)
        self._expected = {each.sha256 for each in self._artifacts}
        self._aptly = Aptly(scratch / "aptly") if INSTALLED else None
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def round(self, number: int) -> None:
        """All sides, one after the other, each into a place of its own."""
        state = self._scratch / f"cloud-{number}"
        with serving("cloud", state, *_DECLARED) as cloud:
            where = environment(**cloud)
            run([sys.executable, "-m", "bench.load", str(self._folder), "outer-staging"], where)
            self._ours("ours", where, "inner", "--staging", "staging")
            self._ours("first", where, "first", "--staging", "first-staging", "--archive", "archive")
            for what, scripted in _SCRIPTS.items():
                self._script(what, scripted, cloud, self._scratch / f"{what}-{number}")
        shutil.rmtree(state)
        if self._aptly is not None:
            await_quiet(self._patience)
            done, found = self._aptly.add_and_publish(self._folder, f"inner-{number}")
            self._took("aptly", done.seconds)
            self._check("aptly", set(found.values()))

    def results(self) -> list[Result]:
        """One line for each comparison."""
        seconds = self.seconds
        what = f"{len(self._artifacts)} debs, {sum(each.size for each in self._artifacts) / 1e6:.0f} MB"
        if len(seconds["ours"]) >= ROUNDS:
            (HERE / "transfer-debs.svg").write_text(self._chart(f"{what}: seconds, logarithmic"))
        found = [
            result(
                f"{what}, against curl and Google's API client for each file, four at once",
                "s",
                seconds["ours"],
                other=seconds["client"],
            ),
            result(
                f"{what}, against curl twice for each file, four at once",
                "s",
                seconds["ours"],
                other=seconds["curl"],
            ),
            result(f"{what}, and to the archive", "s", seconds["first"]),
        ]
        if self._aptly is None:
            print(f"{what}: aptly is not installed: row left out (`apt-get install aptly`)", file=sys.stderr)
        else:
            compared = f"{what}, against aptly, add and publish"
            found.append(result(compared, "s", seconds["ours"], other=seconds["aptly"]))
        return found

    def close(self) -> None:
        """End what aptly started."""
        if self._aptly is not None:
            self._aptly.close()

    def _chart(self, title: str) -> str:
        names = {
            "dmz": "ours",
            "aptly (add and publish)": "aptly",
            "curl twice for each, four at once": "curl",
            "curl and API client, four at once": "client",
        }
        values = {
            name: statistics.median(self.seconds[key]) for name, key in names.items() if key in self.seconds
        }
        return bars(title, values, ours=frozenset({"dmz"}), unit="s")

    def _ours(self, what: str, where: Mapping[str, str], *options: str) -> None:
        await_quiet(self._patience)
        command = [sys.executable, "-m", "bench.promote", str(self._folder.with_suffix(".json")), *options]
        done = run(command, where)
        self._took(what, done.seconds)
        if (copied := json.loads(done.output)["copied"]) != len(self._artifacts):
            raise RuntimeError(f"only {copied} of {len(self._artifacts)} debs were copied")

    def _script(self, what: str, scripted: _Script, cloud: Mapping[str, Any], folder: Path) -> None:
        base = f"http://127.0.0.1:{cloud['apt']}/projects/p/"
        urls = [base + stanza.path for stanza in _index(base, "outer", cloud["token"])]
        root = f"http://127.0.0.1:{cloud['api']}/"
        repository = f"projects/p/locations/us-central1/repositories/{what}"
        await_quiet(self._patience)
        self._took(what, scripted(urls, root, repository, cloud["token"], folder).seconds)
        self._check(what, {stanza.sha256 for stanza in _index(base, what, cloud["token"])})
        shutil.rmtree(folder)

    def _took(self, what: str, seconds: float) -> None:
        self.seconds[what].append(seconds)
        print(f"  {what}: {seconds:.2f} s", file=sys.stderr)

    def _check(self, side: str, found: set[str]) -> None:
        if found != self._expected:
            raise RuntimeError(f"{side}: {len(found)} files, which are not those that were to be copied")


def _index(base: str, repository: str, token: str) -> Packages:
    request = urllib.request.Request(  # noqa: S310 - the sandbox's
        f"{base}dists/{repository}/main/binary-amd64/Packages", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return Packages(answer.read())


def measure(rounds: int, scratch: Path) -> list[Result]:
    """All sides, by turns."""
    sides = Debs(scratch, PATIENCE if rounds >= ROUNDS else 0)
    try:
        for number in range(rounds):
            print(f"debs, round {number + 1} of {rounds}", file=sys.stderr)
            sides.round(number)
    finally:
        sides.close()
    return sides.results()
