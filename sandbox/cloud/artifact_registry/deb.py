"""Binary Debian packages: what their control file says, and the stanza that an index has of them."""

from __future__ import annotations

import base64
import functools
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from debian.arfile import ArError
from debian.deb822 import Deb822
from debian.debfile import DebError, DebFile

from sandbox.cloud.artifact_registry.catalog import Entry
from sandbox.cloud.artifact_registry.repository import Repository
from sandbox.cloud.errors import invalid
from sandbox.cloud.storage.blobs import Digests

# https://www.debian.org/doc/debian-policy/ch-controlfields.html
_PACKAGE: Final = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_VERSION: Final = re.compile(r"(?:\d+:)?[0-9][A-Za-z0-9.+~:-]*")
_ARCHITECTURE: Final = re.compile(r"[a-z0-9][a-z0-9-]*")
_GIVEN_BY_INDEX: Final = {"filename", "size", "md5sum", "sha1", "sha256", "sha512"}


@dataclass(frozen=True)
class Control:
    """A package's control file, checked."""

    package: str
    version: str
    architecture: str
    text: str
    """As the package has it, without fields that only an index has."""


def read_control(path: Path) -> Control:
    """Read the control file of the package at `path`.

    Raises:
        ApiError: it is no binary package, or its name, version or architecture is not of Debian's form.
    """
    try:
        with DebFile(filename=str(path)) as package:
            content = package.control.get_content("control")
            package.data.tgz().close()  # both members have to be there and readable
    except (ArError, DebError, OSError, EOFError, KeyError, ValueError) as error:
        raise invalid(f"Not a Debian package: {error}") from error
    text = content if isinstance(content, str) else bytes(content or b"").decode(errors="replace")
    fields = Deb822(text)
    package_name, version = str(fields.get("Package", "")), str(fields.get("Version", ""))
    architecture = str(fields.get("Architecture", ""))
    for value, form, name in (
        (package_name, _PACKAGE, "Package"),
        (version, _VERSION, "Version"),
        (architecture, _ARCHITECTURE, "Architecture"),
    ):
        if not form.fullmatch(value):
            raise invalid(f"Not a Debian package: its control file has {name} '{value}'")
    kept: list[str] = []
    dropping = False
    for line in text.splitlines():
        if not line.strip():
            continue
        if not line[0].isspace():
            dropping = line.partition(":")[0].lower() in _GIVEN_BY_INDEX
        if not dropping:
            kept.append(line)
    return Control(package_name, version, architecture, "\n".join(kept) + "\n")


def entry(repository: Repository, control: Control, digests: Digests) -> Entry:
    """The package as a file of the repository.

    Its id has the form that a public script got from `files.list`: `pool/NAME_VERSION_ARCHITECTURE_MD5.deb`
    (the version without its epoch, as Debian names files).
    """
    version = control.version.partition(":")[2] if ":" in control.version else control.version
    filename = f"{control.package}_{version}_{control.architecture}_{digests.md5}.deb"
    details = {"architecture": control.architecture, "control": control.text}
    return Entry(f"pool/{filename}", control.package, control.version, digests, details)


def stanza(repository: Repository, found: Entry) -> str:
    """What `Packages` says of a package; its address has the repository's id, as public ones show."""
    digests = found.digests
    place = f"pool/{repository.id}/{found.filename}"
    return (
        f"{found.details['control']}Filename: {place}\nSize: {digests.size}\n"
        f"MD5sum: {digests.md5}\nSHA256: {digests.sha256}\n"
    )


def artifact(repository: Repository, control: Control) -> dict[str, Any]:
    """The package as the `AptArtifact` of an operation's response."""
    return {
        "name": f"{repository.name}/aptArtifacts/{control.package}:{control.version}:{control.architecture}",
        "packageName": control.package,
        "packageType": "BINARY",
        "architecture": control.architecture,
        "component": "main",
        "controlFile": base64.b64encode(control.text.encode()).decode(),
    }


@functools.cache
def host_architecture() -> str:
    """This machine's Debian architecture, which is that of the sandbox's machines."""
    return subprocess.run(
        ["dpkg", "--print-architecture"], capture_output=True, check=True, text=True
    ).stdout.strip()
