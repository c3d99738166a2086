"""The closure of a release: with it and the base image alone, the workload can be installed.

Proved before anything is copied, by the resolvers themselves. uv resolves the workload's requirements, for
the image's Python and platform, on an index that has exactly the release's wheels; apt plans the workload's
packages, on a machine that has exactly the image's packages, from an index that has exactly the release's
debs. Each has to come to the release and nothing else.

What an installation could still meet is not proved here: a wheel's code, a maintainer script, a full disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from dmz.artifact import Artifact, Kind
from dmz.errors import RefusedError
from dmz.promotion.base_image import BaseImage
from dmz.promotion.installed import Installed, digest
from dmz.promotion.release import Release
from dmz.promotion.workload import Workload
from dmz.registries.concurrency import together
from dmz.registries.simple import IndexFile
from dmz.resolution.apt import AptUnsatisfiableError, available, simulate
from dmz.resolution.metadata import requires
from dmz.resolution.shelf import page_of
from dmz.resolution.uv import UnsatisfiableError, Uv
from dmz.resolution.wheels import choose_wheel, environment, supported_tags
from dmz.workflow.claims import Say
from dmz.workflow.outer import Outer

_MEND = "No release was written; run dmz discover, then dmz screen"


@dataclass(frozen=True)
class Closure:
    """What was proved of a release, and what was not."""

    proved: tuple[str, ...]
    """A sentence each."""
    open: tuple[str, ...]
    """What could not be proved here, with the reason, a sentence each."""


@dataclass(frozen=True)
class ReleaseShelf:
    """An index that has a release's wheels and nothing else."""

    wheels: Mapping[str, Artifact]
    """By distribution."""
    metadata_of: Mapping[str, bytes]
    """Core metadata by distribution."""

    async def page(self, name: str) -> tuple[str, str]:
        """One file, or nothing."""
        wheel = self.wheels.get(name)
        return page_of([_file(wheel)]) if wheel else ("", "")

    async def metadata(self, name: str, filename: str) -> bytes | None:
        """Of the file on the page."""
        wheel = self.wheels.get(name)
        return self.metadata_of[name] if wheel and wheel.filename == filename else None


async def prove(
    facts: Outer,
    release: Release,
    image: BaseImage,
    workload: Workload,
    base: Sequence[Installed],
    say: Say,
) -> Closure:
    """Prove that the workload can be installed from a release alone.

    Args:
        facts: what the outer repositories say of the release's files.
        base: the packages that the image comes with; empty where nobody knows, which leaves apt's part open.

    Raises:
        RefusedError: it cannot; says what lacks what.
        TransferError: a repository did not answer.
    """
    say("proving that the release installs with nothing but itself and the base image")
    wheels = [artifact for artifact in release.artifacts if artifact.kind is Kind.PYPI]
    debs = [artifact for artifact in release.artifacts if artifact.kind is Kind.APT]
    metadata = await together((facts.metadata(wheel) for wheel in wheels), at_once=16)
    await prove_python(wheels, metadata, image, workload)
    proved = [f"uv installs {len(wheels)} distributions for {image.runtime} from the release alone"]
    if not debs and not workload.apt:
        return Closure(tuple(proved), ())
    if base and digest(base) != release.dpkg_digest:
        raise RefusedError(
            "the base image's packages are others than the release was made for; start the outer machine "
            f"again. {_MEND}"
        )
    if not base:
        reason = "nobody said what the base image comes with: start the outer machine again"
    elif not available():
        reason = "this machine has no apt-get: screen on Debian or Ubuntu"
    else:
        await prove_debian(debs, await facts.stanzas(debs), image, workload, base)
        proved.append(f"apt installs {len(debs)} Debian packages on {image.runtime} from the release alone")
        return Closure(tuple(proved), ())
    return Closure(
        tuple(proved), (f"NOT PROVED that apt can install the {len(debs)} Debian packages: {reason}",)
    )


# ---- Python


async def prove_python(
    wheels: Sequence[Artifact], metadata: Sequence[bytes], image: BaseImage, workload: Workload
) -> None:
    """That uv comes to exactly these wheels, when there are no others.

    Args:
        metadata: core metadata of each wheel.

    Raises:
        RefusedError: it does not.
    """
    shelf = ReleaseShelf(
        {wheel.name: wheel for wheel in wheels},
        {wheel.name: data for wheel, data in zip(wheels, metadata, strict=True)},
    )
    try:
        async with Uv.session(shelf, image, once=True) as uv:
            pins = await uv.compile(workload.python, overrides=workload.python_overrides)
    except UnsatisfiableError as error:
        said = lacking(shelf, image, workload)
        raise RefusedError(f"the release does not install: {said or error}. {_MEND}") from None
    needed = {pin.name: pin.version for pin in pins}
    if extra := sorted(name for name in shelf.wheels if name not in needed):
        raise RefusedError(
            f"the release has {', '.join(extra)}, which nothing in the workload needs. {_MEND}"
        )


def lacking(shelf: ReleaseShelf, image: BaseImage, workload: Workload) -> str:
    """The shortest true reason why a release's wheels do not resolve; empty if it is none of the plain ones.

    uv has said that they don't; this only finds words.
    """
    tags, where = supported_tags(image), environment(image)
    for wheel in shelf.wheels.values():
        if choose_wheel([_file(wheel)], wheel.version, tags) is None:
            return (
                f"{wheel.filename} does not fit {image.runtime} (Python {image.python}, glibc {image.glibc})"
            )
    overridden = {canonicalize_name(Requirement(text).name) for text in workload.python_overrides}
    asked = [("the workload", text) for text in (*workload.python, *workload.python_overrides)]
    for name, wheel in shelf.wheels.items():
        asked += [(f"{name} {wheel.version}", text) for text in requires(shelf.metadata_of[name])]
    for who, text in asked:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        name = canonicalize_name(requirement.name)
        if requirement.marker and not requirement.marker.evaluate({**where, "extra": ""}):
            continue
        if who != "the workload" and name in overridden:
            continue
        found = shelf.wheels.get(name)
        if found is None and who != "the workload":
            return f"{who} needs {requirement.name}{requirement.specifier}, which the release lacks"
        if found is None and text in workload.python:
            return f"the workload needs {text}, which the release lacks"
        if found and not requirement.specifier.contains(found.version, prereleases=True):
            return f"{who} needs {requirement.name}{requirement.specifier}, the release has {found.version}"
    return ""


def _file(wheel: Artifact) -> IndexFile:
    return IndexFile(wheel.filename, wheel.sha256, wheel.size, None, False)


# ---- Debian


async def prove_debian(
    debs: Sequence[Artifact],
    stanzas: Sequence[bytes],
    image: BaseImage,
    workload: Workload,
    base: Sequence[Installed],
) -> None:
    """That apt comes to exactly these debs, when there are no others.

    Args:
        stanzas: of each deb, as its suite's index has it.

    Raises:
        RefusedError: it does not.
    """
    try:
        planned = await simulate(workload.apt, stanzas, base, image.architecture)
    except AptUnsatisfiableError as error:
        raise RefusedError(
            f"the release's Debian packages do not install on {image.runtime}: {error}, which neither the "
            f"release nor the base image has. {_MEND}"
        ) from None
    found = {(each.name, each.architecture, each.version) for each in planned}
    released = {(deb.name, deb.architecture, deb.version) for deb in debs}
    if extra := sorted(released - found):
        names = ", ".join(f"{name} {version}" for name, _, version in extra)
        raise RefusedError(f"the release has {names}, which nothing in the workload needs. {_MEND}")
