"""Base images: what a machine runtime comes with, as a typed entry, not as knowledge spread over the code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from dmz.errors import InputError
from dmz.promotion.claim import Architecture, Claim, DebianName, Identifier
from dmz.promotion.entry import APT_PREFIX
from dmz.promotion.wording import problem

_PYTHON: Final = re.compile(r"3\.\d{1,2}")
_GLIBC: Final = re.compile(r"2\.\d{1,2}")
_PATH: Final = re.compile(r"[a-z0-9][a-z0-9.-]*(/[a-z0-9][a-z0-9.-]*)*")
_SUITE: Final = re.compile(r"[a-z][a-z0-9-]{0,55}[a-z0-9]")


class Distribution(StrEnum):
    """Who makes the packages."""

    DEBIAN = "debian"
    UBUNTU = "ubuntu"


_ADVISORIES: Final[Mapping[tuple[Distribution, str], str]] = {
    (Distribution.DEBIAN, "bullseye"): "Debian:11",
    (Distribution.DEBIAN, "bookworm"): "Debian:12",
    (Distribution.DEBIAN, "trixie"): "Debian:13",
    (Distribution.UBUNTU, "focal"): "Ubuntu:20.04:LTS",
    (Distribution.UBUNTU, "jammy"): "Ubuntu:22.04:LTS",
    (Distribution.UBUNTU, "noble"): "Ubuntu:24.04:LTS",
}
"""OSV's name of each release's ecosystem (https://ossf.github.io/osv-schema/#defined-ecosystems)."""

_MACHINE: Final[Mapping[str, str]] = {"amd64": "x86_64", "arm64": "aarch64"}


class RemoteBase(StrEnum):
    """Upstreams that Artifact Registry offers for apt (`RepositoryBase` of its REST reference)."""

    DEBIAN = "DEBIAN"
    UBUNTU = "UBUNTU"
    DEBIAN_SNAPSHOT = "DEBIAN_SNAPSHOT"


def _like(pattern: re.Pattern[str], example: str) -> AfterValidator:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(f"'{value}' does not fit; write for example '{example}'")
        return value

    return AfterValidator(check)


class Suite(Claim):
    """One apt suite, served in outer by a remote repository of its own."""

    name: Annotated[str, _like(_SUITE, "bookworm-security")]
    base: Annotated[RemoteBase, Field(strict=False)]
    path: Annotated[str, _like(_PATH, "debian/dists/bookworm")]
    """Below the base, to the suite's folder."""

    @property
    def repository(self) -> str:
        """The outer repository's id."""
        return f"{APT_PREFIX}{self.name}"


class BaseImage(Claim):
    """What a machine has before a workload is installed."""

    runtime: Identifier
    """The TPU runtime version that selects it."""
    distribution: Annotated[Distribution, Field(strict=False)]
    release: str
    """Code name: `bookworm`, `jammy`."""
    suites: Annotated[tuple[Suite, ...], Field(min_length=1, strict=False)]
    components: Annotated[tuple[Identifier, ...], Field(min_length=1, strict=False)]
    python: Annotated[str, _like(_PYTHON, "3.11")]
    """Major and minor version of `python3`."""
    architecture: Architecture
    glibc: Annotated[str, _like(_GLIBC, "2.36")]
    include: Annotated[tuple[DebianName, ...], Field(strict=False)] = ()
    """Packages that the image has beyond a minimal system; only a sandbox makes images from this."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if (self.distribution, self.release) not in _ADVISORIES:
            known = ", ".join(f"{distribution} {release}" for distribution, release in _ADVISORIES)
            raise ValueError(f"no advisories are known for {self.distribution} {self.release}; use {known}")
        if self.architecture not in _MACHINE:
            raise ValueError(
                f"architecture '{self.architecture}' is not supported; use {' or '.join(_MACHINE)}"
            )
        names = [suite.name for suite in self.suites]
        if len(names) != len(set(names)):
            raise ValueError("a suite stands twice; each has one remote repository, so keep one")
        return self

    @property
    def ecosystem(self) -> str:
        """The advisories that concern its Debian packages: `Debian:12`, `Ubuntu:22.04:LTS`."""
        return _ADVISORIES[self.distribution, self.release]

    @property
    def platform(self) -> str:
        """The target platform as uv's `--python-platform` takes it: `x86_64-manylinux_2_36`."""
        return f"{_MACHINE[self.architecture]}-manylinux_{self.glibc.replace('.', '_')}"


def _ubuntu(suite: str) -> Suite:
    return Suite(name=suite, base=RemoteBase.UBUNTU, path=f"ubuntu/dists/{suite}")


KNOWN: Final = (
    # https://cloud.google.com/tpu/docs/runtimes: the TPU VM base image is Ubuntu 22.04.
    BaseImage(
        runtime="tpu-ubuntu2204-base",
        distribution=Distribution.UBUNTU,
        release="jammy",
        suites=(_ubuntu("jammy"), _ubuntu("jammy-updates"), _ubuntu("jammy-security")),
        components=("main", "restricted", "universe", "multiverse"),
        python="3.10",
        architecture="amd64",
        glibc="2.35",
    ),
)
"""Images that Google offers, as far as they are certain."""


def base_images(configured: Iterable[Mapping[str, Any]] = ()) -> dict[str, BaseImage]:
    """All base images by runtime: the known ones and those that the configuration describes.

    Args:
        configured: the objects of `dmz:baseImages`.

    Raises:
        InputError: one is not described well, or describes a runtime that is known already.
    """
    found = {image.runtime: image for image in KNOWN}
    for number, fields in enumerate(configured):
        where = f"dmz:baseImages[{number}]"
        try:
            image = BaseImage.model_validate(fields)
        except ValidationError as error:
            raise InputError(f"{where}: {problem(error, tuple(BaseImage.model_fields))}") from None
        if image.runtime in found:
            raise InputError(
                f"{where}: the runtime '{image.runtime}' is described already; give another name"
            )
        found[image.runtime] = image
    return found


def base_image(runtime: str, images: Mapping[str, BaseImage]) -> BaseImage:
    """The base image of a runtime.

    Raises:
        InputError: nobody described it.
    """
    if runtime not in images:
        raise InputError(
            f"base image '{runtime}' is not known (there are {', '.join(sorted(images))}); "
            "correct the workload's base-image or describe it under dmz:baseImages"
        )
    return images[runtime]
