"""Foreign text in Markdown, so that it is shown and does nothing (GitHub Flavored Markdown, CommonMark 0.31).

What a package, an advisory or a pull request's author says must not become a link, an image, HTML, a row of a
table, or a mention of somebody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from dmz.promotion.wording import printable

_ACTIVE: Final = re.compile(r"[\\*_{}\[\]<>|~!&`]")
"""What begins something in a line. A backslash before punctuation takes its meaning (CommonMark 2.4)."""
_LATE: Final = re.compile(r"[@#$]+")
"""What GitHub looks for after that, in the text as shown: mentions, references, formulas. Not in code."""
_ADDRESS: Final = re.compile(r"(?<=:)/(?=/)|(?<=\b[wW]{3})\.")
"""Where an address is recognised that has no mark around it (GFM 6.9)."""


def plain(text: str, limit: int = 300) -> str:
    """Foreign text within a line of Markdown, as text and nothing else."""
    escaped = _ACTIVE.sub(r"\\\g<0>", printable(text, limit))
    return _LATE.sub(r"`\g<0>`", _ADDRESS.sub(r"\\\g<0>", escaped))


def code(text: str, limit: int = 120) -> str:
    """A foreign name, version or digest as a code span, which nothing inside can end."""
    line = printable(text, limit)
    if not line or "|" in line:
        return plain(line, limit)  # a bar would end a table's cell, even inside code
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    space = " " if "`" in line else ""
    return f"{fence}{space}{line}{space}{fence}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table; its cells are Markdown, as `plain` and `code` make it."""
    return [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]
