"""The report of the sealed machine: what it installed, what the check said, what the probes saw. A claim."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, model_validator

from dmz.artifact import Kind
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
from dmz.promotion.probes import Probe
from dmz.promotion.verification import Held
from dmz.promotion.wording import printable


def _lines(text: str) -> str:
    return "\n".join(printable(line, 2000) for line in text.splitlines())


class InstalledDeb(Claim):
    """A deb of the release that dpkg has."""

    name: DebianName
    version: DebianVersion
    architecture: Architecture
    sha256: Sha256


class InstalledWheel(Claim):
    """A wheel of the release that the virtual environment has."""

    name: DistributionName
    version: PythonVersion
    filename: PlainName
    sha256: Sha256


class InstalledFile(Claim):
    """A file of the release."""

    name: PlainName
    sha256: Sha256


class Installed(Claim):
    """What the machine compared with the release and installed."""

    apt: tuple[InstalledDeb, ...]
    pypi: tuple[InstalledWheel, ...]
    files: tuple[InstalledFile, ...]


class Check(Claim):
    """How the workload's check command ended."""

    exit: int
    output: Annotated[str, AfterValidator(_lines)]
    """The end of what it printed, without control characters."""
    sha256: Sha256 | None = None
    """Of the command's text: which check it was."""


class Report(Claim):
    """A report, complete or failed."""

    format: Schema
    workload: Identifier
    release: Sha256
    """The digest of the release that it installed."""
    machine: Identifier
    created: Moment
    base_image: BaseFacts
    installed: Installed
    check: Check | None
    """None when the installation failed before the check."""
    probes: tuple[Probe, ...]
    error: Text | None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.error is None and self.check is None:
            raise ValueError("it has neither a check nor an error")
        return self

    @property
    def passed(self) -> bool:
        """Whether the installation and the check ended well."""
        return self.error is None and self.check is not None and self.check.exit == 0

    @property
    def held(self) -> tuple[Held, ...]:
        """What is installed, to compare with the release."""
        return (
            *(
                Held(Kind.APT, deb.name, deb.architecture, deb.version, deb.sha256)
                for deb in self.installed.apt
            ),
            *(Held(Kind.PYPI, wheel.name, "", wheel.version, wheel.sha256) for wheel in self.installed.pypi),
            *(Held(Kind.FILE, file.name, "", file.sha256, file.sha256) for file in self.installed.files),
        )


def parse(data: bytes, where: str) -> Report:
    """Read a report object.

    Raises:
        InputError: the bytes are no report, whatever else they are.
    """
    return read(Report, data, where)
