"""How bad a record says it is: CVSS vectors, else the words of a distribution or a database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from cvss import CVSS3, CVSS4
from cvss.exceptions import CVSSError

from dmz.promotion.advisories.records import Affected, Record, Score
from dmz.promotion.finding import Severity

_WORDS: Final[Mapping[str, Severity]] = {
    "negligible": Severity.LOW,
    "unimportant": Severity.LOW,
    "low": Severity.LOW,
    "moderate": Severity.MEDIUM,
    "medium": Severity.MEDIUM,
    "important": Severity.HIGH,
    "high": Severity.HIGH,
    "critical": Severity.CRITICAL,
}
"""GitHub's words, Ubuntu's priorities and Debian's urgencies. Any other (`not yet assigned`) says nothing.

See "priority" in what Ubuntu Security says about its CVE reports, and "severity levels" in the documentation
of Debian's security tracker.
"""


def severity(scores: Iterable[Score], words: Iterable[str]) -> Severity | None:
    """The worst that the scores say; without a readable one, the worst of the words; None: nobody says."""
    rated = [rating for score in scores if (rating := _rating(score.type, score.score)) is not None]
    if rated:
        return max(rated)
    return max((_WORDS[word.lower()] for word in words if word.lower() in _WORDS), default=None)


def words_of(record: Record, affected: Affected) -> tuple[str, ...]:
    """What the database and the distribution call it."""
    said: list[Any] = []
    if affected.database_specific:
        said.append(affected.database_specific.severity)
    if affected.ecosystem_specific:
        said.append(affected.ecosystem_specific.urgency)
    if record.database_specific:
        said.append(record.database_specific.severity)
    return tuple([word for word in said if isinstance(word, str) and word.lower() in _WORDS])


@lru_cache(maxsize=16384)
def _rating(kind: str, score: str) -> Severity | None:
    try:
        match kind:
            case "CVSS_V3":
                return Severity[CVSS3(score).severities()[0].upper()]
            case "CVSS_V4":
                return Severity[CVSS4(score).severity.upper()]
            case "Ubuntu":
                return _WORDS.get(score.lower())
            case _:
                return None
    except (CVSSError, KeyError):
        return None
