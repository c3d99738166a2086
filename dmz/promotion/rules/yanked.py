"""What its publisher or the index took back."""

from __future__ import annotations

from collections.abc import Iterable

from dmz.promotion.evidence import Status
from dmz.promotion.rules.rule import AnAnswer, Answer, Case, DistributionRule, Observation
from dmz.promotion.wording import printable


class YankedRule(DistributionRule):
    """Files that are yanked (PEP 592) or gone from the index, and projects in quarantine there (PEP 792)."""

    kind = "yanked"

    deleted: AnAnswer = Answer.REFUSE
    """For a file that the index offers no more without saying why: attacks are removed so, and old files too.
    `warn` lets a release go back to what the archive has, without a waiver."""

    def look(self, case: Case) -> Iterable[Observation]:
        """Whether it was taken back."""
        evidence = case.evidence
        if evidence.yanked is not None:
            reason = (
                f": {printable(evidence.yanked, 120)}" if evidence.yanked.strip() else ", without a reason"
            )
            yield self.against(f"taken back by its publisher{reason}")
        if evidence.status is Status.QUARANTINED:
            yield self.against("the index has quarantined the project: it is suspected of an attack")
        if evidence.deleted:
            yield self.unknown(self.deleted, "upstream does not offer it any more, and does not say why")
        if evidence.yanked is None and not evidence.deleted and evidence.status is not Status.QUARANTINED:
            yield Observation("nothing says that it was taken back")
