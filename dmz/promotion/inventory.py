"""The inventory: what a machine with internet says the workload needs. A claim, from foreign code."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from packaging.requirements import Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version
from pydantic import Field, model_validator

from dmz.errors import InputError
from dmz.promotion.base_image import BaseImage
from dmz.promotion.claim import (
    Architecture,
    BaseFacts,
    Claim,
    DebianName,
    DebianVersion,
    DistributionName,
    Identifier,
    Moment,
    PlainName,
    PythonVersion,
    Schema,
    Sha256,
    Text,
    read,
)
from dmz.promotion.installed import Installed, digest
from dmz.promotion.probes import Probe
from dmz.promotion.workload import Workload, workload_digest


class Deb(Claim):
    """A Debian package that was installed on top of the base image."""

    name: DebianName
    version: DebianVersion
    architecture: Architecture
    source: DebianName
    source_version: DebianVersion
    requested: bool
    """The workload names it; otherwise another package needs it."""


class Wheel(Claim):
    """A Python distribution that was installed."""

    name: DistributionName
    version: PythonVersion
    filename: PlainName
    requested: bool
    required_by: tuple[DistributionName, ...]
    built: bool
    """Built from a source distribution, because upstream has no wheel that fits."""
    sha256: Sha256 | Literal[""]
    """What the machine says; screening takes the repository's, and refuses where they differ."""
    sdist: Sha256 | Literal[""] = ""
    """SHA-256 of the sdist that it was built from, by which its provenance is found; empty for others."""

    @model_validator(mode="after")
    def _is_wheel(self) -> Self:
        try:
            name, version, _, _ = parse_wheel_filename(self.filename)
        except InvalidWheelFilename:
            raise ValueError(f"'{self.filename}' is no wheel") from None
        if name != self.name or version != Version(self.version):
            raise ValueError(f"'{self.filename}' is not {self.name} {self.version}")
        if self.built != bool(self.sdist):
            raise ValueError(f"'{self.filename}' is built from an sdist or not; give both or neither")
        return self


class File(Claim):
    """A file of the workload, copied to the outer bucket."""

    name: PlainName
    sha256: Sha256
    size: Annotated[int, Field(ge=0)]
    """Bytes."""


def _unique(what: str, keys: Iterable[Hashable]) -> None:
    seen: set[Hashable] = set()
    for key in keys:
        if key in seen:
            raise ValueError(f"the {what} {key!r} stands twice")
        seen.add(key)


class ImageFacts(BaseFacts):
    """The base image of an inventory; one that was made without a machine may lack its packages."""

    dpkg_digest: Sha256 | Literal[""]


class Inventory(Claim):
    """A complete inventory."""

    format: Schema
    workload: Identifier
    workload_digest: Sha256
    machine: Identifier
    created: Moment
    base_image: ImageFacts
    apt: tuple[Deb, ...]
    pypi: tuple[Wheel, ...]
    files: tuple[File, ...]
    probes: tuple[Probe, ...]
    base_packages: tuple[Installed, ...] = ()
    """What the image comes with, as its dpkg digest pins it; empty where nobody knows."""
    open: tuple[Text, ...] = ()
    """What only an installation could show, a sentence each: nothing was installed for this inventory. Empty
    for that of a machine."""

    @model_validator(mode="after")
    def _no_duplicates(self) -> Self:
        _unique("Debian package", (f"{deb.name}:{deb.architecture}" for deb in self.apt))
        _unique("distribution", (wheel.name for wheel in self.pypi))
        _unique("file name", (wheel.filename for wheel in self.pypi))
        _unique("file", (file.name for file in self.files))
        _unique("base package", (f"{each.name}:{each.architecture}" for each in self.base_packages))
        if self.base_packages and digest(self.base_packages) != self.base_image.dpkg_digest:
            raise ValueError("its base packages are others than its dpkg digest says")
        return self


class _Failed(Claim):
    format: Schema
    workload: Identifier
    workload_digest: Sha256
    machine: Identifier
    created: Moment
    error: Annotated[Text, Field(min_length=1)]
    base_image: BaseFacts | None = None
    base_packages: object = None
    # What was found before the failure is of no use: it is neither complete nor checked.
    apt: object = None
    pypi: object = None
    files: object = None
    probes: object = None


@dataclass(frozen=True)
class Failure:
    """The machine could not install the workload."""

    workload: str
    workload_digest: str
    machine: str
    created: str
    """UTC, ISO 8601."""
    error: str
    """One line, in the machine's words."""


def parse(data: bytes, where: str) -> Inventory | Failure:
    """Read an inventory object.

    Args:
        where: the object's name, for messages.

    Raises:
        InputError: the bytes are no inventory, whatever else they are.
    """
    if not _says_error(data):
        return read(Inventory, data, where)
    failed = read(_Failed, data, where)
    return Failure(failed.workload, failed.workload_digest, failed.machine, failed.created, failed.error)


def check(inventory: Inventory, workload: Workload, image: BaseImage, where: str) -> None:
    """Whether an inventory answers what was asked: this workload, on this base image, and all of it.

    Debian packages that the workload names may be missing: the image may have them already, or one that
    provides them, which apt itself is asked before there is a release (`dmz.workflow.closure`).

    Args:
        where: what holds the inventory, for messages.

    Raises:
        InputError: it is about something else, or lacks what the workload names.
    """
    facts = inventory.base_image
    python = ".".join(facts.python.split(".")[:2])
    for what, found, wanted in (
        ("workload", inventory.workload, workload.name),
        ("workload digest", inventory.workload_digest, workload_digest(workload)),
        ("base image", facts.runtime, image.runtime),
        ("Python", python, image.python),
        ("architecture", facts.architecture, image.architecture),
        ("glibc", facts.glibc, image.glibc),
    ):
        if found != wanted:
            raise InputError(
                f"{where}: its {what} is '{found}', the checkout's is '{wanted}'; "
                "discover anew, or correct the workload or dmz:baseImages"
            )
    if not facts.dpkg_digest:
        raise InputError(
            f"{where}: it does not say which packages {facts.runtime} comes with; copy the image's "
            f"/var/lib/dpkg/status to base-images/{facts.runtime}.status, and discover anew"
        )
    asked = (Requirement(text) for text in workload.python)
    names = {canonicalize_name(requirement.name) for requirement in asked if not requirement.marker}
    if missing := sorted(names - {wheel.name for wheel in inventory.pypi}):
        raise InputError(f"{where}: it lacks {', '.join(missing)}, which the workload names; discover anew")
    files = {(file.name, file.sha256) for file in inventory.files}
    if files != {(file.name, file.sha256) for file in workload.files}:
        raise InputError(f"{where}: its files are not those of the workload; discover anew")


def _says_error(data: bytes) -> bool:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and "error" in document
