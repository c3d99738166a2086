"""Looking a version up in an index: which records concern it, and the findings that they make."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Final

from dmz.promotion import versions
from dmz.promotion.advisories.aliases import Match, names, subjects, together
from dmz.promotion.advisories.coverage import Coverage
from dmz.promotion.advisories.index import Index
from dmz.promotion.advisories.ranges import bounds
from dmz.promotion.advisories.records import Score
from dmz.promotion.advisories.severity import severity
from dmz.promotion.advisories.stored import Known, Said, rating_of
from dmz.promotion.finding import Finding, Nature, Severity
from dmz.promotion.wording import printable

Question = tuple[str, str, str]
"""Ecosystem, name and version, each as an index has them: one spelling for what is the same, and a version
that is one."""

_SUMMARY: Final = 160
"""Characters of a record's summary that a finding repeats."""
_by_id: Final = attrgetter("id")


class Lookup:
    """Looks versions up in an index."""

    def __init__(self, index: Index) -> None:
        self._index: Final = index
        # A new resolution asks for every version of a few packages.
        self._coverage: Final = lru_cache(maxsize=64)(self._read)

    def findings(self, asked: Question) -> tuple[Finding, ...]:
        """What is known against a version."""
        return self._found(asked, Coverage.concerning)

    def mends(self, asked: Question) -> tuple[Finding, ...]:
        """The findings of which a version is the fix, as their records say."""
        return self._found(asked, Coverage.mended_by)

    def _read(self, ecosystem: str, name: str) -> Coverage | None:
        said = self._index.said(ecosystem, name)
        return Coverage(ecosystem, said) if said else None

    def _found(
        self, asked: Question, which: Callable[[Coverage, versions.Ordered, str], Sequence[Said]]
    ) -> tuple[Finding, ...]:
        ecosystem, name, text = asked
        coverage = self._coverage(ecosystem, name)
        version = versions.parse(ecosystem, text) if coverage else None
        if coverage is None or version is None:
            return ()
        said = which(coverage, version, text)
        return self._findings(ecosystem, said) if said else ()

    def _findings(self, ecosystem: str, said: Sequence[Said]) -> tuple[Finding, ...]:
        known = self._index.known({number for number, *_ in said})
        matched = [_match(*known[number], ecosystem, ranges, rating) for number, ranges, _, rating in said]
        matched.sort(key=_by_id)
        return tuple(sorted(map(_finding, together(matched)), key=lambda found: (found.label, found.id)))


def _match(known: Known, group: str, ecosystem: str, ranges: bytes, rating: bytes) -> Match:
    about = subjects(known.id, known.aliases, known.upstream)
    return Match(
        known.id,
        names(known.id, known.aliases, about),
        about,
        group,
        known.summary,
        _rated(rating, known.scores),
        bounds(ecosystem, ranges).fixed,
    )


@lru_cache(maxsize=16384)  # there are few different ones
def _rated(rating: bytes, general: tuple[Score, ...]) -> Severity | None:
    scores, words = rating_of(rating)
    return severity((*scores, *general), words)


def _finding(group: Sequence[Match]) -> Finding:
    first = group[0]
    if len(group) == 1:  # as most are
        called, rated, fixed, summary = set(first.names), first.severity, first.fixed, first.summary
    else:
        called = {name for each in group for name in each.names}
        rated = max((each.severity for each in group if each.severity is not None), default=None)
        fixed = {text: version for each in group for text, version in each.fixed.items()}
        summary = next((each.summary for each in group if each.summary), "")
    called.discard(first.id)
    return Finding(
        first.id,
        tuple(sorted(called)),
        printable(summary, _SUMMARY),
        rated,
        tuple(fixed if len(fixed) < 2 else sorted(fixed, key=fixed.__getitem__)),
        _nature(first.id, called),
    )


def _nature(identity: str, aliases: Iterable[str]) -> Nature:
    # OSV's records of malware have ids `MAL-…`.
    attacks = [name for name in (identity, *aliases) if name.startswith("MAL-")]
    return Nature.MALWARE if attacks else Nature.VULNERABILITY
