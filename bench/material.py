"""The files that are copied: real wheels and debs, fetched once as this machine's pip and apt are configured.

They are kept in `.bench/`, outside the repository.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from packaging.utils import parse_wheel_filename

from bench.harness import HERE
from dmz.artifact import Artifact, Kind
from dmz.registries.debian import deb_filename

KEPT: Final = HERE.parent / ".bench"
ORIGIN: Final = "outer"
"""The repository from which everything is copied."""
DEBS: Final = 100
LARGE: Final = 2_000_000_000
"""Bytes of the one large file."""
_GLIBC: Final = ("2_28", "2_27", "2_24", "2_17", "2014", "2_12", "2010", "2_5", "1")
_BLOCK: Final = 1 << 24


def wheels() -> Path:
    """The folder of the wheels that `wheels.txt` names, by version and digest."""
    wanted = HERE / "wheels.txt"
    folder = KEPT / f"wheels-{hashlib.sha256(wanted.read_bytes()).hexdigest()[:12]}"
    if not folder.exists():
        print("fetching the wheels of wheels.txt", file=sys.stderr)
        partial = _partial(folder)
        tags = [f"manylinux_{each}_x86_64" if "_" in each else f"manylinux{each}_x86_64" for each in _GLIBC]
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
                *("--require-hashes", "--no-deps", "--only-binary", ":all:", "--python-version", "3.11"),
                *(option for tag in [*tags, "any"] for option in ("--platform", tag)),
                *("--dest", str(partial), "--requirement", str(wanted)),
            ],
            check=True,
        )
        partial.rename(folder)
    return folder


def debs() -> Path:
    """A folder with one deb for each line of `debs.txt`, in the version that this machine's apt has."""
    folder = KEPT / "debs"
    if not folder.exists():
        print("fetching the packages of debs.txt", file=sys.stderr)
        partial = _partial(folder)
        names = (HERE / "debs.txt").read_text().split()
        subprocess.run(["apt-get", "download", "--quiet=2", *names], cwd=partial, check=True)
        for path in partial.iterdir():  # as a repository calls it: without the epoch, which apt escapes
            path.rename(partial / _debian(path).filename)
        if len(list(partial.iterdir())) != DEBS:
            raise RuntimeError(f"apt-get has fetched {len(list(partial.iterdir()))} of {DEBS} packages")
        partial.rename(folder)
    return folder


def large() -> Path:
    """A folder with one wheel of random bytes, of 2 GB."""
    folder = KEPT / "large"
    if not folder.exists():
        print("making a file of 2 GB", file=sys.stderr)
        partial = _partial(folder)
        with (partial / "large-1.0-py3-none-any.whl").open("wb") as file:
            for start in range(0, LARGE, _BLOCK):
                file.write(os.urandom(min(_BLOCK, LARGE - start)))
        partial.rename(folder)
    return folder


def artifacts(folder: Path) -> list[Artifact]:
    """What a release would say of the files in a folder; reckoned once."""
    kept = folder.with_suffix(".json")
    if not kept.exists():
        found = [_debian(path) if path.suffix == ".deb" else _python(path) for path in folder.iterdir()]
        kept.write_text(json.dumps([_fields(each) for each in sorted(found)]))
    return read(kept)


def read(file: Path) -> list[Artifact]:
    """Artifacts from a file that `artifacts` keeps."""
    return [Artifact(Kind(kind), *rest) for kind, *rest in json.loads(file.read_text())]


def sums(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file in a folder and below, by file name."""
    return {path.name: sha256(path) for path in folder.rglob("*") if path.is_file()}


def sha256(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _partial(folder: Path) -> Path:
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    return partial


def _fields(artifact: Artifact) -> list[str | int]:
    *fields, _ = (getattr(artifact, each.name) for each in dataclasses.fields(artifact))
    return fields


def _python(path: Path) -> Artifact:
    name, version, _, _ = parse_wheel_filename(path.name)
    return Artifact(Kind.PYPI, name, "", str(version), path.name, sha256(path), path.stat().st_size, ORIGIN)


def _debian(path: Path) -> Artifact:
    fields = ["Package", "Version", "Architecture"]
    said = subprocess.run(
        ["dpkg-deb", "--showformat", "".join(f"${{{each}}}\n" for each in fields), "--show", path],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    name, version, architecture = said.split("\n")[:3]
    filename = deb_filename(name, version, architecture)
    return Artifact(
        Kind.APT, name, architecture, version, filename, sha256(path), path.stat().st_size, ORIGIN
    )
