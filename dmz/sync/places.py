"""What a sync has to copy, where from, and where that is kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from dmz.archive import announce
from dmz.archive import approved as approved_earlier
from dmz.artifact import Artifact, Kind
from dmz.errors import InputError
from dmz.promotion.copying import Places
from dmz.promotion.entry import APT_PREFIX
from dmz.promotion.plan import Plan, plan
from dmz.promotion.release import Release
from dmz.registries.apt import AptRegistry
from dmz.registries.archive import BucketArchive
from dmz.registries.bucket import Bucket
from dmz.registries.files import BucketRegistry
from dmz.registries.google import Google
from dmz.registries.interface import Registry, Stored
from dmz.registries.python import PythonRegistry
from dmz.sync.inner import Inner
from dmz.sync.inputs import Inputs


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


async def planned(
    google: Google,
    inputs: Inputs,
    approved: Iterable[Artifact],
    stored: Iterable[Stored],
    before: Collection[str],
    *,
    adopt: bool,
) -> Plan:
    """The plan, if it may be carried out.

    The state knows nothing of a first run that did not come to its end. What such a run copied is named by
    the record that it wrote before, which is looked for only if something seems foreign.

    Args:
        approved: what has to be there.
        stored: what is there.
        before: the SHA-256 of what earlier releases approved, as the state tells.
        adopt: whether what this stack did not put there may be withdrawn.

    Raises:
        RefusedError: it may not.
        InputError: as `places`.
        TransferError: the archive can't be read.
    """
    approved, stored = list(approved), list(stored)
    made = plan(approved, stored, before)
    if made.foreign and not adopt:
        archive = Bucket(google, _archive_bucket(inputs))
        earlier = await approved_earlier(archive, inputs.project, inputs.location)
        made = plan(approved, stored, earlier.union(before))
    made.check(adopt)
    return made


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
