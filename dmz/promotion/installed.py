"""The packages of a base image, with what they say of each other: what apt has to reckon with on the machine.

Which packages they are is pinned by the image's dpkg digest. What they depend on and provide is the word of
the machine, or of who wrote the status file down; the sealed machine's own apt has the last word.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Final

from debian.deb822 import Deb822
from pydantic import AfterValidator, Field, ValidationError

from dmz.errors import InputError
from dmz.promotion.claim import Architecture, Claim, DebianName, DebianVersion
from dmz.promotion.wording import printable, problem

RELATIONS: Final = (
    *("Pre-Depends", "Depends", "Provides", "Conflicts", "Breaks", "Replaces"),
    *("Multi-Arch", "Essential", "Protected"),
)
"""The fields of a package that decide what apt does with others (Debian Policy, chapter 7)."""

_VALUE: Final = re.compile(r"[ -~]*")
_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of a status file that are read."""


def _plain(fields: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in fields.items():
        if name not in RELATIONS:
            raise ValueError(f"'{printable(name, 40)}' is no relation; use {', '.join(RELATIONS)}")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"its {name} is no single line of ASCII")
    return fields


class Installed(Claim):
    """One package that the image comes with."""

    name: DebianName
    version: DebianVersion
    architecture: Architecture
    relations: Annotated[Mapping[str, str], AfterValidator(_plain), Field(default_factory=dict)]
    """Fields of its control file, by name."""

    @property
    def provides(self) -> set[str]:
        """Names of virtual packages that it stands for."""
        return {
            part.split("(")[0].split(":")[0].strip() for part in self.relations.get("Provides", "").split(",")
        }


def digest(packages: Iterable[Installed]) -> str:
    """The base image's identity: SHA-256 over its sorted `Package:Architecture Version` lines."""
    lines = sorted(f"{each.name}:{each.architecture} {each.version}\n" for each in packages)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def status(packages: Iterable[Installed]) -> str:
    """The same as dpkg's status file (deb822)."""
    stanzas = []
    for each in packages:
        fields = {
            "Package": each.name,
            "Status": "install ok installed",
            "Version": each.version,
            "Architecture": each.architecture,
            "Maintainer": "none",
            "Description": "none",
            **each.relations,
        }
        stanzas.append("".join(f"{name}: {value}\n" for name, value in fields.items()))
    return "\n".join(stanzas)


def read_status(path: Path) -> tuple[Installed, ...]:
    """Read a dpkg status file, as `/var/lib/dpkg/status` is on a machine with the image.

    Raises:
        InputError: it is none, or nothing is installed by it.
    """
    try:
        if path.stat().st_size > _LIMIT:
            raise InputError(
                f"{path}: it has more than {_LIMIT} bytes; give the image's /var/lib/dpkg/status"
            )
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: unreadable ({printable(str(error))}); copy the file again") from None
    return parse_status(text, str(path))


def parse_status(text: str, where: str) -> tuple[Installed, ...]:
    """The installed packages of a status file's text.

    Args:
        where: the file's name, for messages.

    Raises:
        InputError: it is none, or nothing is installed by it.
    """
    found: dict[tuple[str, str], Installed] = {}
    for stanza in Deb822.iter_paragraphs(text.splitlines(keepends=True), use_apt_pkg=False):
        if "Package" not in stanza or stanza.get("Status", "install ok installed").split()[-1:] != [
            "installed"
        ]:
            continue
        try:
            package = Installed.model_validate(
                {
                    "name": stanza["Package"],
                    "version": stanza.get("Version", ""),
                    "architecture": stanza.get("Architecture", ""),
                    "relations": {
                        name: " ".join(stanza[name].split()) for name in RELATIONS if name in stanza
                    },
                }
            )
        except ValidationError as error:
            known = tuple(Installed.model_fields)
            raise InputError(
                f"{where}: {printable(stanza['Package'], 80)}: {problem(error, known)}"
            ) from None
        if found.setdefault((package.name, package.architecture), package) != package:
            raise InputError(f"{where}: {package.name} stands twice; copy the file again")
    if not found:
        raise InputError(f"{where}: nothing is installed by it; give the image's /var/lib/dpkg/status")
    return tuple(found[key] for key in sorted(found))
