"""Mending a release: the smallest change of its lock files after which nothing in it is refused.

It begins with the lock files and not with an inventory: what is admitted today stays as it is, and the rest
is settled as in a screening. A deb that its suites have replaced meanwhile, as they do with every security
update, gives way to the next version that they have, together with all debs of the same source package: outer
could not vouch for it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from dmz.artifact import Kind
from dmz.errors import InputError
from dmz.promotion import release as releases
from dmz.promotion.entry import Entry
from dmz.promotion.evidence import Evidence
from dmz.promotion.refusal import Remedy
from dmz.promotion.release import Release
from dmz.promotion.versions import DpkgVersion
from dmz.promotion.workload import workload_digest
from dmz.registries.google import connect
from dmz.registries.index import Found
from dmz.workflow.claims import Say
from dmz.workflow.estate import Estate
from dmz.workflow.outer import Outer
from dmz.workflow.screen import Screened, admit
from dmz.workflow.sources import screening


async def mend(estate: Estate, say: Say, today: datetime | None = None) -> Screened | None:
    """Write lock files in which nothing is refused any more; nothing is copied.

    Args:
        today: the moment to judge for; None: now.

    Returns:
        What the screening came to; None if nothing has to be mended, and nothing was written.

    Raises:
        ScreeningRefusedError: something is refused and nothing takes its place; no file was written.
        RefusedError: what is known is too old to judge by, or a repository has other bytes than the lock.
        InputError: there is no release, or it is of another workload file or base image.
    """
    release = releases.read(estate.releases, estate.workload.name)
    _check(release, estate)
    outputs, image = estate.outer_outputs(), estate.base_image
    async with connect(outputs["location"]) as google:
        judge = await screening(estate, google, say, today)
        outer = Outer(google, outputs, image, say)
        say("asking the outer repositories what they have of the release")
        now = _renewed({entry: await outer.suites.named(entry.artifact.name) for entry in _debs(release)})
        found = await outer.gather([now.get(entry, entry) for entry in release.entries])
        if not now and all(judge.judge(each).admitted for each in found):
            return None
        verdicts = ((judge.judge(_alone(entry)), other) for entry, other in now.items())
        before = [
            (verdict, Remedy(other.artifact.version, True))
            for verdict, other in verdicts
            if not verdict.admitted
        ]
        return await admit(estate, judge, outer, found, release.dpkg_digest, say, before)


def _check(release: Release, estate: Estate) -> None:
    where, again = f"{estate.releases}: the release of {release.workload}", "run `dmz screen` for a new one"
    if release.workload_digest != workload_digest(estate.workload):
        raise InputError(f"{where} was made for another version of the workload file; {again}")
    if release.runtime != estate.base_image.runtime:
        raise InputError(
            f"{where} is for the base image '{release.runtime}', dmz:runtime is "
            f"'{estate.base_image.runtime}'; {again}"
        )


def _debs(release: Release) -> list[Entry]:
    return [entry for entry in release.entries if entry.artifact.kind is Kind.APT]


def _renewed(offered: Mapping[Entry, Sequence[Found]]) -> dict[Entry, Entry]:
    """The debs that no suite has any more, and what takes their place, as far as there is something."""
    leaving = {
        (entry.source, entry.source_version)
        for entry, found in offered.items()
        if not any(each.stanza.version == entry.artifact.version for each in found)
    }
    taken = {
        entry: _next(entry, found)
        for entry, found in offered.items()
        if (entry.source, entry.source_version) in leaving
    }
    return {entry: other for entry, other in taken.items() if other}


def _alone(entry: Entry) -> Evidence:
    """A deb by what its suite says of it."""
    return Evidence(entry, upstreams=(entry.artifact.origin,))


def _next(entry: Entry, offered: Sequence[Found]) -> Entry | None:
    """The lowest version above this one that the suites have; failing that, the highest."""
    order = {
        _entry(entry, each): DpkgVersion(each.stanza.version)
        for each in offered
        if each.stanza.architecture == entry.artifact.architecture
        and each.stanza.version != entry.artifact.version
    }
    here = DpkgVersion(entry.artifact.version)
    above = [made for made, version in order.items() if here < version]
    return min(above, key=order.__getitem__) if above else max(order, key=order.__getitem__, default=None)


def _entry(entry: Entry, found: Found) -> Entry:
    stanza = found.stanza
    artifact = replace(
        entry.artifact,
        version=stanza.version,
        filename=stanza.filename,
        sha256=stanza.sha256,
        size=stanza.size,
        origin=found.repository,
    )
    return Entry(artifact, source=stanza.source, source_version=stanza.source_version)
