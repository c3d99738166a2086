"""The artifact: one file that may enter, named by its content."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dmz.errors import InputError

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_NO_NAME: Final = re.compile(r"[/\\\x00-\x20]")


class Kind(StrEnum):
    """What sort of file an artifact is, and so which repository holds it."""

    PYPI = "pypi"
    APT = "apt"
    FILE = "files"


@dataclass(frozen=True, order=True, slots=True)
class Artifact:
    """One approved file of a release."""

    kind: Kind
    name: str
    """Normalised distribution name (PEP 503), Debian package name, or the name of a workload's file."""
    architecture: str
    """Debian architecture (`amd64`, `all`); empty for wheels and files."""
    version: str
    """As the ecosystem writes it; for a file, its SHA-256."""
    filename: str
    """Base name, never with a folder."""
    sha256: str
    """64 lower-case hexadecimal digits."""
    size: int
    """Bytes."""
    origin: str
    """The outer repository that serves it, by its id (`python-remote`, `apt-bookworm`, `files`)."""
    why: tuple[str, ...] = ()
    """What needs it: names of artifacts, or `requested`."""

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(self.sha256):
            raise InputError(
                f"{self.kind}/{self.name}: '{self.sha256}' is no SHA-256; give 64 hexadecimal digits"
            )
        if not self.filename or self.filename in {".", ".."} or _NO_NAME.search(self.filename):
            raise InputError(
                f"{self.kind}/{self.name}: file name '{self.filename}' would leave its folder or has spaces; "
                "give a plain file name"
            )
        if self.size < 0:
            raise InputError(f"{self.kind}/{self.name}: size {self.size} is negative; give the size in bytes")

    @property
    def key(self) -> str:
        """The key under which `PackageSync` lists it: `pypi/NAME`, `apt/NAME:ARCH` or `files/NAME`."""
        return (
            f"{self.kind}/{self.name}:{self.architecture}"
            if self.kind is Kind.APT
            else f"{self.kind}/{self.name}"
        )
