"""Projects that nobody looks after any more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

from pydantic import Field

from dmz.promotion.evidence import Status
from dmz.promotion.rules.rule import AnAnswer, Answer, Case, DistributionRule, Observation, day
from dmz.promotion.rules.settings import Duration

_GONE: Final = {Status.ARCHIVED: "archived", Status.DEPRECATED: "deprecated"}


class AbandonedRule(DistributionRule):
    """Projects that their index calls archived or deprecated (PEP 792), or that were silent for long."""

    kind = "abandoned"

    silence: Duration
    """How long a project may go without any upload."""
    unknown_activity: Annotated[AnAnswer, Field(alias="unknown")] = Answer.REFUSE
    """For a project of which the last upload is not known."""

    def look(self, case: Case) -> Iterable[Observation]:
        """The state of the project."""
        evidence = case.evidence
        if evidence.status in _GONE:
            yield self.against(f"its index calls the project {_GONE[evidence.status]}")
        if evidence.last_upload is None:
            yield self.unknown(self.unknown_activity, "the project's last upload is not known")
        elif case.context.today - evidence.last_upload > self.silence:
            years = case.days(evidence.last_upload) / 365
            yield self.against(
                f"nothing was published since {day(evidence.last_upload)}, {years:.1f} years ago"
            )
        else:
            yield Observation(f"last upload {day(evidence.last_upload)}")
