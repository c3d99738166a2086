"""The inner side: no way out, repositories that only the sync writes, a machine that runs the workload.

Outputs: `side`, `project`, `location`, `zone`, `subnet`, `aptRepository`, `pythonRepository`,
`releaseBucket`, `reportsBucket`, `stagingBucket`, `machineServiceAccount` (email address), `workload`,
`packageSync` (whether the releases are synced here), `seal`; and once there is a release `machine`,
`releases` (digest by workload), `attestations` (of each, one line) and `sync` (what the last sync did).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pulumi

from dmz.attestations import NOT_YET, UNSEEN, Place, look
from dmz.components.dns import InnerDns
from dmz.components.identity import MachineIdentity
from dmz.components.machine import Machine
from dmz.components.network import InnerNetwork
from dmz.components.project import Project
from dmz.components.repositories import InnerRepositories
from dmz.components.storage import InnerBuckets
from dmz.config import Settings, check_apart
from dmz.errors import InputError
from dmz.promotion import lines, release
from dmz.promotion.attestation import Trust
from dmz.promotion.base_image import base_images
from dmz.promotion.policy import Policy
from dmz.promotion.release import Release
from dmz.promotion.standing import became_refused
from dmz.promotion.statement import resource_uri, verifier_id
from dmz.stacks.references import OuterOutputs, own_outputs
from dmz.stacks.settings import in_checkout, stack_file
from dmz.stacks.target import Target, read_target
from dmz.sync import PackageSync

SERVICES: Final = (
    "artifactregistry",
    "compute",
    "dns",
    "iam",
    "iamcredentials",
    "iap",
    "logging",
    "storage",
    "tpu",
)

SEAL: Final = "NOT SEALED: no service perimeter"
"""Through the restricted addresses, whoever has credentials of another organisation inside can still write to
its buckets. Only an enforced VPC Service Controls perimeter closes that."""


async def declare(settings: Settings) -> None:
    """Declare the inner side's resources and outputs.

    Raises:
        InputError: the outer side, the workload or a release is missing or no good; nothing was declared.
    """
    target = read_target(settings)
    folder = in_checkout("releases", settings.releases)
    outer = await OuterOutputs.read(settings.outer_stack)
    check_apart(settings, outer, stack_file())
    releases = await _releases(folder, target)
    place = _place(settings, outer) if releases is not None else None
    project, location = settings.project, settings.location
    sync_member = f"serviceAccount:{outer.sync_service_account}"
    pulumi.log.warn(f"{SEAL}; what runs inside could still use another organisation's credentials")

    services = Project("project", project=project, services=SERVICES)
    enabled = pulumi.ResourceOptions(depends_on=[services])
    network = InnerNetwork(
        "network", project=project, location=location, subnet=settings.subnet, opts=enabled
    )
    dns = InnerDns("dns", project=project, network=network.network.id, opts=enabled)
    machine_identity = MachineIdentity("machine-identity", project=project, opts=enabled)
    repositories = InnerRepositories(
        "repositories",
        project=project,
        location=location,
        machine=machine_identity.account.member,
        sync=sync_member,
        opts=enabled,
    )
    buckets = InnerBuckets(
        "buckets",
        project=project,
        location=location,
        machine=machine_identity.account.member,
        sync=sync_member,
        opts=enabled,
    )
    for name, value in {
        "side": "inner",
        "project": project,
        "location": location,
        "zone": settings.zone,
        "subnet": str(settings.subnet),
        "aptRepository": repositories.apt,
        "pythonRepository": repositories.python,
        "releaseBucket": buckets.release,
        "reportsBucket": buckets.reports,
        "stagingBucket": buckets.staging,
        "machineServiceAccount": machine_identity.account.email,
        "workload": target.workload.name,
        "packageSync": releases is not None,
        "seal": SEAL,
    }.items():
        pulumi.export(name, value)
    if releases is None or place is None:
        return

    for warning in became_refused(
        releases,
        in_checkout("policy", settings.policy),
        in_checkout("waivers", settings.waivers),
        base_images(settings.base_images),
        datetime.now(UTC),
        pulumi.log.info,
    ):
        pulumi.log.warn(warning)
    trust = place.trust
    max_age = int(trust.max_age.total_seconds())
    sync = PackageSync(
        "packages",
        packages=lines.render(release.union(releases)),
        releases={each.workload: each.digest for each in releases},
        release_folder=str(settings.releases),
        project=project,
        location=location,
        apt_repository=repositories.apt,
        python_repository=repositories.python,
        release_bucket=buckets.release,
        staging_bucket=buckets.staging,
        outer_project=outer.project,
        files_bucket=outer.files_bucket,
        archive_bucket=outer.archive_bucket,
        sync_service_account=outer.sync_service_account,
        attestation={
            "key": trust.key,
            "verifier": trust.verifier,
            "bucket": place.bucket,
            "policyDigest": trust.policy_digest,
            "maxAgeSeconds": max_age,
        },
        attestations=await _attested(place, releases, outer.sync_service_account),
        adopt=settings.adopt,
        withdraw_on_delete=settings.withdraw_on_delete,
        opts=pulumi.ResourceOptions(depends_on=[repositories, buckets]),
    )
    machine = Machine(
        "machine",
        side="inner",
        project=project,
        zone=settings.zone,
        runtime=settings.runtime,
        accelerator_type=settings.accelerator_type,
        spot=settings.spot,
        network=network.network.id,
        subnetwork=network.subnetwork.id,
        service_account=machine_identity.account.email,
        settings={
            "side": "inner",
            "machine": "dmz-inner",
            "project": project,
            "location": location,
            "runtime": settings.runtime,
            "workload": target.workload.name,
            "check": target.workload.check,
            "apt_repository": repositories.apt,
            "python_repository": repositories.python,
            "release_bucket": buckets.release,
            "report_bucket": buckets.reports,
            "attestation": {
                "key": trust.key,
                "verifier": trust.verifier,
                "resource_uri": resource_uri(project, location, target.workload.name),
                "policy_digest": trust.policy_digest,
                "max_age_seconds": max_age,
            },
            "probes": settings.probes.targets() if settings.probes else [],
        },
        # Nothing runs before the seal is whole and the release is there.
        opts=pulumi.ResourceOptions(depends_on=[network, dns, machine_identity, repositories, buckets, sync]),
    )
    pulumi.export("machine", machine.node.name)
    pulumi.export("releases", sync.releases)
    pulumi.export("attestations", sync.attestations)
    pulumi.export(
        "sync",
        {
            "copied": sync.copied,
            "kept": sync.kept,
            "withdrawn": sync.withdrawn,
            "bytes": sync.bytes,
            "seconds": sync.seconds,
            "lingering": sync.lingering,
        },
    )


async def _releases(folder: Path, target: Target) -> list[Release] | None:
    """All releases of the checkout, or None before the first one of this stack's workload.

    The machine needs its workload's; the repositories hold those of every workload.
    """
    workload = target.workload.name
    missing = f"{folder}/release.{workload}.sha256 is missing"
    if workload not in release.released(folder):
        if (await own_outputs()).get("packageSync"):
            raise InputError(
                f"{missing}, but this stack has synced packages: restore it (git checkout -- {folder}), or "
                "screen anew; only a release that is there and empty withdraws everything"
            )
        pulumi.log.warn(
            f"{missing}: bringing the inner side up without packages and machine; "
            "run `dmz screen`, then `pulumi up` again"
        )
        return None
    found = release.read_all(folder)
    [own] = [each for each in found if each.workload == workload]
    if own.runtime != target.base_image.runtime:
        raise InputError(
            f"{folder}: the release of {workload} is for the base image '{own.runtime}', dmz:runtime is "
            f"'{target.base_image.runtime}'; run `dmz screen` again, or make the two the same"
        )
    return found


def _place(settings: Settings, outer: OuterOutputs) -> Place:
    """This inner side, and whose attestations count for it: the policy is the checkout's."""
    policy = Policy.read(in_checkout("policy", settings.policy))
    trust = Trust(
        outer.attestation_public_key,
        verifier_id(outer.attestor_service_account),
        policy.digest,
        policy.limits.attestation_max_age,
    )
    return Place(settings.project, settings.location, outer.attestations_bucket, trust)


async def _attested(place: Place, releases: Sequence[Release], sync: str) -> dict[str, str]:
    """What is known of each release's attestation just now, and warnings for what is amiss.

    A preview comes before the merge, and so before the attestation. Nothing is decided here: the sync looks
    for itself. For a release that has not changed, what was carried in last stands until there is another:
    an attestation that grew old, or that can't be seen from here, is no change.
    """
    seen = await look(place, releases, sync)
    for complaint in seen.complaints:
        pulumi.log.warn(complaint)
    before = await own_outputs()
    carried, former = before.get("attestations") or {}, before.get("releases") or {}
    unknown = NOT_YET if seen.permitted else UNSEEN
    found: dict[str, str] = {}
    for each in releases:
        kept = carried.get(each.workload) if former.get(each.workload) == each.digest else None
        found[each.workload] = seen.lines.get(each.workload) or kept or unknown
    return found
