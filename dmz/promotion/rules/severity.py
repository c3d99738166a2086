"""Known vulnerabilities, by how bad they are."""

from __future__ import annotations

from typing import Final

from dmz.promotion.finding import Finding, Nature
from dmz.promotion.rules.rule import AnAnswer, Answer, FindingRule, Observation, described
from dmz.promotion.rules.settings import ASeverity, Each, Ecosystem

_MILD: Final = (Answer.PASS, Answer.WARN, Answer.REFUSE)


class SeverityRule(FindingRule):
    """Findings from a threshold on. What nobody rated has a setting of its own: it is not harmless."""

    kind = "severity"
    nature = Nature.VULNERABILITY

    threshold: Each[ASeverity]
    """From which severity on a finding counts."""
    unrated: Each[AnAnswer] = dict.fromkeys(Ecosystem, Answer.REFUSE)
    """What to do about findings without a severity."""
    unfixed: Each[AnAnswer] = dict.fromkeys(Ecosystem, Answer.REFUSE)
    """What to do about findings that count and that no version mends yet: nobody can take a better one."""

    def weigh(self, finding: Finding, ecosystem: Ecosystem) -> Observation:
        """Against the threshold of the ecosystem."""
        unfixed = Answer.REFUSE if finding.fixed else self.unfixed[ecosystem]
        if finding.severity is None:
            answer = min(self.unrated[ecosystem], unfixed, key=_MILD.index)
            rating = "no severity given" + (", so refused" if answer is Answer.REFUSE else "")
            return self.unknown(answer, described(finding, rating), finding)
        words = described(finding, str(finding.severity))
        if finding.severity >= self.threshold[ecosystem]:
            if unfixed is Answer.REFUSE:
                return self.against(words, finding)
            return self.unknown(unfixed, words, finding)
        return Observation(f"{words} (below {self.threshold[ecosystem]})", None, finding)
