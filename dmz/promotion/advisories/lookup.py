"""The other process of `dmz.promotion.advisories.ahead`: reads what is asked, writes what is known."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from dmz.errors import InputError
from dmz.promotion.advisories.ahead import QUESTIONS, Asked
from dmz.promotion.advisories.database import Database
from dmz.promotion.advisories.index import opened
from dmz.promotion.advisories.readers import uncollected
from dmz.promotion.finding import Finding


def main() -> None:
    """Answer what stands on the standard input, from the index that the first argument names."""
    path = Path(sys.argv[1])
    database = Database(path, opened(path, mapped=0))
    with uncollected():
        answers = [_answer(database, asked) for asked in QUESTIONS.decode(sys.stdin.buffer.read())]
        sys.stdout.buffer.write(msgspec.msgpack.encode(answers))
        sys.stdout.buffer.flush()


def _answer(database: Database, asked: Asked) -> tuple[Finding, ...] | None:
    try:
        return database.findings(*asked)
    except InputError:
        return None
