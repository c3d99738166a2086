"""How long a screening takes: 10,000 artifacts against 200,000 advisories.

With the index there and without, how much memory, how it grows with the number of artifacts, and against
pip-audit with the same advisories for the same Python distributions. Whole processes, from start to end.

    python -m bench.screening
"""

from __future__ import annotations

import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from packaging.version import Version

from bench.facts import evidence
from bench.harness import HERE, ROUNDS, Result, Run, keep, peak, result, run, show
from bench.plot import plot
from bench.records import Item, Maker, write

ADVISORIES: Final = 200_000
ARTIFACTS: Final = 10_000
SIZES: Final = (100, 300, 1_000, 3_000, 10_000)
DATA: Final = HERE.parent / ".bench"
"""Made once and kept; not part of the repository."""
PIP_AUDIT: Final = HERE.parent / ".venv-bench" / "bin" / "pip-audit"


class _Place:
    where = "made up"


def main() -> None:
    """Measure, print, and write `results.json` and the plot."""
    advisories, items = _data()
    results = [*_sizes(advisories, items), *_against_pip_audit(advisories, items)]
    keep(results)
    show(results)
    if not all(each.holds in (None, True) for each in results):
        sys.exit("a target is missed")


def _data() -> tuple[Path, list[Item]]:
    advisories, items = DATA / f"advisories-{ADVISORIES}", DATA / f"items-{ARTIFACTS}.json"
    if not items.exists():
        print(f"making {ADVISORIES:,} advisories", file=sys.stderr)
        shutil.rmtree(advisories, ignore_errors=True)
        write(advisories, ADVISORIES)
        wanted = Maker(2).items(ARTIFACTS, ADVISORIES // 10)
        items.write_text(json.dumps([[each.ecosystem, each.name, each.version] for each in wanted]))
    return advisories, [Item(*each) for each in json.loads(items.read_text())]


def _written(facts: Path, items: Sequence[Item]) -> Path:
    """What the repositories would say of artifacts, in a file."""
    facts.write_bytes(msgspec.json.Encoder().encode_lines(evidence(items)))
    return facts


def _command(advisories: Path, facts: Path, cache: Path, count: int) -> list[str]:
    return [sys.executable, "-m", "bench.screen", str(advisories), str(facts), str(cache), str(count)]


def _screen(advisories: Path, facts: Path, cache: Path, count: int) -> tuple[Run, dict[str, Any]]:
    done = run(_command(advisories, facts, cache, count), alone=True)
    return done, json.loads(done.output)


def _sizes(advisories: Path, items: Sequence[Item]) -> list[Result]:
    cold: list[Run] = []
    memory: list[float] = []
    warm: dict[int, list[Run]] = defaultdict(list)
    judged: dict[int, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        facts = _written(Path(folder) / "facts", items)
        for number in range(ROUNDS):
            print(f"round {number + 1} of {ROUNDS}", file=sys.stderr)
            cache = Path(folder) / str(number)
            done, said = _screen(advisories, facts, cache, ARTIFACTS)
            cold.append(done)
            print(f"  {said}", file=sys.stderr)
            for size in SIZES:
                done, said = _screen(advisories, facts, cache, size)
                warm[size].append(done)
                judged[size].append(said["judge"])
            # Looked at while they run, which takes time: so in runs of their own.
            again = _command(advisories, facts, cache, ARTIFACTS)
            memory.append(max(peak(_command(advisories, facts, cache / "new", ARTIFACTS)), peak(again)))
            shutil.rmtree(cache)
    what = f"{ARTIFACTS:,} artifacts, {ADVISORIES:,} advisories"
    full = warm[ARTIFACTS]
    medians = {size: statistics.median(times) for size, times in judged.items()}
    _draw({size: [each.seconds for each in runs] for size, runs in warm.items()}, medians)
    exponents = [_exponent([(size, judged[size][number]) for size in SIZES]) for number in range(ROUNDS)]
    return [
        result(f"{what}, index there", "s", [each.seconds for each in full], target=2),
        result(f"{what}, index there, processor", "s", [each.processor for each in full]),
        result(f"{what}, no index", "s", [each.seconds for each in cold], target=15),
        result(f"{what}, no index, processor", "s", [each.processor for each in cold]),
        result(f"{what}, memory of all processes", "MB", memory, target=400),
        result("growth with the number of artifacts, exponent", "", exponents, target=1.0),
    ]


def _exponent(points: Sequence[tuple[float, float]]) -> float:
    """How time grows with size: the slope on logarithmic axes, by least squares; 1 is linear."""
    return statistics.linear_regression(
        *zip(*((math.log(x), math.log(y)) for x, y in points), strict=True)
    ).slope


def _draw(whole: dict[int, list[float]], judged: dict[int, float]) -> None:
    linear = [(size, judged[SIZES[0]] * size / SIZES[0]) for size in SIZES]
    lines = {
        "the whole process": [(size, statistics.median(whole[size])) for size in SIZES],
        "judging alone": [(size, judged[size]) for size in SIZES],
        "linear": linear,
    }
    title = f"Screening against {ADVISORIES:,} advisories, index there"
    (HERE / "screening.svg").write_text(plot(title, "artifacts", "seconds", lines, dashed="linear"))


def _against_pip_audit(advisories: Path, items: Sequence[Item]) -> list[Result]:
    if not PIP_AUDIT.exists():
        sys.exit(f"{PIP_AUDIT} is missing; run `make bench`, which installs bench/requirements.txt there")
    python = [each for each in items if each.ecosystem == "PyPI"]
    ours: list[Run] = []
    theirs: list[Run] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        only = folder / "advisories" / "PyPI"
        only.mkdir(parents=True)
        os.link(advisories / "PyPI" / "all.zip", only / "all.zip")
        facts = _written(folder / "facts", python)
        requirements = folder / "requirements.txt"
        requirements.write_text("".join(f"{each.name}=={each.version}\n" for each in python))
        (folder / "answers.json").write_text(json.dumps(_answers(only / "all.zip", python)))
        with _service(folder / "answers.json") as url:
            _screen(only.parent, facts, folder / "cache", len(python))  # makes the index
            for number in range(ROUNDS):
                print(f"pip-audit, round {number + 1} of {ROUNDS}", file=sys.stderr)
                done, said = _screen(only.parent, facts, folder / "cache", len(python))
                ours.append(done)
                theirs.append(_pip_audit(requirements, url, folder / f"http-{number}"))
                found = _vulnerable(theirs[-1])
                if found != said["vulnerable"]:
                    sys.exit(
                        f"pip-audit finds {found} vulnerable distributions, we find {said['vulnerable']}"
                    )
            print(f"  both find {found} vulnerable distributions", file=sys.stderr)
    return [
        result(
            f"{len(python):,} Python distributions, against pip-audit",
            "s",
            [each.seconds for each in ours],
            other=[each.seconds for each in theirs],
        )
    ]


def _pip_audit(requirements: Path, url: str, cache: Path) -> Run:
    options = ["--vulnerability-service", "osv", "--osv-url", url, "--no-deps", "--disable-pip"]
    quiet = ["--format", "json", "--progress-spinner", "off", "--cache-dir", str(cache)]
    # 1 is how it says that it found something.
    return run([str(PIP_AUDIT), *options, *quiet, "-r", str(requirements)], fine=(0, 1))


def _vulnerable(done: Run) -> int:
    return sum(bool(each.get("vulns")) for each in json.loads(done.output)["dependencies"])


def _answers(archive: Path, wanted: Sequence[Item]) -> list[tuple[str, str, list[Any]]]:
    """What a service would answer for each distribution: the records that concern it, reckoned apart."""
    about: dict[str, list[dict[str, Any]]] = defaultdict(list)
    names = {each.name for each in wanted}
    with zipfile.ZipFile(archive) as opened:
        for name in opened.namelist():
            record = json.loads(opened.read(name))
            if (package := record["affected"][0]["package"]["name"]) in names:
                about[package].append(record)
    found = []
    for each in wanted:
        concerned = [record for record in about[each.name] if _concerns(record, Version(each.version))]
        if concerned:
            found.append((each.name, each.version, concerned))
    return found


def _concerns(record: dict[str, Any], version: Version) -> bool:
    # The records made here begin at the beginning and are fixed once.
    fixed = [
        Version(event["fixed"])
        for line in record["affected"][0].get("ranges", ())
        for event in line["events"]
        if "fixed" in event and line["type"] != "GIT"
    ]
    return any(version < each for each in fixed) or str(version) in record["affected"][0]["versions"]


@contextmanager
def _service(answers: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "bench.osv_service", str(answers)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1/query"
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    main()
