"""Base images of machines: a Debian root for each runtime on offer, made once, shared read-only."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from sandbox import aptsources
from sandbox.aptsources import AptSourcesError, Archive
from sandbox.cloud.errors import failed_precondition, invalid

Progress = Callable[[str], None]
"""Takes one line about what is going on."""


@dataclass(frozen=True)
class Recipe:
    """What makes an image; another recipe is another image."""

    release: str
    variant: str
    include: tuple[str, ...]
    """Packages beyond the variant's own."""
    form: int = 1
    """Goes up when the way of making it changes what comes out."""

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits over the whole recipe."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]


RUNTIMES: Final = {
    "sandbox-debian-12": Recipe(
        "bookworm", "minbase", ("ca-certificates", "curl", "python3", "python3-venv")
    ),
}
"""The runtime versions that the sandbox can make. Google's own images can't be had, so they are refused."""

# Nothing of the host stays in the image: where its packages came from, its name, its name servers.
_FORGET: Final = (
    ': > "$1/etc/apt/sources.list"; rm -f "$1/etc/hostname" "$1/etc/resolv.conf" '
    '"$1/etc/apt/apt.conf.d/99mmdebstrap" "$1"/var/log/apt/* "$1/var/log/dpkg.log" "$1/var/log/bootstrap.log"'
)


def recipe(runtime: str) -> Recipe:
    """The recipe for a runtime; 400 if the sandbox has none."""
    if runtime not in RUNTIMES:
        offered = ", ".join(RUNTIMES)
        raise invalid(f"runtimeVersion '{runtime}' can't be made by the sandbox, which offers: {offered}")
    return RUNTIMES[runtime]


class Images:
    """The images in a cache folder, which several sandboxes may share."""

    def __init__(self, cache: Path, progress: Progress) -> None:
        self._folder = cache / "images"
        self._progress = progress
        self._making = asyncio.Lock()

    def path(self, runtime: str) -> Path:
        """Where the image of a runtime lies, or will lie once it is made."""
        return self._folder / f"{runtime}-{recipe(runtime).digest}"

    async def root(self, runtime: str) -> Path:
        """The folder with the runtime's root file system; made now if it is not there yet.

        Making one takes about half a minute. An ApiError says why it can't be made.
        """
        path = self.path(runtime)
        async with self._making:
            if not path.is_dir():
                await self._make(runtime, path)
        return path

    async def _make(self, runtime: str, path: Path) -> None:
        try:
            archive = await asyncio.to_thread(aptsources.archive, "debian", "debian", recipe(runtime).release)
        except AptSourcesError as error:
            raise failed_precondition(str(error)) from None
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as lock:
            if not _try_lock(lock.fileno()):
                self._progress(f"{runtime}: another process makes the image, waiting for it")
                await asyncio.to_thread(fcntl.flock, lock.fileno(), fcntl.LOCK_EX)
            if path.is_dir():  # noqa: ASYNC240 - one look at a local disk
                return
            for torn in self._folder.glob(".making-*"):
                shutil.rmtree(torn)
            self._progress(f"{runtime}: making the base image, once")
            with _keyring(archive) as keyring:
                work = Path(tempfile.mkdtemp(prefix=".making-", dir=self._folder))
                try:
                    await self._bootstrap(runtime, archive.uri, keyring, work / "root", lock.fileno())
                    (work / "root").rename(path)
                finally:
                    shutil.rmtree(work, ignore_errors=True)
            self._progress(f"{runtime}: base image ready")

    async def _bootstrap(self, runtime: str, mirror: str, keyring: str, target: Path, lock: int) -> None:
        made = recipe(runtime)
        process = await asyncio.create_subprocess_exec(
            # Its mounts and processes end with it, whichever way it ends.
            *(
                "unshare",
                "--mount",
                "--propagation",
                "private",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
            ),
            "mmdebstrap",
            "--mode=root",
            f"--variant={made.variant}",
            "--format=directory",
            f"--include={','.join(made.include)}",
            f"--keyring={keyring}",
            f"--customize-hook={_FORGET}",
            made.release,
            str(target),
            f"deb [signed-by={keyring}] {mirror} {made.release} main",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=(lock,),  # held until it ends, even if this process is killed
        )
        assert process.stdout is not None
        last = ""
        try:
            async for raw in process.stdout:
                line = raw.decode(errors="replace").strip()
                if line.startswith("E: ") or not last.startswith("E: "):
                    last = line
                if line.startswith("I: ") and "hook" not in line:
                    self._progress(f"{runtime}: {line.removeprefix('I: ').rstrip('.')}")
            status = await process.wait()
        except BaseException:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
            raise
        if status != 0:
            raise failed_precondition(f"{runtime}: the base image can't be made: {last.removeprefix('E: ')}")


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _keyring(archive: Archive) -> Iterator[str]:
    """The archive's keys as a file that every user can read: apt checks signatures as a user of its own."""
    with tempfile.NamedTemporaryFile(prefix="dmz-keyring-", suffix=".gpg") as file:
        file.write(archive.keyring)
        file.flush()
        Path(file.name).chmod(0o644)
        yield file.name
