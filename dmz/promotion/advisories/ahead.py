"""Looking up ahead: another process looks up some versions while this one is at others.

Looking thousands of versions up takes longer than judging them. The other process reads the same index; what
it could not do is done here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from dmz.promotion.finding import Finding

Asked = tuple[str, str, str]
"""Ecosystem, name and version, as `Database.findings` takes them."""

ENOUGH: Final = 4000
"""Versions from which on it is worth starting a process, which takes as long as a thousand of them."""
_ITS_SHARE: Final = 0.6
"""Part of the versions, the last ones, that the other process takes: it has to start, this one judges."""
_CODE: Final = "from dmz.promotion.advisories.lookup import main; main()"

Answers = list[tuple[Finding, ...] | None]
"""For each version that was asked for; None: the other process could not say."""
QUESTIONS: Final = msgspec.msgpack.Decoder(list[Asked])
ANSWERS: Final = msgspec.msgpack.Decoder(Answers)


class Ahead:
    """What another process looks up."""

    def __init__(self, asked: Sequence[Asked], process: subprocess.Popen[bytes]) -> None:
        self._process: Final = process
        self._places: Final = {each: place for place, each in enumerate(asked)}
        self._answers: Answers | None = None

    def of(self, asked: Asked) -> tuple[Finding, ...] | None:
        """What is known against a version, once that was looked up; None: it has to be looked up here."""
        place = self._places.get(asked)
        if place is None:
            return None
        if self._answers is None:
            self._answers = self._received()
        return self._answers[place]

    def _received(self) -> Answers:
        assert self._process.stdout
        body = self._process.stdout.read()
        if self._process.wait() == 0:
            with suppress(msgspec.MsgspecError):
                answers = ANSWERS.decode(body)
                if len(answers) == len(self._places):
                    return answers
        return [None] * len(self._places)


@contextmanager
def ahead(index: Path, asked: Sequence[Asked]) -> Iterator[Ahead | None]:
    """Look up the last ones of some versions elsewhere; None where that is not worth it.

    Args:
        index: the file of the index, which is sound.
        asked: in the order in which they will be asked for.
    """
    asked = list(dict.fromkeys(asked))
    if len(asked) < ENOUGH or len(os.sched_getaffinity(0)) == 1:
        yield None
        return
    asked = asked[round(len(asked) * (1 - _ITS_SHARE)) :]
    try:
        process = _started(index, asked)
    except OSError:  # no room, or too many processes: then there is no other
        yield None
        return
    assert process.stdout
    try:
        yield Ahead(asked, process)
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def _started(index: Path, asked: Sequence[Asked]) -> subprocess.Popen[bytes]:
    with tempfile.TemporaryFile() as questions:
        questions.write(msgspec.msgpack.encode(asked))
        questions.seek(0)
        return subprocess.Popen(
            # Without the folder that this runs in, which may be a checkout of somebody else's.
            [sys.executable, "-P", "-c", _CODE, str(index.absolute())],
            stdin=questions,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # where it fails, this process does its work and says why
            # The same modules as here, and nothing else that this process knows, tokens among it.
            env={"PYTHONPATH": os.pathsep.join(str(Path(path).absolute()) for path in sys.path if path)},
        )
