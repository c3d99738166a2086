"""Reading many records with all processors: a process for each, which takes its share of every archive.

Parsing 200,000 records takes one processor a quarter of a minute. The processes get the files that are open
here, so that all read what was hashed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final

import msgspec

from dmz.collecting import uncollected
from dmz.errors import InputError
from dmz.promotion.advisories.archive import WHOLE, Share, Source
from dmz.promotion.advisories.frames import received, send, widen
from dmz.promotion.advisories.rows import Batch, batches

_LARGE: Final = 16 << 20
"""Bytes of records from which it is worth starting processes."""
_MOST: Final = 4
"""Processes; from then on writing takes the time."""
_FILES: Final = 64
"""Open files that are handed on."""
_OPEN_FILES: Final = Path("/proc/self/fd")
"""Where a process opens anew what it was given: only Linux has that."""

_CODE: Final = f"from {__name__} import main; main()"

_BATCH: Final = msgspec.msgpack.Decoder(Batch)


def read(sources: Sequence[Source]) -> Iterator[Batch]:
    """All records of some files, always in the same order for the same number of processors.

    Raises:
        InputError: something in there is no record.
    """
    count = min(len(os.sched_getaffinity(0)), _MOST) if _OPEN_FILES.exists() else 1
    if count == 1 or len(sources) > _FILES or sum(source.size for source in sources) < _LARGE:
        yield from batches(sources, WHOLE)
        return
    with ExitStack() as stack:
        pipes = [stack.enter_context(_reader(sources, Share(number, count))) for number in range(count)]
        while pipes:
            for pipe in list(pipes):
                batch = _received(pipe)
                if batch is None:
                    pipes.remove(pipe)
                elif batch.error:
                    raise InputError(batch.error)
                else:
                    yield batch


@contextmanager
def _reader(sources: Sequence[Source], share: Share) -> Iterator[IO[bytes]]:
    opened = [(str(source.path), source.file.fileno()) for source in sources]
    task = json.dumps({"sources": opened, "number": share.number, "of": share.of})
    process = subprocess.Popen(
        # Not the folder that this runs in, unless this process looks there too.
        [sys.executable, "-P", "-c", _CODE, task],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        pass_fds=[handle for _, handle in opened],
        # The same modules as here, from wherever this program has them.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(str(Path(path).absolute()) for path in sys.path)},
    )
    assert process.stdout
    widen(process.stdout)
    try:
        yield process.stdout
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def _received(pipe: IO[bytes]) -> Batch | None:
    try:
        body = received(pipe)
    except EOFError:
        raise InputError("advisories: a reading process was stopped; run again, with more memory") from None
    return _BATCH.decode(body) if body else None


def main() -> None:
    """One of the processes: reads its share and writes batches to its standard output."""
    task = json.loads(sys.argv[1])
    encode = msgspec.msgpack.Encoder().encode
    out = sys.stdout.buffer

    with ExitStack() as stack:
        sources = [
            Source(Path(path), stack.enter_context((_OPEN_FILES / str(handle)).open("rb")))
            for path, handle in task["sources"]
        ]
        try:
            with uncollected():
                for batch in batches(sources, Share(task["number"], task["of"])):
                    send(out, encode(batch))
        except InputError as error:
            send(out, encode(Batch(0, [], error=str(error))))
    send(out, b"")  # all of it
