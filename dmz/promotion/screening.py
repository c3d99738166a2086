"""Screening: what may enter. The facts about an artifact against the rules of a policy, with reasons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from typing import Final

from dmz.artifact import Artifact, Kind
from dmz.collecting import uncollected
from dmz.errors import RefusedError
from dmz.promotion import versions
from dmz.promotion.base_image import BaseImage
from dmz.promotion.entry import Entry
from dmz.promotion.evidence import Evidence, Source
from dmz.promotion.finding import Finding, Nature, merged
from dmz.promotion.fitness import check_age, check_waiver
from dmz.promotion.policy import Policy
from dmz.promotion.purl import purl
from dmz.promotion.rules.cool_down import CoolDownRule
from dmz.promotion.rules.rule import (
    NOTHING_KNOWN,
    Case,
    Context,
    Effect,
    Expects,
    FindingRule,
    Mends,
    Observation,
    Rule,
    ecosystem_of,
)
from dmz.promotion.rules.settings import Ecosystem
from dmz.promotion.verdict import Outcome, Seen, Verdict
from dmz.promotion.versions import PYPI
from dmz.promotion.waivers import RULE, Waiver, Waivers
from dmz.promotion.withdrawal import taken_back

WITHDRAWN: Final = "withdrawn"
"""What refuses the files of `dmz withdraw --now`, named like a rule."""
_STAYS_OUT: Final = "What was withdrawn at once stays out until that is taken back."
_FILES: Final = "files: the workload names their SHA-256"


class Screening:
    """A policy, what is known, and what was waived, ready to judge. The order of judging changes nothing."""

    def __init__(
        self, policy: Policy, sources: Sequence[Source], waivers: Waivers, image: BaseImage, context: Context
    ) -> None:
        """Raises:
        RefusedError: a source is older than the policy's limit.
        InputError: a waiver is of a rule that the policy does not have, or lasts longer than it allows.
        """
        self.policy = policy
        self.sources = tuple(sources)
        self.waivers = waivers
        self.context = context
        self._image = image
        self._ecosystems = {kind: ecosystem_of(kind, image) for kind in Kind}
        self._waived = frozenset(waiver.sha256 for waiver in waivers.all)
        self._covered: set[str] = set()
        self._said: dict[tuple[str, str, Effect | None], Outcome] = {}
        """What rules say of many artifacts, kept once: thousands of verdicts cost little memory."""
        self._rules = {
            (ecosystem, found): [(rule, self._idle(rule, ecosystem, found)) for rule in policy.rules]
            for ecosystem in self._ecosystems.values()
            for found in (True, False)
        }
        """By ecosystem and whether there are findings: the rules, with what they say without a look."""
        for source in sources:
            check_age(source, policy, context.today)
        for waiver in waivers.all:
            check_waiver(waiver, policy)

    def judge(self, evidence: Evidence) -> Verdict:
        """What the policy says of one artifact.

        Raises:
            InputError: its version is none.
            RefusedError: no source has records of its ecosystem.
        """
        case = self._case(evidence)
        rules = self._rules[case.ecosystem, bool(case.findings)]
        outcomes = tuple([idle or self._outcome(rule, case) for rule, idle in rules])
        outcomes += self._withdrawn(case.artifact)
        return Verdict(
            evidence, outcomes, self._ending(outcomes) if case.artifact.sha256 in self._waived else ()
        )

    def judge_all(self, evidence: Iterable[Evidence]) -> list[Verdict]:
        """What the policy says of many, in their order; errors as of `judge`."""
        every = list(evidence)
        with uncollected(), ExitStack() as stack:
            asked = [each for found in every if (each := self._asked(found.entry))]
            for source in self.sources:
                if isinstance(source, Expects):
                    stack.enter_context(source.expecting(asked))
            return [self.judge(each) for each in every]

    def passing_versions(
        self,
        kind: Kind,
        name: str,
        candidates: Iterable[str],
        published: Mapping[str, datetime | None] | None = None,
    ) -> list[str]:
        """Which versions of a distribution or a Debian source package the findings would admit, rising.

        A waiver is for one file and does not count here. What is no version in the ecosystem does not pass.

        Args:
            published: upload times by version; given, the cool-down counts as well.
        """
        ecosystem = PYPI if kind is Kind.PYPI else self._image.ecosystem
        known = {
            text: parsed for text in candidates if (parsed := versions.parse(ecosystem, text)) is not None
        }
        passing = [text for text in known if self._may_pass(kind, name, text, published)]
        return sorted(passing, key=lambda text: known[text])

    def unused(self, verdicts: Iterable[Verdict]) -> tuple[Waiver, ...]:
        """Waivers that none of these verdicts met, and that are of no other workload's file: what they waived
        has gone, or they name what is not there."""
        met = {each.waiver for verdict in verdicts for each in verdict.seen if each.waiver}
        unmet = (each for each in self.waivers.all if each not in met)
        return tuple(sorted(each for each in unmet if each.sha256 not in self.context.elsewhere))

    # ---- one case

    def _asked(self, entry: Entry) -> tuple[str, str, str] | None:
        """What sources are asked about an entry; None: nothing."""
        match entry.artifact.kind:
            case Kind.PYPI:
                return PYPI, _name(entry), _version(entry)
            case Kind.APT:
                return self._image.ecosystem, _name(entry), _version(entry)
            case Kind.FILE:
                return None

    def _known(self, kind: Kind, name: str, version: str, sha256: str = "") -> tuple[Finding, ...]:
        """What all sources have against a version, one for each problem."""
        if kind is Kind.FILE:
            return ()
        ecosystem = PYPI if kind is Kind.PYPI else self._image.ecosystem
        self._check_cover(ecosystem)
        found = [
            each for source in self.sources for each in source.findings(ecosystem, name, version, sha256)
        ]
        return merged(found)

    def _mended(self, kind: Kind, name: str, version: str) -> tuple[Finding, ...]:
        """What adopting a version mends: what it is the fix of, and what the version released now has."""
        ecosystem = PYPI if kind is Kind.PYPI else self._image.ecosystem
        fixed = [
            each
            for source in self.sources
            if isinstance(source, Mends)
            for each in source.mends(ecosystem, name, version)
        ]
        before = {
            _version(entry)
            for entry in self.context.previous.values()
            if entry.artifact.kind is kind and _name(entry) == name
        }
        had = [each for text in sorted(before - {version}) for each in self._known(kind, name, text)]
        return merged([*fixed, *had])

    def _case(self, evidence: Evidence) -> Case:
        artifact, name, version = evidence.entry.artifact, _name(evidence.entry), _version(evidence.entry)
        return Case(
            evidence,
            self._known(artifact.kind, name, version, artifact.sha256),
            self._ecosystems[artifact.kind],
            self.context,
            partial(self._mended, artifact.kind, name, version),
        )

    def _ending(self, outcomes: Iterable[Outcome]) -> tuple[Waiver, ...]:
        limit = self.context.today + self.policy.limits.waiver_warning
        ending = {each.waiver for outcome in outcomes for each in outcome.seen if each.waiver and each.waived}
        return tuple(sorted(each for each in ending if each.until <= limit))

    def _withdrawn(self, artifact: Artifact) -> tuple[Outcome, ...]:
        """What was withdrawn at once: a decision on these bytes, which neither policy nor waiver undoes."""
        record = self.context.withdrawn.get(artifact.sha256)
        if record is None:
            return ()
        words = f"{record.told} (that is taken back with: {taken_back(artifact)})"
        seen = Seen(WITHDRAWN, words, Effect.REFUSE, final=True)
        return (Outcome(WITHDRAWN, _STAYS_OUT, Effect.REFUSE, (seen,)),)

    def _check_cover(self, ecosystem: str) -> None:
        if ecosystem in self._covered:
            return
        covering = [cover for each in self.sources if callable(cover := getattr(each, "covers", None))]
        if covering and not any(cover(ecosystem) for cover in covering):
            raise RefusedError(
                f"{self.policy.sources.advisories}: no advisory is about {ecosystem}, so that everything "
                "would pass; bring its records with `dmz advisories update`, or leave these packages out"
            )
        self._covered.add(ecosystem)

    def _idle(self, rule: Rule, ecosystem: Ecosystem | None, found: bool) -> Outcome | None:
        """What a rule says of all artifacts of an ecosystem, with findings or without; None: it must look."""
        if ecosystem not in rule.concerns:
            about = f"not about {f'{ecosystem} packages' if ecosystem else _FILES}"
            return self._unwaived(rule, Observation(about))
        if isinstance(rule, FindingRule) and not found:
            return self._unwaived(rule, Observation(NOTHING_KNOWN))
        return None

    def _outcome(self, rule: Rule, case: Case) -> Outcome:
        found = tuple(rule.look(case))
        if len(found) == 1 and not (found[0].finding or case.artifact.sha256 in self._waived):
            return self._unwaived(rule, found[0])
        seen = tuple([self._weighed(rule, each, case.artifact) for each in found])
        return Outcome(rule.name, rule.sentence, rule.effect, seen)

    def _unwaived(self, rule: Rule, only: Observation) -> Outcome:
        """What a rule says of each artifact of which it sees this alone, and nobody waived anything."""
        key = (rule.name, only.words, only.against)
        known = self._said.get(key)
        if known is None:
            effect = only.against and only.against.at_most(rule.effect)
            seen = (Seen(rule.name, only.words, effect),)
            known = self._said[key] = Outcome(rule.name, rule.sentence, rule.effect, seen)
        return known

    def _weighed(self, rule: Rule, observation: Observation, artifact: Artifact) -> Seen:
        finding, words = observation.finding, observation.words
        if observation.against is None:
            return Seen(rule.name, words, None, finding)
        effect = observation.against.at_most(rule.effect)
        waiver = None
        if artifact.sha256 in self._waived:
            names = finding.names if finding else (RULE + rule.name,)
            waiver = self.waivers.of(purl(artifact, self._image), artifact.sha256, names, self.context.today)
        if waiver is None or (finding and finding.nature is Nature.MALWARE):
            return Seen(rule.name, words, effect, finding)
        if waiver.ended(self.context.today):
            return Seen(
                rule.name, f"{words}; {waiver} ended on {waiver.until:%Y-%m-%d}", effect, finding, waiver
            )
        if not waiver.in_force(self.context.today):
            text = f"{words}; {waiver} begins on {waiver.begins:%Y-%m-%d}"
            return Seen(rule.name, text, effect, finding, waiver)
        text = f"{words}; waived by {waiver.author} until {waiver.until:%Y-%m-%d}: {waiver.why}"
        return Seen(rule.name, text, None, finding, waiver)

    def _may_pass(
        self, kind: Kind, name: str, version: str, published: Mapping[str, datetime | None] | None
    ) -> bool:
        ecosystem = self._ecosystems[kind]
        found = self._known(kind, name, version)
        for rule in self.policy.rules:
            if rule.effect is not Effect.REFUSE:
                continue
            if isinstance(rule, FindingRule) and ecosystem:
                seen = [rule.weigh(each, ecosystem) for each in found if each.nature is rule.nature]
            elif isinstance(rule, CoolDownRule) and ecosystem and published is not None:
                mended = partial(self._mended, kind, name, version)
                seen = [rule.age(ecosystem, published.get(version), self.context.today, found, mended)]
            else:
                continue
            if any(each.against is Effect.REFUSE for each in seen):
                return False
        return True


def _name(entry: Entry) -> str:
    """What advisories call its package."""
    return entry.source or entry.artifact.name


def _version(entry: Entry) -> str:
    return entry.source_version or entry.artifact.version
