"""PackageSync: the resource that makes the inner repositories hold exactly the releases.

A thin adapter from Pulumi to `dmz.promotion`. The provider keeps nothing between calls: clients are made
where they are used, as the identity of the sync, which the caller impersonates.

The import path of `PackageSyncProvider` is in the state of every stack: moving or renaming it breaks them.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Mapping
from typing import Any, Final, TypeVar

import pulumi
from pulumi.dynamic import (
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)
from pulumi.output import Unknown

from dmz.promotion import drift
from dmz.sync.inputs import INPUTS, TARGET, Inputs, differs, failures, inputs_only
from dmz.sync.plainly import speak_plainly
from dmz.sync.work import held, sync, withdraw_all

PROVIDER_VERSION: Final = "3"
"""Raised when a change of this code must make every stack sync again."""

_T = TypeVar("_T")


class PackageSync(Resource, module="dmz", name="PackageSync"):
    """The inner repositories' content: the releases, and nothing else."""

    packages: pulumi.Output[dict[str, str]]
    """What the repositories hold: `pypi/NAME`, `apt/NAME:ARCH` or `files/NAME` → one line."""
    releases: pulumi.Output[dict[str, str]]
    """Release digest by workload, as published to the machines."""
    copied: pulumi.Output[int]
    kept: pulumi.Output[int]
    withdrawn: pulumi.Output[int]
    bytes: pulumi.Output[int]
    """Of what was copied by the last run."""
    seconds: pulumi.Output[float]
    """Of the last run."""
    attestations: pulumi.Output[dict[str, str]]
    """Of each workload's release, as it was copied to the machines: its time, and the envelope's SHA-256."""
    lingering: pulumi.Output[list[str]]
    """Files (name and SHA-256) that no release has any more and that share their version with one that a
    release has: the service deletes whole versions only."""

    def __init__(
        self,
        name: str,
        *,
        packages: pulumi.Input[Mapping[str, pulumi.Input[str]]],
        releases: pulumi.Input[Mapping[str, pulumi.Input[str]]],
        release_folder: str,
        project: pulumi.Input[str],
        location: pulumi.Input[str],
        apt_repository: pulumi.Input[str],
        python_repository: pulumi.Input[str],
        release_bucket: pulumi.Input[str],
        staging_bucket: pulumi.Input[str],
        outer_project: pulumi.Input[str],
        files_bucket: pulumi.Input[str],
        archive_bucket: pulumi.Input[str],
        sync_service_account: pulumi.Input[str],
        attestation: pulumi.Input[Mapping[str, Any]],
        attestations: pulumi.Input[Mapping[str, pulumi.Input[str]]],
        adopt: bool = False,
        withdraw_on_delete: bool = False,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Args:
        packages: as `dmz.promotion.lines.render` writes the union of the releases.
        releases: release digest by workload.
        release_folder: folder of the lock files, relative to the project's.
        project: the inner project.
        staging_bucket: inner bucket in which debs wait for their import.
        outer_project: where the approved files are read.
        files_bucket: outer bucket of workload files.
        archive_bucket: outer bucket that keeps what is admitted.
        sync_service_account: the identity to act as.
        attestation: whose attestations count: `key` (PEM), `verifier` (URI), `bucket` (outer's),
            `policyDigest` and `maxAgeSeconds`.
        attestations: by workload what is known of the attestation when this is planned. It decides
            nothing; a changed one makes the sync run, which looks for itself, and carry it in.
        adopt: whether a first run may withdraw what was in the repositories before.
        withdraw_on_delete: whether deleting this resource empties the repositories.
        """
        super().__init__(
            PackageSyncProvider(),
            name,
            {
                "packages": packages,
                "releases": releases,
                "releaseFolder": release_folder,
                "project": project,
                "location": location,
                "aptRepository": apt_repository,
                "pythonRepository": python_repository,
                "releaseBucket": release_bucket,
                "stagingBucket": staging_bucket,
                "outerProject": outer_project,
                "filesBucket": files_bucket,
                "archiveBucket": archive_bucket,
                "syncServiceAccount": sync_service_account,
                "attestation": attestation,
                "attestations": attestations,
                "adopt": adopt,
                "withdrawOnDelete": withdraw_on_delete,
                "providerVersion": PROVIDER_VERSION,
                # Outputs have to be named for the SDK to resolve them.
                "copied": None,
                "kept": None,
                "withdrawn": None,
                "bytes": None,
                "seconds": None,
                "lingering": None,
            },
            opts,
        )


class PackageSyncProvider(ResourceProvider):
    """Create, read, update and delete of `PackageSync`."""

    serialize_as_secret_always = False
    """Nothing is captured, so nothing secret either."""

    def configure(self, req: ConfigureRequest) -> None:
        """Called once in Pulumi's process for dynamic resources, before anything else."""
        speak_plainly(sys.modules["__main__"])

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuse inputs that cannot be carried out. What a preview does not know yet passes."""
        return CheckResult(news, list(failures(news)))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Another target replaces; any other changed input updates; outputs make no difference."""
        changed = [key for key in INPUTS if differs(olds.get(key), news.get(key))]
        # What is not known yet is most likely what it was: it is looked at again when it is known.
        replaces = [key for key in changed if key in TARGET and not isinstance(news.get(key), Unknown)]
        return DiffResult(changes=bool(changed), replaces=replaces)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Adopt what is there and copy the rest; withdraw what was there before only if `adopt` says so.

        Without a valid attestation of every release nothing is copied; so it is with `update`.
        """
        inputs = Inputs.of(props)
        outs = _run(sync(inputs, (), adopt=inputs.adopt))
        return CreateResult(inputs.id, {**inputs_only(props), **outs})

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Copy, then withdraw what no release has."""
        before = drift.approved(olds.get("packages") or {}, olds.get("lingering") or ())
        outs = _run(sync(Inputs.of(news), before, adopt=True))
        return UpdateResult({**inputs_only(news), **outs})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """What the repositories really hold, as inputs too, so that a refresh shows drift by package."""
        found = _run(held(Inputs.of(props)))
        if found is None:
            return ReadResult("", {})  # a repository is gone, and this resource with it
        return ReadResult(id_, {**props, **found}, {**inputs_only(props), **found})

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Withdraw what the state knows of if `withdrawOnDelete` says so; else nothing."""
        inputs = Inputs.of(props)
        if inputs.withdraw_on_delete:
            _run(withdraw_all(inputs))


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    return asyncio.run(work)
