"""Running foreign code where it reaches nothing: no network, no identity, no file to write but in one folder.

It runs as nobody, in namespaces of its own (user, network, mounts, processes, IPC), made by util-linux, which
is on every image. The network namespace has no way out, so there is neither a metadata server nor a token.
The root file system is read-only; where this machine keeps what it knows, and where anybody may write, is an
empty place. Nothing of the environment goes in. When the first process ends, or takes too long, all of them
do.
See unshare(1), user_namespaces(7), network_namespaces(7).
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from .command import StepError, run

NOBODY = 65534
"""The user and group on every Linux that owns nothing."""
_INSIDE = "/mnt"
"""Where the folder is found inside; every root has this folder (Filesystem Hierarchy Standard 3.12)."""
_HIDDEN = "/opt /tmp /var/tmp /run /dev/shm /home /root /srv"
_SETUP = f"""
set -e
mount --bind . {_INSIDE}
for place in {_HIDDEN}; do if [ -d $place ]; then mount -t tmpfs -o mode=1777 tmpfs $place; fi; done
# Where the host shows less than all of /proc, the kernel allows no other one. The one that is there shows
# numbers and command lines of processes, and lets nobody into those of others.
mount -t proc proc /proc 2>/dev/null || true
mount -o remount,bind,ro /
# Other file systems of the machine, as far as they can be seen: read-only too, by the flags that each has.
while read -r _ _ _ _ place flags _; do
    case " / /proc {_INSIDE} {_HIDDEN} " in
        *" $place "*) ;;
        *) mount -o "remount,bind,$flags,ro" "$place" 2>/dev/null || true ;;
    esac
done < /proc/self/mountinfo
cd {_INSIDE}/space
exec unshare --user --map-user={NOBODY} --map-group={NOBODY} -- "$@"
"""
_WITHIN = 3600
"""Seconds that a step may take."""
_FILE = 8 << 30
"""Bytes of the largest file that may be written."""
_SAID = 64 << 10
"""Bytes of the end of what was printed that are looked at."""
_ANSWER = 1 << 20
"""Bytes of the largest answer that is read."""


class Folder:
    """A folder with inputs, which isolated code reads, and space, which it writes."""

    def __init__(self, path: Path) -> None:
        """Args:
        path: made anew; what was there goes.
        """
        self.path = path
        self.remove()
        path.mkdir(parents=True)
        path.chmod(0o755)
        self.inputs = path / "in"
        self.inputs.mkdir()
        self.inputs.chmod(0o755)
        self._space = path / "space"
        self._space.mkdir()
        os.chown(self._space, NOBODY, NOBODY)

    def remove(self) -> None:
        """Delete the folder. Foreign code may have left folders in folders without end, in which Python's own
        functions get lost."""
        run(["rm", "-rf", "--", str(self.path)])

    def run(self, what: str, arguments: Sequence[str], env: Mapping[str, str]) -> None:
        """Run a program in isolation; inside, inputs are at `../in`, and the space is where it begins.

        Args:
            what: begins the message of a failure.
            env: the whole environment.

        Raises:
            StepError: it failed or took too long, or this machine cannot isolate.
        """
        # They came from root with whatever mask.
        for entry in self.inputs.rglob("*"):
            entry.chmod(0o755 if entry.is_dir() else 0o644)
        said = self.path / "said.txt"
        command = [
            *("prlimit", f"--fsize={_FILE}", "--core=0", "--"),
            *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs", "--"),
            *("unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child"),
            *("--ipc", "--uts", "--cgroup", "--", "sh", "-c", _SETUP, "sh", *arguments),
        ]
        with said.open("wb") as out:
            said.chmod(0o600)
            try:
                ended = subprocess.run(
                    command,
                    cwd=self.path,
                    env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **env},
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    timeout=_WITHIN,
                )
            except subprocess.TimeoutExpired:
                raise StepError(f"{what}: not done after {_WITHIN} seconds; ended") from None
        if ended.returncode:
            raise StepError(f"{what}: {self._last_words(said) or f'ended with {ended.returncode}'}")

    @staticmethod
    def _last_words(said: Path) -> str:
        with said.open("rb") as text:
            text.seek(max(0, said.stat().st_size - _SAID))
            lines = text.read().decode(errors="replace").splitlines()
        return " / ".join([" ".join(line.split()) for line in lines if line.strip()][-4:])

    def answer(self) -> Any:
        """What the program left as `answer.json`; any JSON, since foreign code may have written it.

        Raises:
            StepError: there is none that can be read.
        """
        with self._open("answer.json") as file:
            try:
                return json.loads(file.read(_ANSWER))
            except (ValueError, RecursionError):
                raise StepError("what was built in isolation left an answer that cannot be read") from None

    def take(self, name: str, to: Path) -> None:
        """Copy a file out of the space.

        Raises:
            StepError: it is no plain file, or lies elsewhere.
        """
        with self._open(name) as file, to.open("wb") as out:
            shutil.copyfileobj(file, out, 1 << 20)

    def _open(self, name: str) -> BinaryIO:
        """Open a file of the space without following any link: who owned it wanted what root can read."""
        if "/" in name or name in {"", ".", ".."}:
            raise StepError(f"{name[:200]!r} would lead out of the folder that was built in")
        space = os.open(self._space, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=space)
        except OSError as error:
            raise StepError(
                f"{name[:200]}: not left by what was built in isolation ({error.strerror})"
            ) from None
        finally:
            os.close(space)
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != NOBODY or found.st_nlink != 1:
            os.close(handle)
            raise StepError(f"{name[:200]}: no file of what was built in isolation")
        return os.fdopen(handle, "rb")
