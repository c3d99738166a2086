"""The Python resolver: `uv pip compile` for the base image, against an index of one session."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name
from uv import find_uv_bin

from dmz.errors import DmzError, RefusedError, TransferError
from dmz.promotion.base_image import BaseImage
from dmz.resolution.shelf import Serving, Shelf
from dmz.resolution.wheels import platform

REQUESTED: Final = "requested"
"""The reason of a distribution that the workload itself names."""

_PIN: Final = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)(?:\s+# via (?P<via>.*))?")
_REASON_LENGTH: Final = 400
"""Characters of the resolver's explanation that are shown."""


class UnsatisfiableError(RefusedError):
    """No versions are left that fit together."""


@dataclass(frozen=True)
class Pin:
    """One distribution of a resolution."""

    name: str
    """Normalised (PEP 503)."""
    version: str
    why: tuple[str, ...]
    """What requires it, by name, and `requested`."""


class Uv:
    """uv, looking at one shelf; what it read once it keeps until the session ends."""

    def __init__(self, folder: Path, serving: Serving, image: BaseImage) -> None:
        self._folder = folder
        self._serving = serving
        self._image = image
        self._calls = 0

    @classmethod
    @asynccontextmanager
    async def session(cls, shelf: Shelf, image: BaseImage, *, once: bool = False) -> AsyncIterator[Uv]:
        """A session with a shelf; of a single resolution (`once`), or of many."""
        with tempfile.TemporaryDirectory(prefix="dmz-resolve-") as folder:
            async with Serving(shelf, once=once).running() as serving:
                yield cls(Path(folder), serving, image)

    async def compile(
        self,
        requirements: Sequence[str],
        *,
        constraints: Sequence[str] = (),
        overrides: Sequence[str] = (),
        keep: Mapping[str, str] | None = None,
    ) -> list[Pin]:
        """One version of each distribution that is needed, by name.

        Args:
            constraints: requirements that bind a distribution where something else needs it.
            overrides: requirements that replace what distributions say of each other.
            keep: versions to stay with where possible, by distribution.

        Raises:
            UnsatisfiableError: nothing fits together; says why.
            DmzError: what the shelf ran into.
            TransferError: the resolver itself failed.
        """
        self._calls += 1
        folder = self._folder / str(self._calls)
        folder.mkdir()
        _write(folder / "requirements.txt", requirements)
        _write(folder / "overrides.txt", overrides)
        _write(folder / "constraints.txt", constraints)
        _write(folder / "pins.txt", (f"{name}=={version}" for name, version in sorted((keep or {}).items())))
        failed = self._serving.failure
        code, said = await self._run(folder)
        if code:
            if self._serving.failure is not failed and isinstance(self._serving.failure, DmzError):
                raise self._serving.failure
            reason = _reason(self._serving.plain(said))
            if code == 1:
                raise UnsatisfiableError(f"no versions fit together: {reason}")
            raise TransferError(f"the resolver failed: {reason}; check the outer repository, then run again")
        return _parse((folder / "pins.txt").read_text(encoding="utf-8"))

    async def _run(self, folder: Path) -> tuple[int | None, str]:
        command = [
            find_uv_bin(),
            *("pip", "compile", "requirements.txt", "--constraints", "constraints.txt"),
            *("--overrides", "overrides.txt", "--output-file", "pins.txt"),
            *("--no-build", "--no-config", "--no-header", "--annotation-style", "line"),
            *("--python", sys.executable, "--python-version", self._image.python),
            *("--python-platform", platform(self._image), "--default-index", self._serving.url),
            *("--quiet", "--color", "never"),
        ]
        # The user's own settings of uv and pip are for the user's own index, and so is a proxy.
        environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("UV_", "PIP_")) and not key.lower().endswith("_proxy")
        }
        environment |= {
            "UV_CACHE_DIR": str(self._folder / "cache"),
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_HTTP_TIMEOUT": "300",
        }
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            _, errors = await process.communicate()
        except BaseException:
            process.kill()
            await process.wait()
            raise
        return process.returncode, errors.decode(errors="replace")


def _write(file: Path, lines: Iterable[str]) -> None:
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _reason(text: str) -> str:
    """The resolver's explanation on one line, no longer than a person reads."""
    causes = re.findall(r"^\s*cause: (.*)$", text, re.MULTILINE)
    line = " ".join(" ".join(causes or [text]).split())
    return line if len(line) <= _REASON_LENGTH else line[: _REASON_LENGTH - 2].rsplit(" ", 1)[0] + " …"


def _parse(text: str) -> list[Pin]:
    pins = []
    for line in text.splitlines():
        match = _PIN.fullmatch(line.strip())
        if match is None:
            raise TransferError(f"the resolver wrote '{line}', which is no pin; check its version")
        origins = [part.strip() for part in (match["via"] or "").split(",")]
        why = {canonicalize_name(origin.split("[")[0]) for origin in origins if origin and origin[0] != "-"}
        requested = [REQUESTED] if any(origin.startswith("-r ") for origin in origins) else []
        pins.append(Pin(canonicalize_name(match["name"]), match["version"], (*requested, *sorted(why))))
    return sorted(pins, key=lambda pin: pin.name)
