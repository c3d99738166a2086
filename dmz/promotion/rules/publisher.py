"""A publisher other than before: how a stolen account or a sold project shows."""

from __future__ import annotations

from collections.abc import Iterable

from dmz.promotion.rules.rule import Case, DistributionRule, Observation


class PublisherRule(DistributionRule):
    """The publisher that the attestation names is the one of the newest earlier version that has one."""

    kind = "publisher"

    def look(self, case: Case) -> Iterable[Observation]:
        """Who published this file, and who the one before."""
        now, before = case.evidence.publisher, case.evidence.former_publisher
        if before is None:
            yield Observation("no earlier version is known to say who published it")
        elif now is None:
            yield self.against(f"no attestation, while an earlier version was published by {before}")
        elif now != before:
            yield self.against(f"published by {now}, an earlier version by {before}")
        else:
            yield Observation(f"published by {now}, as before")
