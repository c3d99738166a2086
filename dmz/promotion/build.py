"""The provenance of a wheel that was built outside: an in-toto Statement with SLSA's provenance predicate.

The outer machine writes it beside the wheel, in a bucket where it can create and never replace. It is a claim
like the inventory: what it says of the sdist and of the build requirements is compared with the upstream, and
what it says of the wheel with the bytes. That these bytes came out of that sdist is the machine's word: the
code of the sdist ran where it could reach nothing but its own folder.

Formats: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md,
https://slsa.dev/spec/v1.0/provenance
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Annotated, Literal, Self

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)
from pydantic import Field, model_validator

from dmz.promotion.claim import (
    Architecture,
    Claim,
    Identifier,
    Moment,
    PlainName,
    PythonVersion,
    Sha256,
    read,
)
from dmz.promotion.entry import Build


class _Digest(Claim):
    sha256: Sha256


class File(Claim):
    """One file, by name and content (in-toto's ResourceDescriptor)."""

    name: PlainName
    digest: _Digest


class _Sdist(Claim):
    sdist: PlainName


class _Base(Claim):
    runtime: Identifier
    dpkg_digest: Annotated[Sha256, Field(alias="dpkgDigest")]
    python: PythonVersion
    architecture: Architecture


class _Definition(Claim):
    build_type: Annotated[Literal["urn:package-dmz:wheel-from-sdist:1"], Field(alias="buildType")]
    """The name of this way of building: PEP 517, without network, identity or any file but its inputs."""
    external: Annotated[_Sdist, Field(alias="externalParameters")]
    internal: Annotated[_Base, Field(alias="internalParameters")]
    dependencies: Annotated[tuple[File, ...], Field(alias="resolvedDependencies")]


class _Builder(Claim):
    id: Annotated[str, Field(max_length=200, pattern=r"^urn:package-dmz:machine:[a-z0-9-]+$")]


class _Times(Claim):
    finished: Annotated[Moment, Field(alias="finishedOn")]


class _Details(Claim):
    builder: _Builder
    metadata: _Times


class _Predicate(Claim):
    definition: Annotated[_Definition, Field(alias="buildDefinition")]
    details: Annotated[_Details, Field(alias="runDetails")]


class Provenance(Claim):
    """Which wheel came out of which sdist, with which build requirements, on which base image."""

    form: Annotated[Literal["https://in-toto.io/Statement/v1"], Field(alias="_type")]
    subject: Annotated[tuple[File, ...], Field(min_length=1, max_length=1)]
    kind: Annotated[Literal["https://slsa.dev/provenance/v1"], Field(alias="predicateType")]
    predicate: _Predicate

    @property
    def wheel(self) -> File:
        """What came out."""
        return self.subject[0]

    @property
    def sdist(self) -> File:
        """What it was made from."""
        name = self.predicate.definition.external.sdist
        return next(file for file in self.predicate.definition.dependencies if file.name == name)

    @property
    def requires(self) -> tuple[File, ...]:
        """The wheels that were there to build with."""
        return tuple(file for file in self.predicate.definition.dependencies if file.name != self.sdist.name)

    @property
    def dpkg_digest(self) -> str:
        """The base image's."""
        return self.predicate.definition.internal.dpkg_digest

    @property
    def build(self) -> Build:
        """What a lock says of it."""
        return Build(
            self.sdist.name,
            self.sdist.digest.sha256,
            environment(
                self.dpkg_digest,
                self.predicate.definition.internal.python,
                ((file.name, file.digest.sha256) for file in self.requires),
            ),
            tuple(sorted("{}=={}".format(*parse_wheel_filename(file.name)[:2]) for file in self.requires)),
        )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        names = [file.name for file in self.predicate.definition.dependencies]
        if len(set(names)) != len(names) or self.predicate.definition.external.sdist not in names:
            raise ValueError("what the wheel was built from is not listed, or stands twice")
        try:
            made, origin = parse_wheel_filename(self.wheel.name), parse_sdist_filename(self.sdist.name)
            for file in self.requires:
                parse_wheel_filename(file.name)
        except (InvalidWheelFilename, InvalidSdistFilename) as error:
            raise ValueError(f"{error}") from None
        if made[:2] != origin:
            raise ValueError(f"'{self.wheel.name}' cannot come from '{self.sdist.name}'")
        return self


def parse(data: bytes, where: str) -> Provenance:
    """Read the provenance of a wheel.

    Args:
        where: the object's name, for messages.

    Raises:
        InputError: the bytes are no such statement, whatever else they are.
    """
    return read(Provenance, data, where)


def environment(dpkg_digest: str, python: str, requires: Iterable[tuple[str, str]]) -> str:
    """What a build could see, as one SHA-256.

    Args:
        dpkg_digest: of the base image.
        python: its full version.
        requires: file name and SHA-256 of every build requirement.
    """
    lines = [f"dpkg {dpkg_digest}\n", f"python {python}\n"]
    lines += sorted(f"{sha256}  {name}\n" for name, sha256 in requires)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def folder(sdist: str, dpkg_digest: str) -> str:
    """Where in the builds bucket the build of an sdist (its SHA-256) on a base image is; ends in a slash."""
    return f"builds/{sdist}/{dpkg_digest}/"


def provenance_object(sdist: str, dpkg_digest: str) -> str:
    """The object that makes a build one: it is written last."""
    return f"{folder(sdist, dpkg_digest)}provenance.json"


def wheel_object(sdist: str, dpkg_digest: str, wheel: File) -> str:
    """The object that has the wheel: by its content, so that a second machine's attempt is another one."""
    return f"{folder(sdist, dpkg_digest)}{wheel.digest.sha256}/{wheel.name}"
