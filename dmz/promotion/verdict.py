"""The verdict: what the rules of a policy saw of one artifact, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from dmz.promotion.entry import Entry
from dmz.promotion.evidence import Evidence
from dmz.promotion.finding import Finding, Nature
from dmz.promotion.rules.rule import Effect
from dmz.promotion.waivers import RULE, Waiver


class Seen(Struct, frozen=True, gc=False):
    """One observation of a rule, with the policy's effect and the waiver that concerns it."""

    rule: str
    words: str
    """For a person; with what a waiver says, where there is one."""
    effect: Effect | None
    """What it leads to; None: nothing, as it is only a remark or waived."""
    finding: Finding | None = None
    waiver: Waiver | None = None
    """Also one that has ended: then the effect stands."""
    final: bool = False
    """Whether no waiver could take its effect."""

    @property
    def waived(self) -> bool:
        """Whether a waiver takes its effect."""
        return self.waiver is not None and self.effect is None

    @property
    def id(self) -> str:
        """What a waiver would have to name: the finding's best known name, or `policy:RULE`."""
        return self.finding.label.split(" ")[0] if self.finding else RULE + self.rule


class Outcome(Struct, frozen=True, gc=False):
    """What one rule came to."""

    rule: str
    """Its name in the policy."""
    sentence: str
    effect: Effect
    """What the policy gives it."""
    seen: tuple[Seen, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing that it saw speaks against the artifact, or all of that is waived."""
        return all(each.effect is None for each in self.seen)

    @property
    def saw(self) -> str:
        """All of it in words."""
        return "; ".join(each.words for each in self.seen)


class Verdict(Struct, frozen=True, gc=False):
    """What a policy says of one artifact."""

    evidence: Evidence
    outcomes: tuple[Outcome, ...]
    """One for each rule, in the policy's order; then what no policy decides."""
    ending: tuple[Waiver, ...] = ()
    """Waivers that it rests on and that end soon."""

    @property
    def entry(self) -> Entry:
        """The artifact as it would stand in the release."""
        return self.evidence.entry

    @property
    def seen(self) -> Iterator[Seen]:
        """Everything that any rule saw."""
        return (each for outcome in self.outcomes for each in outcome.seen)

    @property
    def refusals(self) -> tuple[Seen, ...]:
        """What keeps it out; without any, it is admitted."""
        return tuple(each for each in self.seen if each.effect is Effect.REFUSE)

    @property
    def admitted(self) -> bool:
        """Whether it may enter."""
        return not self.refusals

    @property
    def refused_for(self) -> tuple[Finding, ...]:
        """The published findings that keep it out; other rules may do so besides."""
        return tuple(each.finding for each in self.refusals if each.finding)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the review has to say although it is admitted, a line each."""
        soon = [
            f"{each} for {', '.join(sorted(each.names))} ends on {each.until:%Y-%m-%d}"
            for each in self.ending
        ]
        return tuple(
            f"{each.rule}: {each.words}" for each in self.seen if each.effect is Effect.WARN
        ) + tuple(soon)

    @property
    def waivable(self) -> bool:
        """Whether a person may still accept it by a waiver: nobody accepts malware."""
        return not any(
            each.final or (each.finding and each.finding.nature is Nature.MALWARE) for each in self.refusals
        )
