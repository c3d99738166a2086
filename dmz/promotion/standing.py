"""Standing: what a release that was admitted once would be said of today.

Nothing of the release changes by itself, but what is known does: an advisory is published, a list grows, a
waiver ends, support runs out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from dmz.artifact import Artifact
from dmz.cache import cache_folder
from dmz.errors import DmzError
from dmz.promotion.advisories.build import Say
from dmz.promotion.base_image import BaseImage, base_image
from dmz.promotion.entry import Entry
from dmz.promotion.evidence import Evidence
from dmz.promotion.policy import Policy
from dmz.promotion.release import Release
from dmz.promotion.rules.rule import Context, FindingRule
from dmz.promotion.screening import Screening
from dmz.promotion.sources.configured import local
from dmz.promotion.verdict import Seen, Verdict
from dmz.promotion.waivers import Waiver, Waivers

REQUESTED: Final = "requested"
"""The reason in the lock files of what the workload itself asks for."""


@dataclass(frozen=True)
class Standing:
    """How one release stands today."""

    release: Release
    verdicts: tuple[Verdict, ...]
    """Of its entries, in their order."""
    rules: frozenset[str]
    """Rules that could be judged: all of them, or those about findings where nothing but the lock files and
    the sources were at hand."""

    @property
    def refused(self) -> list[tuple[Entry, tuple[Seen, ...]]]:
        """The entries that would be refused now, with the reasons."""
        found = (
            (verdict.entry, tuple(each for each in verdict.refusals if each.final or each.rule in self.rules))
            for verdict in self.verdicts
        )
        return [(entry, seen) for entry, seen in found if seen]

    @property
    def ending(self) -> list[tuple[Artifact, Waiver]]:
        """Waivers that the release rests on and that end soon, by artifact."""
        return [(verdict.entry.artifact, each) for verdict in self.verdicts for each in verdict.ending]

    @property
    def holds(self) -> bool:
        """Whether nothing would be refused now."""
        return not self.refused

    def lines(self) -> list[str]:
        """What would be refused now and what ends soon, one line each, the first sort first."""
        found = [
            f"{entry.artifact.key} {entry.artifact.version} would be refused now: "
            + "; ".join(each.words if each.finding else f"{each.rule}: {each.words}" for each in seen)
            for entry, seen in self.refused
        ]
        found += [
            f"{artifact.key} {artifact.version}: {waiver} for {', '.join(sorted(waiver.names))} ends on "
            f"{waiver.until:%Y-%m-%d}"
            for artifact, waiver in self.ending
        ]
        return found


def stand(release: Release, screening: Screening, known: Iterable[Evidence] | None = None) -> Standing:
    """Judge a release again.

    Args:
        release: what was admitted once.
        screening: with today's policy, sources and waivers.
        known: the facts about the entries as the repositories and their upstream tell them today; None when
            nobody was asked. Then only rules about findings are judged: what the others look at was known
            when the release was screened, and its lock files don't keep it.

    Raises:
        RefusedError: no source has records of an entry's ecosystem.
    """
    rules = frozenset(
        rule.name for rule in screening.policy.rules if known is not None or isinstance(rule, FindingRule)
    )
    facts: Mapping[str, Evidence] = {each.entry.artifact.key: each for each in known or ()}
    asked = (
        facts.get(entry.artifact.key) or Evidence(entry, published=entry.uploaded)
        for entry in release.entries
    )
    return Standing(release, tuple(screening.judge_all(asked)), rules)


def findings(verdicts: Iterable[Verdict]) -> dict[str, tuple[str, ...]]:
    """What the sources have against entries, refused or not, by the artifact's key."""
    return {
        verdict.entry.artifact.key: tuple(
            dict.fromkeys(seen.finding.label for seen in verdict.seen if seen.finding)
        )
        for verdict in verdicts
    }


def context(release: Release, today: datetime) -> Context:
    """What the rules may know of a release besides its artifacts, from its lock files."""
    asked = (artifact.name for artifact in release.artifacts if REQUESTED in artifact.why)
    return Context(today, frozenset(asked), {entry.artifact.key: entry for entry in release.entries})


def became_refused(
    releases: Sequence[Release],
    policy: Path,
    waivers: Path,
    images: Mapping[str, BaseImage],
    today: datetime,
    say: Say = lambda line: None,
) -> list[str]:
    """What of these releases would be refused today by the findings that lie in the checkout: no network.

    For a preview, which must not fail for it: what kept it from looking is a line too.

    Args:
        releases: what is in the checkout.
        policy: the policy's file.
        waivers: the folder of waivers.
        images: base images by runtime.
        today: now; aware.
        say: told what it is at, when the advisories have to be read for the first time.

    Returns:
        One line each, the workload first; none when everything would still be admitted.
    """
    found: list[str] = []
    try:
        read, accepted = Policy.read(policy), Waivers.read(waivers)
        for release in releases:
            image = base_image(release.runtime, images)
            count = len(release.entries)
            sources = local(read, image, today, cache=cache_folder(), say=say, expected=count)
            screening = Screening(read, sources, accepted, image, context(release, today))
            found += [f"{release.workload}: {line}" for line in stand(release, screening).lines()]
    except DmzError as error:
        found.append(f"not all releases were screened again: {error}")
    return found
