"""The cool-down: how old a file must be, since most attacks by a new version are found within days."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from dmz.promotion.finding import Finding, Nature
from dmz.promotion.rules.rule import AnAnswer, Answer, Case, Observation, Rule, day
from dmz.promotion.rules.settings import ASeverity, Duration, Each, Ecosystem

_NEVER: Final = "never"


def _fix(value: object) -> object:
    return None if value == _NEVER else value


def _period(value: object) -> object:
    return None if value == "none" else value


Period = Annotated[Duration | None, BeforeValidator(_period)]


class CoolDownRule(Rule):
    """Nothing younger than a period, unless it is the fix of something worse than being new."""

    kind = "cool-down"

    period: Each[Period]
    """From the upload of the file (PEP 700), or from when a Debian version entered its suite; or `none`."""
    security_fixes: Annotated[ASeverity | None, BeforeValidator(_fix)] = None
    """A version passes early that mends a finding of this severity or worse (or one that nobody rated):
    one that the version has which is released now, or one whose advisory names this version as the fix.
    `never` lets none pass."""
    unknown_time: Annotated[Each[AnAnswer], Field(alias="unknown")] = dict.fromkeys(Ecosystem, Answer.REFUSE)
    """For what has no upload time."""

    def look(self, case: Case) -> Iterable[Observation]:
        """The age of a file."""
        if case.ecosystem is None:
            return []
        published = case.evidence.published or case.evidence.entry.uploaded
        return [self.age(case.ecosystem, published, case.context.today, case.findings, case.mended)]

    def age(
        self,
        ecosystem: Ecosystem,
        published: datetime | None,
        today: datetime,
        findings: Sequence[Finding],
        mended: Callable[[], Sequence[Finding]],
    ) -> Observation:
        """The age of a file, or of a version that nobody has fetched yet.

        Args:
            findings: what it has itself.
            mended: what adopting it mends.
        """
        period = self.period[ecosystem]
        if period is None:
            return Observation("no cool-down for this ecosystem")
        if published is None:
            return self.unknown(self.unknown_time[ecosystem], "upload time not known")
        if today - published >= period:
            return Observation(f"published {day(published)}")
        seconds = (today - published).total_seconds()
        when = "in the future" if seconds < 0 else f"{_length(seconds)} ago"
        young = f"published {when}, the cool-down is {_length(period.total_seconds())}"
        still = {name for finding in findings for name in finding.names}
        for each in mended() if self.security_fixes is not None else ():
            if self._matters(each) and still.isdisjoint(each.names):
                return Observation(f"{young}; passes early, as it mends {each.label}")
        return self.against(young)

    def _matters(self, finding: Finding) -> bool:
        if finding.nature is Nature.MALWARE:
            return True
        if finding.nature is not Nature.VULNERABILITY or self.security_fixes is None:
            return False
        return finding.severity is None or finding.severity >= self.security_fixes


def _length(seconds: float) -> str:
    days, hours = int(seconds // 86400), int(seconds // 3600)
    count, unit = (days, "day") if days else (hours, "hour")
    return f"{count} {unit}{'' if count == 1 else 's'}"
