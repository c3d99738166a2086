"""What is asked for findings: the sources that a policy names, opened; and the screening made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dmz.cache import cache_folder
from dmz.errors import InputError, RefusedError, TransferError
from dmz.promotion import release as releases
from dmz.promotion.base_image import BaseImage
from dmz.promotion.evidence import Source
from dmz.promotion.policy import Policy
from dmz.promotion.rules.rule import Context
from dmz.promotion.screening import Screening
from dmz.promotion.sources.artifact_analysis import ArtifactAnalysis
from dmz.promotion.sources.configured import local
from dmz.registries.artifact_analysis import occurrences
from dmz.registries.bucket import Bucket
from dmz.registries.google import Google
from dmz.sync.withdrawn import withdrawn
from dmz.workflow.claims import Say
from dmz.workflow.estate import Estate


async def screening(
    estate: Estate, google: Google | None, say: Say, today: datetime | None = None, expected: int = 0
) -> Screening:
    """A screening by the checkout's policy and waivers, of the workload and against its release of now.

    What was withdrawn at once is refused besides, as far as it can be seen from here; without an inner stack
    nothing was.

    Args:
        google: to ask Artifact Analysis, where the policy wants that, and inner's release bucket; None:
            without any service, which a policy that wants one refuses.
        today: the moment that it judges for; None: now.
        expected: how many artifacts will be judged at once, as far as that is known.

    Raises:
        InputError: the policy, a waiver or a source is no good.
        RefusedError: a source is too old, or cannot be asked.
    """
    now = today or datetime.now(UTC)
    found = await sources(estate, estate.base_image, google, now, say, expected)
    known = context(estate, now)
    if google is not None:
        known = await with_withdrawn(known, estate, google, say)
    return Screening(estate.policy, found, estate.waivers, estate.base_image, known)


async def sources(
    estate: Estate, image: BaseImage, google: Google | None, now: datetime, say: Say, expected: int = 0
) -> list[Source]:
    """All sources that the policy names, for one base image; arguments and errors as of `screening`."""
    policy = estate.policy
    found = local_sources(policy, image, now, say, expected)
    if policy.sources.artifact_analysis:
        if google is None:
            raise RefusedError(
                f"{policy.path}: sources.artifact-analysis asks a service, which this cannot do by itself; "
                "leave out --offline"
            )
        say("asking Artifact Analysis")
        found.append(await _artifact_analysis(google, estate.outer_outputs(), now))
    return found


async def with_withdrawn(known: Context, estate: Estate, google: Google, say: Say) -> Context:
    """The same with what was withdrawn at once inside.

    Who may not read inner's release bucket does without: the sync, which reads it, refuses all the same.
    """
    try:
        bucket = estate.inner_outputs().get("releaseBucket")
    except InputError:
        return known  # it is not up, so that nothing was withdrawn
    if not bucket:
        return known
    say("looking at what was withdrawn at once")
    try:
        return replace(known, withdrawn=await withdrawn(Bucket(google, bucket)))
    except TransferError as error:
        return replace(known, unseen=str(error))


def context(estate: Estate, today: datetime) -> Context:
    """What the rules may know of the workload: what it asks for, its release of now, others' files."""
    workload = estate.workload
    asked = frozenset(canonicalize_name(Requirement(text).name) for text in workload.python)
    found = {each.workload: each for each in releases.read_all(estate.releases)}
    own = found.pop(workload.name, None)
    before = {entry.artifact.key: entry for entry in own.entries} if own else {}
    elsewhere = frozenset(each.sha256 for other in found.values() for each in other.artifacts)
    return Context(today, asked, before, elsewhere)


def local_sources(
    policy: Policy, image: BaseImage, today: datetime, say: Say, expected: int = 0
) -> list[Source]:
    """The sources that lie in files.

    Raises:
        InputError: one is missing or damaged.
        RefusedError: the advisories don't say how old they are.
    """
    return list(local(policy, image, today, cache=cache_folder(), say=say, expected=expected))


async def _artifact_analysis(google: Google, outputs: Mapping[str, Any], now: datetime) -> Source:
    project, location = outputs["project"], outputs["location"]
    repositories = (outputs["pythonRepository"], outputs["pythonBuiltRepository"])
    return ArtifactAnalysis.of(await occurrences(google, project, location, repositories), now)
