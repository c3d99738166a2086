"""An entry of a release: an artifact and what its repository says of it besides its bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from packaging.utils import (
    InvalidName,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version

from dmz.artifact import Artifact, Kind
from dmz.errors import InputError
from dmz.promotion import versions
from dmz.promotion.wording import printable

FILES: Final = "files"
"""The origin of every workload file: the outer bucket."""
APT_PREFIX: Final = "apt-"
"""An apt repository's id is this and the suite's name."""

_DEBIAN_NAME: Final = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_ARCHITECTURE: Final = re.compile(r"[a-z0-9][a-z0-9-]*")
_ORIGIN: Final = re.compile(r"[a-z0-9][a-z0-9-]*")
_FILENAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+~!%@=,-]*")
_REASON: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+:~-]*")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_PIN: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*==[A-Za-z0-9.!+_]+")


@dataclass(frozen=True)
class Build:
    """Where a wheel comes from that no index offers: one sdist, built once in one environment."""

    sdist: str
    """File name of the source distribution."""
    sha256: str
    """Of the sdist, as upstream has it."""
    environment: str
    """SHA-256 over everything that the build could see: base image, Python, build requirements
    (`dmz.promotion.build.environment`)."""
    requires: tuple[str, ...] = ()
    """The build requirements as `NAME==VERSION`, sorted: foreign code that had its hand on the wheel."""


@dataclass(frozen=True)
class Entry:
    """One artifact of a release, checked against the rules of its packaging.

    Raises:
        InputError: a name, version or file name that the packaging does not know, or that would read as
            something else in a lock file or in a line of the preview.
    """

    artifact: Artifact
    source: str = ""
    """Debian source package, which advisories name; empty for the others."""
    source_version: str = ""
    uploaded: datetime | None = None
    """When the upstream index got the file (PEP 700); None: not known. Private indexes drop it."""
    built: Build | None = None
    """How a wheel was made that upstream does not have; None: it is upstream's own file."""

    def __post_init__(self) -> None:
        artifact = self.artifact
        problem = _CHECKS[artifact.kind](self)
        if not problem and not _ORIGIN.fullmatch(artifact.origin):
            problem = f"'{artifact.origin}' is no repository id; name the outer repository that serves it"
        if not problem and not _FILENAME.fullmatch(artifact.filename):
            problem = f"'{artifact.filename}' is no plain file name; rename it"
        if not problem:
            bad = [reason for reason in artifact.why if not _REASON.fullmatch(reason)]
            if bad:
                problem = f"'{bad[0]}' is no reason; give names of artifacts or 'requested'"
        if not problem and self.uploaded and self.uploaded.utcoffset() is None:
            problem = "the upload time has no zone; give it in UTC"
        if not problem and self.built:
            problem = _build(self, self.built)
        if problem:
            raise InputError(printable(f"{artifact.key}: {problem}"))


def _wheel(entry: Entry) -> str:
    artifact = entry.artifact
    if entry.source or entry.source_version or artifact.architecture:
        return "a distribution has no source package and no architecture; leave them out"
    try:
        if canonicalize_name(artifact.name, validate=True) != artifact.name:
            return f"the name is not normalised (PEP 503); write '{canonicalize_name(artifact.name)}'"
        name, version, _, _ = parse_wheel_filename(artifact.filename)
    except InvalidName:
        return "no distribution name (PEP 503); correct it"
    except ValueError:  # too many digits raise one of their own
        return f"'{artifact.filename}' is no wheel; build one from the source distribution first"
    if not versions.is_pep440(artifact.version):
        return f"'{artifact.version}' is no version (PEP 440); correct it"
    if name != artifact.name or version != versions.parse(versions.PYPI, artifact.version):
        return f"'{artifact.filename}' is another distribution or version than {artifact.version}"
    return ""


def _build(entry: Entry, build: Build) -> str:
    if entry.artifact.kind is not Kind.PYPI or entry.uploaded:
        return "only a wheel is built from an sdist, and then upstream never got it; leave that out"
    for digest in (build.sha256, build.environment):
        if not _SHA256.fullmatch(digest):
            return f"'{digest}' is no SHA-256; give 64 hexadecimal digits"
    try:
        name, version = parse_sdist_filename(build.sdist)
    except ValueError:
        return f"'{build.sdist}' is no source distribution; name the file that the wheel was built from"
    if not _FILENAME.fullmatch(build.sdist):
        return f"'{build.sdist}' is no plain file name; rename it"
    if name != entry.artifact.name or version != Version(entry.artifact.version):
        return f"'{build.sdist}' is another distribution or version than {entry.artifact.version}"
    bad = [pin for pin in build.requires if not _PIN.fullmatch(pin)]
    if bad or list(build.requires) != sorted(set(build.requires)):
        return f"'{''.join(bad[:1])}' is no build requirement; give NAME==VERSION, each once, sorted"
    return ""


def _deb(entry: Entry) -> str:
    artifact = entry.artifact
    for name in (artifact.name, entry.source):
        if not _DEBIAN_NAME.fullmatch(name):
            return f"'{name}' is no Debian package name; correct it"
    for version in (artifact.version, entry.source_version):
        if not versions.is_dpkg(version):
            return f"'{version}' is no Debian version; correct it"
    if not _ARCHITECTURE.fullmatch(artifact.architecture):
        return f"'{artifact.architecture}' is no architecture; correct it"
    if not artifact.filename.endswith(".deb"):
        return f"'{artifact.filename}' is no deb; give the file's base name"
    if not artifact.origin.removeprefix(APT_PREFIX) or not artifact.origin.startswith(APT_PREFIX):
        return f"'{artifact.origin}' is no apt repository; its id is '{APT_PREFIX}' and the suite"
    return "an upload time is known for wheels only; leave it out" if entry.uploaded else ""


def _file(entry: Entry) -> str:
    artifact = entry.artifact
    if entry.source or entry.source_version or artifact.architecture or entry.uploaded:
        return "a file has no source package, architecture or upload time; leave them out"
    if artifact.version != artifact.sha256 or artifact.name != artifact.filename:
        return "a file's version is its SHA-256 and its name its file name; make them the same"
    return f"'{artifact.origin}' is not '{FILES}'" if artifact.origin != FILES else ""


_CHECKS: Final = {Kind.PYPI: _wheel, Kind.APT: _deb, Kind.FILE: _file}
