"""A new resolution of a workload's Python requirements that leaves out the versions that were refused.

`uv pip compile` resolves against the outer repository, for the base image and not for this machine; wheels
only, as nothing may be built here.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import sys
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version
from uv import find_uv_bin

from dmz.artifact import Artifact, Kind
from dmz.errors import InputError, RefusedError, TransferError
from dmz.promotion.base_image import BaseImage
from dmz.registries.concurrency import together
from dmz.registries.google import Google
from dmz.registries.index import IndexFile, PythonIndex
from dmz.registries.interface import Registry
from dmz.registries.python import parse_filename

REQUESTED: Final = "requested"
"""The reason of a distribution that the workload itself names."""

_UV_GLIBC: Final = (17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40)
"""Minor versions of glibc that uv's `--python-platform` knows."""
_LEGACY: Final[Mapping[int, str]] = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
"""Names of older platform tags by glibc's minor version (PEP 600)."""
_MACHINES: Final[Mapping[str, str]] = {"amd64": "x86_64", "arm64": "aarch64"}
_PIN: Final = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)(?:\s+# via (?P<via>.*))?")
_REASON_LENGTH: Final = 400
"""Characters of the resolver's explanation that are shown."""


class UnsatisfiableError(RefusedError):
    """No versions are left that fit together."""


def platform(image: BaseImage) -> str:
    """What uv calls the image's platform, or the nearest older one that it knows.

    Raises:
        InputError: the image's C library is older than any that wheels are made for.
    """
    minor = _glibc(image)
    known = [known for known in _UV_GLIBC if known <= minor]
    if not known:
        raise InputError(f"{image.runtime}: glibc {image.glibc} is too old to resolve for; use 2.17 or later")
    return f"{_MACHINES[image.architecture]}-manylinux_2_{known[-1]}"


def supported_tags(image: BaseImage) -> list[Tag]:
    """The tags of wheels that pip on the image installs, the one it prefers first."""
    machine = _MACHINES[image.architecture]
    platforms = []
    for minor in range(_glibc(image), 16 if machine == "aarch64" else 4, -1):
        platforms.append(f"manylinux_2_{minor}_{machine}")
        if minor in _LEGACY:
            platforms.append(f"{_LEGACY[minor]}_{machine}")
    platforms.append(f"linux_{machine}")
    version = tuple(map(int, image.python.split(".")))
    return [
        *cpython_tags(version, platforms=platforms),
        *compatible_tags(version, f"cp{version[0]}{version[1]}", platforms),
    ]


def _glibc(image: BaseImage) -> int:
    return int(image.glibc.split(".")[1])


def choose_wheel(files: Collection[IndexFile], version: str, tags: Sequence[Tag]) -> IndexFile | None:
    """The wheel of a version that pip installs where `tags` are supported; None if none fits."""
    rank = {tag: place for place, tag in enumerate(tags)}
    best: tuple[tuple[int, tuple[int, str]], IndexFile] | None = None
    for file in files:
        parsed = parse_filename(file.filename)
        if not file.filename.endswith(".whl") or parsed is None or Version(parsed[1]) != Version(version):
            continue
        _, _, build, file_tags = parse_wheel_filename(file.filename)
        places = [rank[tag] for tag in file_tags if tag in rank]
        if places:
            # As pip does: the best tag first, then the highest build number.
            key = (-min(places), build or (-1, ""))
            if best is None or key > best[0]:
                best = key, file
    return best[1] if best else None


async def resolve(
    google: Google,
    index: PythonIndex,
    origin: str,
    image: BaseImage,
    requirements: Sequence[str],
    *,
    overrides: Sequence[str] = (),
    exclude: Sequence[str] = (),
    keep: Mapping[str, str] | None = None,
    built: Sequence[Artifact] = (),
    built_from: Registry | None = None,
) -> list[Artifact]:
    """Resolve requirements to one wheel for each distribution.

    Args:
        index: the outer repository to resolve against.
        origin: its id, which the artifacts name.
        overrides: requirements that replace what distributions say of each other.
        exclude: constraints that keep refused versions out, as `NAME!=VERSION`.
        keep: versions to stay with where possible, by distribution, so that the change is the smallest.
        built: wheels that were built from source distributions on the outer machine.
        built_from: where to read them.

    Returns:
        Wheels by name, with digest and size from the index, and with what requires each.

    Raises:
        UnsatisfiableError: nothing is left that fits together; says why.
        TransferError: the repository did not answer.
    """
    constraints = [Requirement(text) for text in exclude]
    usable = {
        (wheel.name, Version(wheel.version)): wheel
        for wheel in built
        if all(
            constraint.specifier.contains(wheel.version, prereleases=True)
            for constraint in constraints
            if canonicalize_name(constraint.name) == wheel.name
        )
    }
    with tempfile.TemporaryDirectory(prefix="dmz-resolve-") as name:
        folder = Path(name)
        links = folder / "built"
        links.mkdir()
        for wheel in usable.values():
            if built_from is None:
                raise ValueError("built wheels need the registry that has them")
            await _fetch(built_from, wheel, links)
        _write(folder / "requirements.txt", requirements)
        _write(folder / "overrides.txt", overrides)
        _write(folder / "constraints.txt", exclude)
        _write(
            folder / "pins.txt",
            [f"{name}=={version}" for name, version in sorted((keep or {}).items())],
        )
        await _compile(folder, index.url, await google.tokens.token(), image)
        pins = _parse((folder / "pins.txt").read_text())

    tags = supported_tags(image)
    chosen: dict[str, str] = {}
    pages = await together(index.files(pin.name) for pin in pins if pin.key not in usable)
    for pin, page in zip((pin for pin in pins if pin.key not in usable), pages, strict=True):
        wheel_file = choose_wheel(page, pin.version, tags)
        if wheel_file is None:
            raise UnsatisfiableError(
                f"{pin.name} {pin.version}: {origin} has no wheel for {image.runtime}; "
                "choose another version in the workload"
            )
        chosen[pin.name] = wheel_file.filename
    described = await index.describe(chosen.items())
    found = []
    for pin in pins:
        if pin.key in usable:
            found.append(replace(usable[pin.key], why=pin.why))
        else:
            file = described[chosen[pin.name]]
            found.append(
                Artifact(
                    Kind.PYPI,
                    pin.name,
                    "",
                    pin.version,
                    file.filename,
                    file.sha256,
                    file.size or 0,
                    origin,
                    pin.why,
                )
            )
    return found


@dataclass(frozen=True)
class _Pin:
    name: str
    version: str
    why: tuple[str, ...]

    @property
    def key(self) -> tuple[str, Version]:
        return self.name, Version(self.version)


async def _fetch(registry: Registry, wheel: Artifact, folder: Path) -> None:
    digest = hashlib.sha256()
    with (folder / wheel.filename).open("wb") as file:
        async with registry.open(wheel) as chunks:
            async for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
    if digest.hexdigest() != wheel.sha256:
        raise TransferError(
            f"{wheel.origin}/{wheel.filename}: sha256:{digest.hexdigest()} where sha256:{wheel.sha256} was "
            "expected; find out why it changed"
        )


def _write(file: Path, lines: Iterable[str]) -> None:
    file.write_text("".join(f"{line}\n" for line in lines))


async def _compile(folder: Path, url: str, token: str, image: BaseImage) -> None:
    command = [
        find_uv_bin(),
        *("pip", "compile", "requirements.txt", "--constraints", "constraints.txt"),
        *("--overrides", "overrides.txt", "--output-file", "pins.txt", "--find-links", "built"),
        *("--no-build", "--no-config", "--no-header", "--annotation-style", "line"),
        *("--python", sys.executable, "--python-version", image.python, "--python-platform", platform(image)),
        *("--quiet", "--color", "never"),
    ]
    # The user's own settings of uv and pip are for the user's own index.
    environment = {
        key: value
        for key, value in os.environ.items()
        if key == "UV_CACHE_DIR" or not key.startswith(("UV_", "PIP_"))
    }
    environment |= {
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_HTTP_TIMEOUT": "300",
        "UV_DEFAULT_INDEX": f"outer={url}",
        "UV_INDEX_OUTER_USERNAME": "oauth2accesstoken",
        "UV_INDEX_OUTER_PASSWORD": token,
    }
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    if process.returncode:
        reason = _reason(errors.decode(errors="replace"))
        if process.returncode == 1:
            raise UnsatisfiableError(f"no versions fit together: {reason}")
        raise TransferError(f"the resolver failed: {reason}; check the outer repository, then run again")


def _reason(text: str) -> str:
    """The resolver's explanation on one line, no longer than a person reads."""
    causes = re.findall(r"^\s*cause: (.*)$", text, re.MULTILINE)
    line = " ".join(" ".join(causes or [text]).split())
    return line if len(line) <= _REASON_LENGTH else line[: _REASON_LENGTH - 2].rsplit(" ", 1)[0] + " …"


def _parse(text: str) -> list[_Pin]:
    pins = []
    for line in text.splitlines():
        match = _PIN.fullmatch(line.strip())
        if match is None:
            raise TransferError(f"the resolver wrote '{line}', which is no pin; check its version")
        origins = [part.strip() for part in (match["via"] or "").split(",")]
        why = {canonicalize_name(origin.split("[")[0]) for origin in origins if origin and origin[0] != "-"}
        requested = [REQUESTED] if any(origin.startswith("-r ") for origin in origins) else []
        pins.append(_Pin(canonicalize_name(match["name"]), match["version"], (*requested, *sorted(why))))
    return sorted(pins, key=lambda pin: pin.name)
