"""The release as the machine reads it: the lock files, checked against their digest first.

Formats: PEP 751 for Python, deb822 stanzas for debs and files, `sha256sum` lines over the three.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .command import StepError


@dataclass(frozen=True)
class Deb:
    """One approved deb."""

    name: str
    architecture: str
    version: str
    filename: str
    sha256: str


@dataclass(frozen=True)
class Wheel:
    """One approved wheel."""

    name: str
    version: str
    filename: str
    sha256: str


@dataclass(frozen=True)
class File:
    """One approved file."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Release:
    """What may be installed, and on which image."""

    dpkg_digest: str
    debs: tuple[Deb, ...]
    wheels: tuple[Wheel, ...]
    files: tuple[File, ...]


def names(workload: str) -> tuple[str, str, str, str]:
    """The four files of a release, the checksums last."""
    return (
        f"pylock.{workload}.toml",
        f"apt.{workload}.lock",
        f"files.{workload}.lock",
        f"release.{workload}.sha256",
    )


def parse(workload: str, digest: str, texts: Mapping[str, bytes]) -> Release:
    """Check the four files against the release's digest and read them.

    Raises:
        StepError: a file is missing or is not the one that the digest names.
    """
    pylock, apt, files, checksums = names(workload)
    found = hashlib.sha256(texts[checksums]).hexdigest()
    if found != digest:
        raise StepError(f"{checksums} has SHA-256 {found}, the release is {digest}: not installing")
    expected = {}
    for line in texts[checksums].decode().splitlines():
        value, _, name = line.partition("  ")
        expected[name] = value
    for name in (pylock, apt, files):
        found = hashlib.sha256(texts[name]).hexdigest()
        if expected.get(name) != found:
            raise StepError(
                f"{name} has SHA-256 {found}, the release says {expected.get(name)}: not installing"
            )
    python = _toml(texts[pylock].decode())
    return Release(
        dpkg_digest=python["tool"]["dmz"]["dpkg-digest"],
        debs=tuple(
            Deb(entry["Package"], entry["Architecture"], entry["Version"], entry["Filename"], entry["SHA256"])
            for entry in _stanzas(texts[apt].decode())
        ),
        wheels=tuple(
            Wheel(
                package["name"],
                package["version"],
                wheel["path"].rsplit("/", 1)[-1],
                wheel["hashes"]["sha256"],
            )
            for package in python.get("packages", [])
            for wheel in package["wheels"]
        ),
        files=tuple(
            File(_plain(entry["File"]), entry["SHA256"]) for entry in _stanzas(texts[files].decode())
        ),
    )


def _plain(name: str) -> str:
    if not name or name in {".", ".."} or "/" in name or "\0" in name:
        raise StepError(f"the file name {name!r} would leave its folder: not installing")
    return name


def _toml(text: str) -> dict[str, Any]:
    try:
        import tomllib
    except ImportError:  # Python 3.10: the image's pip carries the same parser
        from pip._vendor import tomli as tomllib  # type: ignore[no-redef]
    return tomllib.loads(text)


def _stanzas(text: str) -> list[dict[str, str]]:
    found = []
    for block in text.split("\n\n"):
        stanza = {}
        for line in block.splitlines():
            key, separator, value = line.partition(":")
            if separator and not line.startswith((" ", "\t", "#")):
                stanza[key] = value.strip()
        if stanza:
            found.append(stanza)
    return found
