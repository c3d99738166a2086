"""Comparing releases, wherever they are: in the checkout, in git, in a folder, inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from dmz.errors import InputError
from dmz.promotion import release as releases
from dmz.promotion import sbom
from dmz.promotion.base_image import base_image, base_images
from dmz.promotion.difference import Difference, Side, difference
from dmz.promotion.release import Release
from dmz.promotion.screening import Screening
from dmz.promotion.standing import context, findings, stand
from dmz.promotion.wording import printable
from dmz.registries.bucket import Bucket
from dmz.registries.google import connect
from dmz.workflow.claims import Say
from dmz.workflow.estate import Estate
from dmz.workflow.published import published
from dmz.workflow.release_history import History
from dmz.workflow.sources import local_sources

INNER: Final = "inner"
"""What a person calls the releases that are published inside."""


@dataclass(frozen=True)
class Point:
    """The releases of one moment or place, by workload."""

    sides: Mapping[str, Side]
    only: str | None = None
    """The workload that was meant, when a release was named by its digest."""


async def point(estate: Estate, text: str, say: Say) -> Point:
    """The releases that a person means.

    Args:
        text: `inner`, a folder that has lock files, the beginning of a release digest, or a git revision; in
            this order.

    Raises:
        InputError: it means nothing, or a release there does not read.
    """
    if text == INNER:
        outputs = estate.inner_outputs()
        say("reading what is published inside")
        async with connect(outputs["location"]) as google:
            found = await published(Bucket(google, outputs["releaseBucket"]))
        return Point({release.workload: Side(release) for release in found})
    folder = estate.folder / text
    present = releases.released(folder)
    if present or folder == estate.releases:
        return Point({workload: on_disk(folder, workload) for workload in present})
    history = History(estate.folder, estate.releases)
    if recorded := history.find(text, history.known()):
        return Point(
            {recorded.workload: in_git(history, recorded.commit, recorded.workload)}, recorded.workload
        )
    commit = history.commit(text)
    return Point({workload: in_git(history, commit, workload) for workload in history.workloads(commit)})


def with_findings(estate: Estate, given: Point, say: Say, today: datetime | None = None) -> Point:
    """The same releases with what the files on this machine have against them; no service is asked.

    Raises:
        InputError: the policy, a waiver or a source is no good.
        RefusedError: a source is older than the policy allows.
    """
    now, images = today or datetime.now(UTC), base_images(estate.inner_settings.base_images)

    def known(side: Side) -> Side:
        if side.release is None:
            return side
        image = base_image(side.release.runtime, images)
        sources = local_sources(estate.policy, image, now, say)
        judge = Screening(estate.policy, sources, estate.waivers, image, context(side.release, now))
        return replace(side, findings=findings(stand(side.release, judge).verdicts))

    return replace(given, sides={workload: known(side) for workload, side in given.sides.items()})


def compare(before: Point, after: Point, workload: str | None = None) -> list[Difference]:
    """The difference of each workload that one of the two has.

    Args:
        workload: this one alone.

    Raises:
        InputError: there is nothing to compare.
    """
    wanted = {each for each in (workload, before.only, after.only) if each}
    if len(wanted) > 1:
        raise InputError(
            f"these are releases of {' and '.join(sorted(wanted))}; compare those of one workload"
        )
    names = wanted or {*before.sides, *after.sides}
    nothing = Side(None)
    found = [
        difference(before.sides.get(name, nothing), after.sides.get(name, nothing))
        for name in sorted(names)
        if name in before.sides or name in after.sides
    ]
    if not found:
        raise InputError(
            f"neither has a release{''.join(f' of {printable(name, 80)}' for name in wanted)}; "
            "`dmz release list` shows what there is"
        )
    return found


def on_disk(folder: Path, workload: str) -> Side:
    """A workload's release as a folder has it, with the licences of its bill of materials."""
    path = folder / sbom.name(workload)
    try:
        body = path.read_bytes() if path.exists() else None
    except OSError as error:
        raise InputError(f"{path} is unreadable ({error.strerror}); make it readable") from None
    return _side(releases.read(folder, workload), body, str(path))


def in_git(history: History, commit: str, workload: str) -> Side:
    """A workload's release as a commit has it, with the licences of its bill of materials."""
    release = history.release(commit, workload)
    name = sbom.name(workload)
    return _side(release, history.files(commit, [name])[name], f"{name} of {commit[:10]}")


def _side(release: Release | None, bill: bytes | None, where: str) -> Side:
    return Side(release, sbom.licences(bill, where) if bill is not None else {})
