"""What somebody here wrote on the deny list."""

from __future__ import annotations

from dmz.promotion.finding import Nature
from dmz.promotion.rules.rule import FindingRule


class DeniedRule(FindingRule):
    """Findings of the deny list that `[sources]` names."""

    kind = "denied"
    nature = Nature.DENIED
