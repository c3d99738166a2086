"""Looking up ahead: another process looks versions up while this one judges what is known of others.

It begins with those whose answers are needed first. Where this process needs an answer that is not there yet,
it does not wait: it looks up some of the last ones, until the two meet. So both have work until all is known,
however fast either is. The other process reads the same index; what it could not do is done here.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from dmz.promotion.advisories.frames import received, widen
from dmz.promotion.advisories.lookup import Question
from dmz.promotion.finding import Finding

Asked = tuple[str, str, str]
"""Ecosystem, name and version, as `Database.findings` takes them."""
Findings = tuple[Finding, ...]
T = TypeVar("T")

ENOUGH: Final = 4000
"""Versions from which on it is worth starting a process, which takes as long as a thousand of them."""
_AT_ONCE: Final = 50
"""Versions that are looked up at a time."""
_CODE: Final = "from dmz.promotion.advisories.worker import main; main()"

_ANSWERS: Final = msgspec.msgpack.Decoder(list[Findings])


class Other:
    """The other process. It starts at once, is asked once, and ends with this object at the latest."""

    def __init__(self, index: Path) -> None:
        """Args:
            index: the file of the index, which is sound.

        Raises:
            OSError: no room, or too many processes.
        """
        process = subprocess.Popen(
            # Without the folder that this runs in, which may be a checkout of somebody else's.
            [sys.executable, "-P", "-c", _CODE, str(index.absolute())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # where it fails, this process does its work and says why
            # The same modules as here, and nothing else that this process knows, tokens among it.
            env={"PYTHONPATH": os.pathsep.join(str(Path(path).absolute()) for path in sys.path if path)},
        )
        self.end: Final = weakref.finalize(self, _end, process)
        assert process.stdin
        assert process.stdout
        self._questions: Final = process.stdin
        for pipe in (process.stdin, process.stdout):
            widen(pipe)
        self.answers: Final = FileIO(process.stdout.fileno(), closefd=False)
        """Where they come, in messages of some at a time."""

    def ask(self, some: Sequence[Sequence[Question]]) -> None:
        """Ask all that will be asked."""
        with suppress(OSError), self._questions as pipe:  # it may have ended: then no answer comes either
            pipe.write(msgspec.msgpack.encode(some))


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe:
            with suppress(OSError):
                pipe.close()


def worth(count: int) -> bool:
    """Whether another process would help with so many questions."""
    return count >= ENOUGH and len(os.sched_getaffinity(0)) > 1


def started(index: Path | None) -> Other | None:
    """Another process; None where there can be none.

    Args:
        index: the file of the index, which is sound; None: it has none that another could read.
    """
    try:
        return Other(index) if index else None
    except OSError:
        return None


class Ahead:
    """Many questions, answered by two processes."""

    def __init__(
        self, asked: Mapping[Asked, Question], here: Callable[[Question], Findings], other: Other
    ) -> None:
        """Args:
        asked: in the order in which the answers will be needed.
        here: answers one in this process.
        other: the other process; nobody asked it anything yet.
        """
        self._asked: Final = asked
        self._here: Final = here
        self._open: Final = deque(_some(list(asked)))
        """What nobody has answered; the other process is at the first."""
        self._answers: Final[dict[Asked, Findings]] = {}
        self._other: Other | None = other
        self._ready: Final = select.poll()
        self._ready.register(other.answers, select.POLLIN)
        other.ask(_some(list(asked.values())))

    def of(self, asked: Asked) -> Findings | None:
        """What is known against a version; None: it is none of the questions."""
        if asked not in self._asked:
            return None
        while asked not in self._answers:
            if self._other and (len(self._open) == 1 or self._ready.poll(0)):
                self._receive(self._other)
            else:
                self._answers.update((each, self._here(self._asked[each])) for each in self._open.pop())
        return self._answers[asked]

    def _receive(self, other: Other) -> None:
        some, answers = self._open[0], []
        with suppress(OSError, EOFError, msgspec.MsgspecError):
            answers = _ANSWERS.decode(received(other.answers))
        if len(answers) == len(some):
            self._answers.update(zip(some, answers, strict=True))
            self._open.popleft()
        else:  # whatever happened to it, this process can do it all
            self._other = None


def _some(every: Sequence[T]) -> list[Sequence[T]]:
    """Few at a time."""
    return [every[at : at + _AT_ONCE] for at in range(0, len(every), _AT_ONCE)]
