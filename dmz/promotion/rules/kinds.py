"""All kinds of rules: the one place where a new one is entered."""

from __future__ import annotations

from typing import Final

from dmz.promotion.rules.abandoned import AbandonedRule
from dmz.promotion.rules.attestations import AttestationsRule
from dmz.promotion.rules.builds import BuildsRule
from dmz.promotion.rules.cool_down import CoolDownRule
from dmz.promotion.rules.denied import DeniedRule
from dmz.promotion.rules.licences import LicencesRule
from dmz.promotion.rules.lookalikes import LookalikesRule
from dmz.promotion.rules.malware import MalwareRule
from dmz.promotion.rules.origins import OriginsRule
from dmz.promotion.rules.publisher import PublisherRule
from dmz.promotion.rules.rule import Rule
from dmz.promotion.rules.severity import SeverityRule
from dmz.promotion.rules.unsupported import UnsupportedRule
from dmz.promotion.rules.yanked import YankedRule

KINDS: Final[dict[str, type[Rule]]] = {
    kind.kind: kind
    for kind in (
        SeverityRule,
        MalwareRule,
        DeniedRule,
        UnsupportedRule,
        LicencesRule,
        CoolDownRule,
        OriginsRule,
        LookalikesRule,
        BuildsRule,
        YankedRule,
        AbandonedRule,
        AttestationsRule,
        PublisherRule,
    )
}
