"""The sources that a policy names, as far as they lie on this machine."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from dmz.errors import RefusedError
from dmz.promotion.advisories.build import Say
from dmz.promotion.advisories.database import Database
from dmz.promotion.base_image import BaseImage
from dmz.promotion.evidence import Source
from dmz.promotion.policy import Policy
from dmz.promotion.sources.deny_list import DenyList
from dmz.promotion.sources.end_of_life import EndOfLife


def local(
    policy: Policy,
    image: BaseImage,
    today: datetime,
    *,
    cache: Path | None = None,
    say: Say = lambda line: None,
    expected: int = 0,
) -> tuple[Source, ...]:
    """Open the policy's files: advisories, deny list, end-of-life lists.

    Args:
        image: whose distribution and interpreter may have ended, and are meant where a list does not say.
        today: what ended by then has ended.
        cache: where the advisories' index is kept for the next time.
        say: told what it is at.
        expected: how many artifacts will be judged at once, as far as that is known.

    Raises:
        InputError: one of them is missing or no good.
        RefusedError: the advisories don't say how old they are.
    """
    named = policy.sources
    advisories = Database.open(policy.folder / named.advisories, cache, say, expected)
    if advisories.as_of is None:
        raise RefusedError(
            f"{policy.folder / named.advisories}: no record says when it was modified, so nobody knows how "
            "old they are; run `dmz advisories update`, or bring records as the OSV databases publish them"
        )
    found: list[Source] = [advisories]
    if named.deny_list:
        found.append(DenyList.read(policy.folder / named.deny_list))
    if named.end_of_life:
        paths = [policy.folder / path for path in named.end_of_life]
        day = today.astimezone(UTC).date()
        found.append(EndOfLife.read(paths, image.ecosystem, image.python, day))
    return tuple(found)
