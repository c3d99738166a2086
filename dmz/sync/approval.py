"""What a sync may copy: the releases in the checkout, if they are those of the preview and attested."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from dmz.artifact import Artifact
from dmz.attestations import newest
from dmz.errors import InputError
from dmz.promotion import lines
from dmz.promotion import release as releases
from dmz.promotion.release import Release
from dmz.registries.bucket import Bucket
from dmz.registries.google import Google
from dmz.sync.inputs import Inputs


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
