"""The tables of README.md that are made from `results.json`, so that they can't say anything else.

Each stands between `<!-- results: EXPRESSION -->` and `<!-- end of results -->`, and has the results whose
names match the regular expression, in the order of the file.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from bench.harness import HERE, RESULTS

README: Final = HERE / "README.md"
_TABLE: Final = re.compile(r"(<!-- results: (?P<names>.+?) -->\n).*?(<!-- end of results -->)", re.DOTALL)
_HEAD: Final = (
    "| | measured | smallest to largest | the other | the other takes | target |\n|---|---|---|---|---|---|\n"
)


def write(readme: Path = README, results: Path = RESULTS) -> None:
    """Make the tables anew."""
    readme.write_text(made(readme.read_text(), json.loads(results.read_text())))


def made(text: str, results: list[dict[str, Any]]) -> str:
    """The text with its tables made from results."""

    def table(found: re.Match[str]) -> str:
        rows = [_row(each) for each in results if re.match(found["names"], each["name"])]
        return f"{found[1]}{_HEAD}{''.join(rows)}{found[3]}"

    return _TABLE.sub(table, text)


def _row(each: dict[str, Any]) -> str:
    unit = each["unit"]
    spread = f"{each['min']:g} to {each['max']:g}"
    other = "" if each["other"] is None else f"{each['other']:g} {unit}"
    ratio = "" if each["ratio"] is None else f"{each['ratio']:g} times as long"
    target = ""
    if each["target"] is not None:
        target = f"at most {each['target']:.3g} {unit}: {'holds' if each['holds'] else '**missed**'}"
    return f"| {each['name']} | {each['ours']:g} {unit} | {spread} | {other} | {ratio} | {target} |\n"


if __name__ == "__main__":
    write()
