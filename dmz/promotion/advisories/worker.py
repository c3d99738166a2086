"""The other process of `dmz.promotion.advisories.ahead`: reads what is asked, writes what is known."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import msgspec

from dmz.collecting import uncollected
from dmz.promotion.advisories.frames import send
from dmz.promotion.advisories.index import opened
from dmz.promotion.advisories.lookup import Lookup, Question

_QUESTIONS: Final = msgspec.msgpack.Decoder(list[list[Question]])
_ANSWERS: Final = msgspec.msgpack.Encoder()


def main() -> None:
    """Answer what stands on the standard input, from the index that the first argument names."""
    with uncollected():
        lookup = Lookup(opened(Path(sys.argv[1]), mapped=0))
        for some in _QUESTIONS.decode(sys.stdin.buffer.read()):
            send(sys.stdout.buffer, _ANSWERS.encode([lookup.findings(each) for each in some]))
