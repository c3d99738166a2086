"""The buckets, and who may read and write each.

Owns: the buckets and the access to each. Leaves alone: their objects, so that a bucket that holds any is not
deleted with its stack, and the grants that every project gives its owners and editors.

A machine may only create: `storage.objectCreator` can neither read, replace nor delete, so what a machine
once claimed or reported stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pulumi
import pulumi_gcp as gcp

from dmz.components.component import Component

_CREATE: Final = "roles/storage.objectCreator"
_READ: Final = "roles/storage.objectViewer"
_WRITE: Final = "roles/storage.objectAdmin"
_USE: Final = "roles/storage.objectUser"
"""Create, read, replace and delete; no predefined role has deleting without creating."""

KEPT: Final = 365
"""Days for which an attestation can neither be replaced nor deleted; who administers the bucket would have to
take the period away first, and the audit log tells."""

STAGED: Final = 7
"""Days after which the service itself deletes what a sync staged and never came back for."""

Member = pulumi.Input[str]


class _Buckets(Component):
    def __init__(
        self, name: str, *, project: str, location: str, opts: pulumi.ResourceOptions | None
    ) -> None:
        super().__init__(name, opts)
        self._project = project
        self._location = location

    def _bucket(
        self,
        purpose: str,
        access: Mapping[str, tuple[str, Member]],
        *,
        versioned: bool = False,
        days_kept: int = 0,
        days_staged: int = 0,
    ) -> pulumi.Output[str]:
        """Declare `<project>-<purpose>` and return its name; `access` as in `repositories.py`.

        For `days_kept` nobody can replace or delete an object; after `days_staged` an object goes by itself,
        and one that is deleted is gone at once.
        """
        bucket = gcp.storage.Bucket(
            purpose,
            name=f"{self._project}-{purpose}",
            project=self._project,
            location=self._location,
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            versioning=gcp.storage.BucketVersioningArgs(enabled=True) if versioned else None,
            # Not locked: nobody could ever undo that, so it is for whoever answers for the project to do.
            retention_policy=gcp.storage.BucketRetentionPolicyArgs(retention_period=str(days_kept * 86400))
            if days_kept
            else None,
            lifecycle_rules=[
                gcp.storage.BucketLifecycleRuleArgs(
                    action=gcp.storage.BucketLifecycleRuleActionArgs(type="Delete"),
                    condition=gcp.storage.BucketLifecycleRuleConditionArgs(age=days_staged),
                )
            ]
            if days_staged
            else None,
            soft_delete_policy=gcp.storage.BucketSoftDeletePolicyArgs(retention_duration_seconds=0)
            if days_staged
            else None,
            force_destroy=False,
            opts=self.held,
        )
        for who, (role, member) in access.items():
            gcp.storage.BucketIAMMember(
                f"{purpose}-{who}", bucket=bucket.name, role=role, member=member, opts=self.held
            )
        return bucket.name


class OuterBuckets(_Buckets):
    """For what the outer machine leaves (inventories, the workload's files, builds), for attestations, and
    for what was ever admitted."""

    inventory: pulumi.Output[str]
    files: pulumi.Output[str]
    builds: pulumi.Output[str]
    attestations: pulumi.Output[str]
    archive: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        project: str,
        location: str,
        machine: Member,
        sync: Member,
        publisher: Member,
        attestor: Member,
        archivist: Member,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(name, project=project, location=location, opts=opts)
        create = {"machine-creates": (_CREATE, machine)}
        self.inventory = self._bucket("inventory", create)
        self.files = self._bucket("files", {**create, "sync-reads": (_READ, sync)})
        # A machine finds here what another one built, and can replace none of it.
        self.builds = self._bucket(
            "builds", {**create, "machine-reads": (_READ, machine), "publisher-reads": (_READ, publisher)}
        )
        self.attestations = self._bucket(
            "attestations",
            {
                "attestor-creates": (_CREATE, attestor),
                # To see that a release is attested already.
                "attestor-reads": (_READ, attestor),
                "sync-reads": (_READ, sync),
            },
            days_kept=KEPT,
        )
        # Who syncs can neither replace nor delete what is kept; who deletes does nothing else.
        self.archive = self._bucket(
            "archive",
            {
                "sync-creates": (_CREATE, sync),
                "sync-reads": (_READ, sync),
                "archivist-deletes": (_USE, archivist),
            },
        )
        self.register_outputs({})


class InnerBuckets(_Buckets):
    """Where the machine finds its release, where it leaves its reports, and where debs wait for an import."""

    release: pulumi.Output[str]
    reports: pulumi.Output[str]
    staging: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        project: str,
        location: str,
        machine: Member,
        sync: Member,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(name, project=project, location=location, opts=opts)
        self.release = self._bucket(
            "release",
            {"machine-reads": (_READ, machine), "sync-writes": (_WRITE, sync)},
            versioned=True,
        )
        self.reports = self._bucket("reports", {"machine-creates": (_CREATE, machine)})
        # No machine reads here: what is staged is hashed, but nobody admitted it yet.
        self.staging = self._bucket("staging", {"sync-writes": (_USE, sync)}, days_staged=STAGED)
        self.register_outputs({})
