"""The outer side: it has internet by NAT, installs the workload and tells what that took.

Outputs, which the inner side and the command line read: `side`, `project`, `location`, `zone`, `subnet`,
`aptRepositories` (`[{"repository", "suite"}]`), `pythonRepository`, `pythonBuiltRepository`,
`aptBuiltRepository`, `inventoryBucket`, `filesBucket`, `buildsBucket`, `attestationsBucket`, `archiveBucket`,
`machineServiceAccount`, `syncServiceAccount`, `publisherServiceAccount`, `attestorServiceAccount`,
`archivistServiceAccount` (email addresses), `attestationKey` (resource name of the key's version),
`attestationPublicKey` (PEM), `machine`, `workload`, `workloadDigest`.
"""

from __future__ import annotations

from typing import Final

import pulumi

from dmz.components.identity import (
    ArchivistIdentity,
    AttestorIdentity,
    MachineIdentity,
    PublisherIdentity,
    SyncIdentity,
)
from dmz.components.keys import AttestationKey
from dmz.components.machine import Machine
from dmz.components.network import OuterNetwork
from dmz.components.project import Project
from dmz.components.repositories import OuterRepositories
from dmz.components.storage import OuterBuckets
from dmz.config import Settings
from dmz.promotion.workload import workload_digest
from dmz.stacks.target import read_target

SERVICES: Final = (
    "artifactregistry",
    "cloudkms",
    "compute",
    "iam",
    "iamcredentials",
    "iap",
    "logging",
    "storage",
    "tpu",
)


async def declare(settings: Settings) -> None:
    """Declare the outer side's resources and outputs.

    Raises:
        InputError: the workload or the base image is no good; nothing was declared.
    """
    target = read_target(settings)
    project, location = settings.project, settings.location

    services = Project("project", project=project, services=SERVICES)
    enabled = pulumi.ResourceOptions(depends_on=[services])
    network = OuterNetwork(
        "network",
        project=project,
        location=location,
        subnet=settings.subnet,
        external_ipv6=settings.external_ipv6,
        opts=enabled,
    )
    machine_identity = MachineIdentity("machine-identity", project=project, opts=enabled)
    sync_identity = SyncIdentity("sync-identity", project=project, borrowers=settings.operators, opts=enabled)
    publisher_identity = PublisherIdentity(
        "publisher-identity", project=project, borrowers=settings.operators, opts=enabled
    )
    attestor_identity = AttestorIdentity(
        "attestor-identity", project=project, borrowers=settings.attestors, opts=enabled
    )
    archivist_identity = ArchivistIdentity(
        "archivist-identity", project=project, borrowers=settings.operators, opts=enabled
    )
    repositories = OuterRepositories(
        "repositories",
        project=project,
        location=location,
        base_image=target.base_image,
        machine=machine_identity.account.member,
        sync=sync_identity.account.member,
        publisher=publisher_identity.account.member,
        opts=enabled,
    )
    buckets = OuterBuckets(
        "buckets",
        project=project,
        location=location,
        machine=machine_identity.account.member,
        sync=sync_identity.account.member,
        publisher=publisher_identity.account.member,
        attestor=attestor_identity.account.member,
        archivist=archivist_identity.account.member,
        opts=enabled,
    )
    key = AttestationKey(
        "attestation-key",
        project=project,
        location=location,
        version=settings.attestation_key_version,
        attestor=attestor_identity.account.member,
        opts=enabled,
    )
    machine = Machine(
        "machine",
        side="outer",
        project=project,
        zone=settings.zone,
        runtime=settings.runtime,
        accelerator_type=settings.accelerator_type,
        spot=settings.spot,
        network=network.network.id,
        subnetwork=network.subnetwork.id,
        service_account=machine_identity.account.email,
        settings={
            "side": "outer",
            "machine": "dmz-outer",
            "project": project,
            "location": location,
            "runtime": settings.runtime,
            "workload": target.workload.settings(),
            "workload_digest": workload_digest(target.workload),
            "apt_repositories": repositories.apt,
            "components": list(target.base_image.components),
            "python_repository": repositories.python,
            "builds_bucket": buckets.builds,
            "inventory_bucket": buckets.inventory,
            "files_bucket": buckets.files,
            "probes": settings.probes.targets() if settings.probes else [],
        },
        # Its first boot starts the work: by then everything that it reaches for has to be there.
        opts=pulumi.ResourceOptions(depends_on=[network, machine_identity, repositories, buckets]),
    )

    for name, value in {
        "side": "outer",
        "project": project,
        "location": location,
        "zone": settings.zone,
        "subnet": str(settings.subnet),
        "aptRepositories": repositories.apt,
        "pythonRepository": repositories.python,
        "pythonBuiltRepository": repositories.python_built,
        "aptBuiltRepository": repositories.apt_built,
        "inventoryBucket": buckets.inventory,
        "filesBucket": buckets.files,
        "buildsBucket": buckets.builds,
        "attestationsBucket": buckets.attestations,
        "archiveBucket": buckets.archive,
        "machineServiceAccount": machine_identity.account.email,
        "syncServiceAccount": sync_identity.account.email,
        "publisherServiceAccount": publisher_identity.account.email,
        "attestorServiceAccount": attestor_identity.account.email,
        "archivistServiceAccount": archivist_identity.account.email,
        "attestationKey": key.version,
        "attestationPublicKey": key.public_key,
        "machine": machine.node.name,
        "workload": target.workload.name,
        "workloadDigest": workload_digest(target.workload),
    }.items():
        pulumi.export(name, value)
