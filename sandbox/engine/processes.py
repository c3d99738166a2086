"""Child processes that do not outlive the engine.

They are started through this file, run as a script: it has the kernel end the process when the engine is
gone, and becomes the command. (Code between fork and exec would run next to gRPC's threads, which does not
end well.)
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def guarded(command: Sequence[str]) -> list[str]:
    """The command, such that it ends with this process."""
    return [sys.executable, "-I", "-S", str(Path(__file__)), str(os.getpid()), *command]


def _become(parent: int, command: list[str]) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the engine is gone")
    os.execvp(command[0], command)  # noqa: S606 - the command was given as a list


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2:])
