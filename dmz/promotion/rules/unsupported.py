"""What nobody mends any more, by the published end-of-life lists."""

from __future__ import annotations

from dmz.promotion.finding import Nature
from dmz.promotion.rules.rule import FindingRule


class UnsupportedRule(FindingRule):
    """Findings of the end-of-life lists that `[sources]` names."""

    kind = "unsupported"
    nature = Nature.UNSUPPORTED
