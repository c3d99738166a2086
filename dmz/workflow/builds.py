"""Wheels that a machine built: checked against upstream, then published by an identity that no machine has.

A machine leaves a wheel and its provenance in a bucket where it can create and not replace. Nothing but a
machine outside installs from there. Here, an operator acts as the publisher, the one account that writes into
the repository of what was built, and only what passes gets there.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dmz.artifact import Artifact, Kind
from dmz.errors import RefusedError, TransferError
from dmz.promotion import build
from dmz.promotion.build import Provenance
from dmz.promotion.entry import Build, Entry
from dmz.promotion.inventory import Wheel
from dmz.promotion.stream import approved
from dmz.registries.bucket import Bucket
from dmz.registries.concurrency import together
from dmz.registries.google import Google
from dmz.registries.python import PythonRegistry, parse_filename
from dmz.workflow.claims import Say
from dmz.workflow.facts import PythonFacts


async def publish(
    publisher: Google,
    bucket: str,
    repository: tuple[str, str, str],
    facts: PythonFacts,
    wheels: Sequence[Wheel],
    dpkg_digest: str,
    say: Say,
) -> dict[str, Build]:
    """Check the builds that a machine claims, and publish those that are not there yet.

    Args:
        publisher: the connection as the publisher.
        bucket: where the machine leaves builds.
        repository: project, location and id of the repository of what was built.
        facts: tell what upstream has.
        wheels: of the inventory; those that were not built are passed over.
        dpkg_digest: of the base image that the inventory is of.

    Returns:
        By the wheel's file name, what its lock says of how it was made.

    Raises:
        RefusedError: what a wheel was built from is not upstream's, or the build is not there as claimed.
        TransferError: the repository has other bytes under a wheel's name, or a service did not answer.
    """
    registry, objects = PythonRegistry(publisher, *repository), Bucket(publisher, bucket)
    claimed = [wheel for wheel in wheels if wheel.built]
    if not claimed:
        return {}
    there = {(each.filename, each.sha256) for each in await registry.list()}

    async def one(wheel: Wheel) -> tuple[str, Build]:
        provenance = await _checked(objects, facts, wheel, dpkg_digest)
        await _publish(objects, registry, repository[2], wheel, provenance, there, say)
        return wheel.filename, provenance.build

    return dict(await together(map(one, claimed)))


async def confirm(
    objects: Bucket,
    facts: PythonFacts,
    entries: Sequence[Entry],
    dpkg_digest: str,
    *,
    forgotten: bool = False,
) -> None:
    """Whether what a lock says of the wheels that were built is what their provenance says.

    Whoever wrote the lock may have named another sdist, or left out what the wheel was built with, which the
    rules judge.

    Args:
        objects: where machines leave builds.
        entries: of the lock; those that were not built are passed over.
        dpkg_digest: of the base image that the lock is for.
        forgotten: whether upstream may have forgotten what a wheel was built from.

    Raises:
        RefusedError: a wheel has no provenance, or another one, or was built from what is not upstream's.
    """

    async def one(artifact: Artifact, built: Build) -> None:
        where, provenance = await _provenance(objects, artifact.filename, built.sha256, dpkg_digest)
        made = (provenance.wheel.name, provenance.wheel.digest.sha256, provenance.dpkg_digest)
        if made != (artifact.filename, artifact.sha256, dpkg_digest) or provenance.build != built:
            raise RefusedError(
                f"{artifact.filename}: the lock does not say of its build what {where} says; screen again"
            )
        await _vouched(facts, artifact.name, provenance, forgotten=forgotten)

    await together(one(entry.artifact, entry.built) for entry in entries if entry.built)


async def _checked(objects: Bucket, facts: PythonFacts, wheel: Wheel, dpkg_digest: str) -> Provenance:
    where, provenance = await _provenance(objects, wheel.filename, wheel.sdist, dpkg_digest)
    made = (provenance.wheel.name, provenance.sdist.digest.sha256, provenance.dpkg_digest)
    claimed = provenance.wheel.digest.sha256 if not wheel.sha256 else wheel.sha256
    if made != (wheel.filename, wheel.sdist, dpkg_digest) or claimed != provenance.wheel.digest.sha256:
        raise RefusedError(
            f"{where} is about {provenance.wheel.name} of sha256:{provenance.wheel.digest.sha256}, not about "
            f"what the outer machine installed, {wheel.filename}; discover anew"
        )
    await _vouched(facts, wheel.name, provenance)
    return provenance


async def _provenance(objects: Bucket, filename: str, sdist: str, dpkg_digest: str) -> tuple[str, Provenance]:
    """Address and content of the provenance of a wheel, by what it was built from."""
    name = build.provenance_object(sdist, dpkg_digest)
    where = f"gs://{objects.name}/{name}"
    data = await objects.read(name)
    if data is None:
        raise RefusedError(f"{filename} has no provenance at {where}; discover anew")
    return where, build.parse(data, where)


async def _vouched(facts: PythonFacts, name: str, provenance: Provenance, *, forgotten: bool = False) -> None:
    """Whether everything that a wheel was built from is upstream's."""
    what, sdist = f"{provenance.wheel.name} was built from", provenance.sdist
    await facts.vouched(name, sdist.name, sdist.digest.sha256, what, forgotten=forgotten)
    for file in provenance.requires:
        parsed = parse_filename(file.name)
        distribution = parsed[0] if parsed else ""
        await facts.vouched(
            distribution, file.name, file.digest.sha256, f"{what} and with", forgotten=forgotten
        )


async def _publish(
    objects: Bucket,
    registry: PythonRegistry,
    origin: str,
    wheel: Wheel,
    provenance: Provenance,
    there: Collection[tuple[str, str]],
    say: Say,
) -> None:
    made = provenance.wheel
    if (made.name, made.digest.sha256) in there:
        return
    name = build.wheel_object(wheel.sdist, provenance.dpkg_digest, made)
    found = [each for each in await objects.list(name) if each.name == name]
    if not found:
        raise RefusedError(
            f"gs://{objects.name}/{name} is not there, though its provenance is; discover anew"
        )
    say(f"publishing {made.name}, built from {provenance.sdist.name}")
    artifact = Artifact(
        Kind.PYPI, wheel.name, "", wheel.version, made.name, made.digest.sha256, found[0].size, origin
    )
    url = f"{objects.url(name)}?alt=media"
    async with objects.google.download(url, f"gs://{objects.name}/{name}") as chunks:
        await registry.put(artifact, approved(artifact, chunks, f"gs://{objects.name}/{name}"))
    held = {each.sha256 for each in await registry.list() if each.filename == made.name}
    if held != {made.digest.sha256}:
        raise TransferError(
            f"{origin}/{made.name}: holds {', '.join(sorted(held)) or 'nothing'} where SHA-256 "
            f"{made.digest.sha256} was published; delete version {wheel.version} of {wheel.name} there, then "
            "run again"
        )
