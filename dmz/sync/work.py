"""The sync's work: from releases to what the inner repositories hold."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dmz.archive import announce
from dmz.artifact import Artifact, Kind
from dmz.attestations import inside, line, newest
from dmz.errors import InputError
from dmz.promotion import drift, lines, lockfiles
from dmz.promotion import release as releases
from dmz.promotion.copying import DEFAULT_LIMITS, Limits, Places
from dmz.promotion.entry import APT_PREFIX
from dmz.promotion.plan import Plan, plan
from dmz.promotion.release import Release
from dmz.promotion.transfer import Counters, Observers, carry_out
from dmz.registries.apt import AptRegistry
from dmz.registries.archive import BucketArchive
from dmz.registries.bucket import Bucket, BucketRegistry
from dmz.registries.concurrency import together
from dmz.registries.google import Google, connect
from dmz.registries.interface import Registry, Stored
from dmz.registries.python import PythonRegistry
from dmz.registries.repository import Repository
from dmz.registries.retry import Retry
from dmz.sync.inputs import Inputs
from dmz.sync.plainly import Ticker
from dmz.sync.running import Running, running
from dmz.sync.withdrawn import refuse_withdrawn


@dataclass(frozen=True)
class Inner:
    """The inner side: its three repositories and the objects that the machines read."""

    python: PythonRegistry
    apt: AptRegistry
    files: BucketRegistry
    release: Bucket

    @classmethod
    def of(cls, google: Google, inputs: Inputs, known: Iterable[Artifact] = ()) -> Inner:
        """`known`: approved artifacts, which are known by their digest wherever they turn up."""
        return cls(
            PythonRegistry(google, inputs.project, inputs.location, inputs.python_repository, known=known),
            AptRegistry(
                google,
                inputs.project,
                inputs.location,
                inputs.apt_repository,
                staging=inputs.staging_bucket,
                known=known,
            ),
            BucketRegistry(google, inputs.release_bucket),
            Bucket(google, inputs.release_bucket),
        )

    @property
    def registries(self) -> dict[Kind, Registry]:
        """Which repository holds what."""
        return {Kind.PYPI: self.python, Kind.APT: self.apt, Kind.FILE: self.files}

    async def list(self) -> list[Stored]:
        """Everything that the three hold."""
        held = await together(registry.list() for registry in self.registries.values())
        return [stored for part in held for stored in part]


def sources(google: Google, inputs: Inputs, artifacts: Iterable[Artifact]) -> dict[str, Registry]:
    """The outer repositories that the artifacts name."""
    artifacts = list(artifacts)
    # Packages for all architectures are in the index of each.
    architectures = {artifact.architecture for artifact in artifacts if artifact.kind is Kind.APT} - {"all"}
    found: dict[str, Registry] = {}
    for artifact in artifacts:
        project, location, origin = inputs.outer_project, inputs.location, artifact.origin
        if origin in found:
            continue
        match artifact.kind:
            case Kind.PYPI:
                found[origin] = PythonRegistry(google, project, location, origin)
            case Kind.APT:
                found[origin] = AptRegistry(
                    google,
                    project,
                    location,
                    origin,
                    architectures=tuple(sorted(architectures)) or None,
                    suite=origin.removeprefix(APT_PREFIX),
                )
            case Kind.FILE:
                found[origin] = BucketRegistry(google, inputs.files_bucket)
    return found


def places(google: Google, inputs: Inputs, inner: Inner, artifacts: Iterable[Artifact]) -> Places:
    """Where artifacts that have to be copied come from and go, and where they are kept.

    Raises:
        InputError: the inputs are of an earlier version, which knew of no archive.
    """
    archive = BucketArchive(google, _archive_bucket(inputs))
    return Places(sources(google, inputs, artifacts), inner.registries, archive)


async def announced(
    google: Google, inputs: Inputs, found: Mapping[str, Release], say: Callable[[str], object]
) -> None:
    """Have the archive keep what the releases name, before anything is copied; they have to be attested.

    Raises:
        InputError: as `places`.
        TransferError: the archive can't be written, or is being pruned for too long.
    """
    archive = Bucket(google, _archive_bucket(inputs))
    await announce(archive, inputs.project, inputs.location, found.values(), say)


def _archive_bucket(inputs: Inputs) -> str:
    if inputs.archive_bucket is None:
        raise InputError("archiveBucket: nothing says where what is admitted is kept; run `pulumi up` again")
    return inputs.archive_bucket


async def sync(
    inputs: Inputs,
    approved_before: Collection[str],
    *,
    adopt: bool,
    limits: Limits = DEFAULT_LIMITS,
    retry: Retry | None = None,
) -> dict[str, Any]:
    """Make the inner repositories hold exactly the releases; the outputs that tell what that took.

    Args:
        approved_before: the SHA-256 of what earlier releases put here.
        adopt: whether to withdraw also what this sync did not put there.
        limits: concurrency and patience of the copying.
        retry: patience with a single request; None for the usual.

    Raises:
        RefusedError: a release is not attested or has what was withdrawn, or something stands in the way, a
            sync that is at work among it; nothing was copied.
    """
    approved, found = verified(inputs)
    async with Ticker() as ticker, identity(inputs, retry) as google:
        ticker.says("looking at the attestations of the releases")
        attested = await attested_by(google, inputs, found)
        inner = Inner.of(google, inputs, approved)
        async with alone(inputs, ticker, retry) as run:
            await refuse_withdrawn(inner.release, approved)
            ticker.says("looking at what the inner repositories hold")
            stored = await inner.list()
            todo = plan(approved, stored, approved_before)
            todo.check(adopt)
            await run.began(todo, {each.sha256 for each in stored})
            await announced(google, inputs, found, ticker.says)

            async def publish() -> None:
                ticker.says("publishing the releases to the machines")
                await run.check()
                await _publish(inner.release, found, attested)

            ways = places(google, inputs, inner, todo.copy)
            observers = Observers(ticker.says, run.record, arrived=publish)
            counters = await carry_out(todo, ways, observers, limits)
            await run.ended(counters)
    return {
        **_outputs(counters, todo),
        "attestations": {workload: line(envelope) for workload, envelope in attested.items()},
    }


def _outputs(counters: Counters, done: Plan) -> dict[str, Any]:
    return {
        "copied": counters.copied,
        "kept": counters.kept,
        "withdrawn": counters.withdrawn,
        "bytes": counters.bytes,
        "seconds": round(counters.seconds, 1),
        "lingering": [f"{stored.filename} sha256:{stored.sha256}" for stored in done.lingering],
    }


def verified(inputs: Inputs) -> tuple[list[Artifact], dict[str, Release]]:
    """The approved artifacts, and each workload's release as it is in the checkout.

    Raises:
        InputError: the checkout is not what the inputs were made from.
    """
    found = {workload: releases.read(inputs.release_folder, workload) for workload in inputs.releases}
    for workload, release in found.items():
        if release.digest != inputs.releases[workload]:
            raise InputError(
                f"{inputs.release_folder}: the release of {workload} is {release.digest}, planned was "
                f"{inputs.releases[workload]}; it changed meanwhile: run `pulumi up` again"
            )
    approved = lines.parse(inputs.packages)
    if approved != releases.union(found.values()):
        raise InputError(
            f"packages: not what the releases in {inputs.release_folder} say; run `pulumi up` again"
        )
    return approved, found


async def attested_by(google: Google, inputs: Inputs, found: Mapping[str, Release]) -> dict[str, bytes]:
    """The envelope that attests each workload's release, also an empty one's.

    Raises:
        RefusedError: one is missing or does not hold.
    """
    if inputs.place is None:
        raise InputError("attestation: nothing says whose attestations count; run `pulumi up` again")
    bucket, now = Bucket(google, inputs.place.bucket), datetime.now(UTC)
    return {
        workload: (await newest(bucket, inputs.place, release, now)).envelope
        for workload, release in found.items()
    }


async def _publish(bucket: Bucket, found: Mapping[str, Release], attested: Mapping[str, bytes]) -> None:
    """Write the releases and their attestations, and after them what tells the machines which to install."""
    for workload, release in found.items():
        for name, body in release.files.items():
            await _put(bucket, f"releases/{release.digest}/{name}", body)
        await _put(bucket, inside(release.digest), attested[workload])
    current = {
        f"current/{workload}.json": json.dumps({"workload": workload, "digest": release.digest}).encode()
        for workload, release in found.items()
    }
    for item in await bucket.list("current/"):
        if item.name not in current:
            await bucket.delete(item.name)
    for name, body in current.items():
        await _put(bucket, name, body)


async def _put(bucket: Bucket, name: str, body: bytes) -> None:
    if await bucket.read(name) != body:
        await bucket.write(name, body)


async def held(inputs: Inputs) -> dict[str, Any] | None:
    """`packages`, `releases` and `attestations` as they are now; None if a repository does not exist."""
    async with Ticker() as ticker, identity(inputs) as google:
        ticker.says("looking at what the inner repositories hold")
        for repository in (inputs.python_repository, inputs.apt_repository):
            if not await Repository(google, inputs.project, inputs.location, repository).describe():
                return None
        inner = Inner.of(google, inputs)
        published = await _published(inner.release)
        attested = {
            workload: await inner.release.read(inside(digest)) for workload, digest in published.items()
        }
        return {
            "packages": drift.present(await inner.list(), inputs.packages),
            "releases": published,
            "attestations": {
                workload: line(envelope) for workload, envelope in attested.items() if envelope is not None
            },
        }


async def _published(bucket: Bucket) -> dict[str, str]:
    """Release digest by workload, for those whose lock files are there and whole."""
    found: dict[str, str] = {}
    for item in await bucket.list("current/"):
        workload = item.name.removeprefix("current/").removesuffix(".json")
        with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError, InputError):
            digest = str(json.loads(await bucket.read(item.name) or b"")["digest"])
            bodies = {
                name: await bucket.read(f"releases/{digest}/{name}") or b""
                for name in lockfiles.names(workload)
            }
            if releases.Release.parse(workload, bodies, bucket.name).digest == digest:
                found[workload] = digest
    return found


async def withdraw_all(inputs: Inputs) -> None:
    """Withdraw what the state knows of, and tell the machines that there is no release."""
    async with Ticker() as ticker, identity(inputs) as google:
        inner = Inner.of(google, inputs)
        async with alone(inputs, ticker) as run:
            ticker.says("withdrawing the packages from the inner repositories")
            known = {artifact.sha256 for artifact in lines.parse(inputs.packages)}
            stored = await inner.list()
            leaving = plan((), [each for each in stored if each.sha256 in known])
            await run.began(leaving, {each.sha256 for each in stored})
            await _publish(inner.release, {}, {})
            observers = Observers(ticker.says, run.record)
            await run.ended(await carry_out(leaving, Places({}, inner.registries), observers))


def alone(
    inputs: Inputs, ticker: Ticker, retry: Retry | None = None
) -> contextlib.AbstractAsyncContextManager[Running]:
    """The run that holds the lease of the sync."""
    ticker.says("taking the lease of the inner side")
    account, bucket = inputs.sync_service_account, inputs.release_bucket
    return running(inputs.location, account, bucket, inputs.releases, ticker.says, retry=retry)


def identity(inputs: Inputs, retry: Retry | None = None) -> contextlib.AbstractAsyncContextManager[Google]:
    """A connection as the sync."""
    return connect(inputs.location, impersonate=inputs.sync_service_account, retry=retry)
