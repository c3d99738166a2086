"""Discovery without a machine: what the workload would need, resolved against the outer repositories.

uv and apt decide as they do on the machine, for its base image and Python. The result has the form of a
machine's inventory, is a claim like one, and says what only an installation could show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from packaging.version import Version

from dmz.errors import InputError, RefusedError
from dmz.promotion.base_image import BaseImage
from dmz.promotion.installed import Installed, digest
from dmz.promotion.inventory import Deb, File, ImageFacts, Inventory, Wheel
from dmz.promotion.workload import Workload, workload_digest
from dmz.registries.files import BucketRegistry
from dmz.registries.google import Google, connect
from dmz.resolution.apt import AptUnsatisfiableError
from dmz.resolution.debian import DebianResolution
from dmz.resolution.uv import REQUESTED
from dmz.workflow.base_packages import base_packages, status_file
from dmz.workflow.claims import Say
from dmz.workflow.estate import Estate
from dmz.workflow.repositories import OuterRepositories

MACHINE = "resolver"
"""What an inventory calls its machine when there was none."""


async def foresee(estate: Estate, say: Say) -> Inventory:
    """The inventory of the workload as it is in the checkout, without any installation.

    The outer stack has to be up; its machine is not asked.

    Raises:
        UnsatisfiableError: no versions fit together.
        RefusedError: apt cannot install the Debian packages, or would change the base image for them.
        InputError: the workload names Debian packages, and nobody knows what the base image comes with.
        DmzError: a repository did not answer, or this machine has no apt.
    """
    outputs, image = estate.outer_outputs(), estate.base_image
    async with connect(outputs["location"]) as google:
        base = await base_packages(google, outputs, estate.folder, image)
        if estate.workload.apt and not base:
            raise InputError(
                f"nobody knows what {image.runtime} comes with, so what apt would add cannot be told; copy "
                f"the image's /var/lib/dpkg/status to {status_file(estate.folder, image.runtime)}"
            )
        return await resolved(google, outputs, image, estate.workload, base, say)


async def resolved(
    google: Google,
    outputs: Mapping[str, Any],
    image: BaseImage,
    workload: Workload,
    base: Sequence[Installed],
    say: Say,
) -> Inventory:
    """The same for given outputs of an outer stack and packages of a base image."""
    offered = OuterRepositories(google, outputs, image)
    say(f"resolving {len(workload.python)} requirements for Python {image.python}")
    wheels, unbuilt = await _wheels(offered, workload)
    debs: tuple[Deb, ...] = ()
    if workload.apt:
        say(f"planning {len(workload.apt)} Debian packages")
        debs = await _debs(offered, workload, base)
    files, absent = await _files(offered.files, workload)
    return Inventory.model_validate(
        {
            "schema": 1,
            "workload": workload.name,
            "workload_digest": workload_digest(workload),
            "machine": MACHINE,
            "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "base_image": ImageFacts(
                runtime=image.runtime,
                dpkg_digest=digest(base) if base else "",
                python=image.python,
                architecture=image.architecture,
                glibc=image.glibc,
            ),
            "apt": debs,
            "pypi": wheels,
            "files": files,
            "probes": (),
            "base_packages": tuple(base),
            "open": (*_open(image, debs, wheels, bool(base)), *unbuilt, *absent),
        }
    )


def _open(image: BaseImage, debs: Sequence[Deb], wheels: Sequence[Wheel], base: bool) -> list[str]:
    """What only an installation could show, whatever the workload."""
    native = sum(not wheel.filename.endswith("-none-any.whl") for wheel in wheels)
    said = ["the workload's check: it was not run", "the ways out of the network: none was tried"]
    if debs:
        said.append(f"the maintainer scripts of {len(debs)} Debian packages: none was run")
    if native:
        said.append(
            f"the system libraries that the native code of {native} wheels looks for: no wheel was loaded"
        )
    if not base:
        said.append(
            f"the packages that {image.runtime} comes with: nobody said, so that its dpkg digest is left "
            f"out; screening needs base-images/{image.runtime}.status, its /var/lib/dpkg/status"
        )
    return said


async def _wheels(offered: OuterRepositories, workload: Workload) -> tuple[tuple[Wheel, ...], list[str]]:
    if not workload.python:
        return (), []
    async with offered.resolution(once=True) as session:
        pins = await session.pins(workload.python, overrides=workload.python_overrides)
        files = await session.wheels(pins)
        newer = await session.newer_sdists(pins)
    found = tuple(
        Wheel(
            name=pin.name,
            version=str(Version(pin.version)),
            filename=file.filename,
            requested=REQUESTED in pin.why,
            required_by=tuple(why for why in pin.why if why != REQUESTED),
            built=False,
            sha256=file.sha256,
        )
        for pin, file in zip(pins, files, strict=True)
    )
    told = [
        f"{name} {version}: it has no wheel that fits, so a machine may build it from its sdist; resolved is "
        f"{next(pin.version for pin in pins if pin.name == name)}, which has one"
        for name, version in newer
    ]
    return found, told


async def _debs(offered: OuterRepositories, workload: Workload, base: Sequence[Installed]) -> tuple[Deb, ...]:
    there, image = {package.name for package in base}, offered.image
    # As on the machine: what the image has already is left as it is.
    names = [name for name in workload.apt if name not in there]
    if not names:
        return ()
    suites = await DebianResolution.of(offered.suites, names, base, image.architecture)
    try:
        plan = await suites.plan(names)
    except AptUnsatisfiableError as error:
        raise RefusedError(
            f"apt cannot install the workload's packages on {image.runtime}: {error}; correct the workload's "
            "apt, or the suites of dmz:baseImages"
        ) from None
    if changed := [each for each, _ in plan if each.replaces]:
        one = changed[0]
        raise RefusedError(
            f"apt would put {one.name} {one.version} in place of the base image's {one.replaces}; a release "
            "only adds to an image, so take a newer one"
        )
    return tuple(
        Deb(
            name=planned.name,
            version=planned.version,
            architecture=planned.architecture,
            source=place.stanza.source,
            source_version=place.stanza.source_version,
            requested=planned.name in workload.apt,
        )
        for planned, place in plan
    )


async def _files(bucket: BucketRegistry, workload: Workload) -> tuple[tuple[File, ...], list[str]]:
    kept = {(each.filename, each.sha256): each.size for each in await bucket.list()} if workload.files else {}
    found = tuple(
        File(name=each.name, sha256=each.sha256, size=kept.get((each.name, each.sha256), 0))
        for each in workload.files
    )
    absent = [
        f"{each.name}: the outer bucket does not have it yet; the outer machine fetches it, and screening "
        "needs it there"
        for each in workload.files
        if (each.name, each.sha256) not in kept
    ]
    return found, absent
