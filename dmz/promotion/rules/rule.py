"""What a rule is: settings with a name and a sentence, and a look at one artifact that says what it saw.

A rule only observes. Whether an observation keeps the artifact out follows from the rule's effect and the
waivers, which `dmz.promotion.screening` puts together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar, Final, Protocol, runtime_checkable

from msgspec import Struct
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from dmz.artifact import Artifact, Kind
from dmz.promotion.base_image import BaseImage
from dmz.promotion.entry import Entry
from dmz.promotion.evidence import Evidence
from dmz.promotion.finding import Finding, Nature
from dmz.promotion.rules.settings import Ecosystem, chosen
from dmz.promotion.versions import PYPI
from dmz.promotion.withdrawal import Withdrawal


class Effect(StrEnum):
    """What comes of an observation that speaks against an artifact, the strongest first."""

    REFUSE = "refuse"
    WARN = "warn"
    """It enters, and the review says so."""
    DRY_RUN = "dry-run"
    """It enters, and the review says what `refuse` would have done."""

    def at_most(self, limit: Effect) -> Effect:
        """The weaker of the two."""
        return self if self is limit else max(self, limit, key=_BY_STRENGTH.index)


_BY_STRENGTH: Final = tuple(Effect)


class Answer(StrEnum):
    """What a rule does about a fact that nobody knows; never more than its effect."""

    REFUSE = "refuse"
    WARN = "warn"
    PASS = "pass"  # noqa: S105 - a word of the policy


AnAnswer = Annotated[Answer, chosen(Answer)]


class Observation(Struct, frozen=True, gc=False):
    """One thing that a rule saw."""

    words: str
    """For a person; a piece of a sentence, without a full stop."""
    against: Effect | None = None
    """None: a remark. Otherwise what it would lead to at most; the rule's effect may weaken it."""
    finding: Finding | None = None
    """What it is about, if somebody published it: a waiver names it by its ids, all else by the rule."""


@dataclass(frozen=True)
class Context:
    """What the rules may know besides the artifact."""

    today: datetime
    """The moment of the screening; aware."""
    requested: frozenset[str] = frozenset()
    """Names that the workload itself asks for, normalised."""
    previous: Mapping[str, Entry] = field(default_factory=dict)
    """The release that there is now: entries by the key of their artifact."""
    elsewhere: frozenset[str] = frozenset()
    """SHA-256 of the files in other workloads' releases, to which waivers may be due."""
    withdrawn: Mapping[str, Withdrawal] = field(default_factory=dict)
    """What was withdrawn at once inside, by SHA-256."""
    unseen: str = ""
    """Why nobody could look at what was withdrawn; empty: somebody did, or there is no inner side yet."""


@runtime_checkable
class Mends(Protocol):
    """A source of findings that also knows which version mends what."""

    def mends(self, ecosystem: str, name: str, version: str) -> Sequence[Finding]:
        """The findings of which a version is the fix, as their records say."""
        ...


@runtime_checkable
class Expects(Protocol):
    """A source of findings that answers many questions faster if it knows them beforehand."""

    def expecting(self, asked: Sequence[tuple[str, str, str]]) -> AbstractContextManager[None]:
        """While it lasts, these are asked: ecosystem, name and version, in this order."""
        ...


class Case(Struct, frozen=True, gc=False):
    """One artifact before the rules, with all that is known."""

    evidence: Evidence
    findings: tuple[Finding, ...]
    """What the sources have against it, one for each problem."""
    ecosystem: Ecosystem | None
    """Whose rules of naming and versions it follows; None: a file, vouched for by its SHA-256."""
    context: Context
    mended: Callable[[], Sequence[Finding]] = tuple
    """What adopting it mends: findings of which it is the fix, and those of the version released now."""

    @property
    def artifact(self) -> Artifact:
        """The artifact that is judged."""
        return self.evidence.entry.artifact

    def days(self, moment: datetime) -> int:
        """Whole days from a moment to the screening."""
        return (self.context.today - moment).days


def day(moment: datetime) -> str:
    """The day of a moment, for a person: `2026-11-22`."""
    return moment.date().isoformat()


def ecosystem_of(kind: Kind, image: BaseImage) -> Ecosystem | None:
    """The ecosystem of a kind of artifact on a base image; None for files."""
    match kind:
        case Kind.PYPI:
            return Ecosystem(PYPI)
        case Kind.APT:
            return Ecosystem(image.ecosystem.partition(":")[0])
        case Kind.FILE:
            return None


_ONLY_DISTRIBUTIONS: Final = frozenset({Ecosystem.PYPI})
_PACKAGES: Final = frozenset(Ecosystem)


@dataclass(frozen=True)
class ListFile:
    """A file of its own that a rule reads: as much policy as the policy's own."""

    path: Path
    digest: str
    """SHA-256 of its bytes."""


def _said(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("say in one line what the rule is for")
    return text


class Rule(BaseModel):
    """A rule of the policy: one table below `[rules]`."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        alias_generator=lambda name: name.replace("_", "-"),
        validate_by_name=True,
    )

    kind: ClassVar[str]
    """What the policy calls rules of this class."""
    concerns: ClassVar[frozenset[Ecosystem]] = _PACKAGES
    """Whose packages it looks at. No rule looks at files: what speaks for them is the workload's SHA-256."""

    name: Annotated[str, Field(exclude=True)] = ""
    """The table's name."""
    sentence: Annotated[str, AfterValidator(_said)]
    """What it is for, as the policy says it."""
    effect: Annotated[Effect, chosen(Effect)]

    @property
    def lists(self) -> tuple[ListFile, ...]:
        """The files that it was made from besides the policy's."""
        return ()

    def look(self, case: Case) -> Iterable[Observation]:
        """What it sees of an artifact that it concerns; at least one observation."""
        raise NotImplementedError

    def against(self, words: str, finding: Finding | None = None) -> Observation:
        """An observation that breaks the rule."""
        return Observation(words, Effect.REFUSE, finding)

    def unknown(self, answer: Answer, words: str, finding: Finding | None = None) -> Observation:
        """An observation that a fact is missing."""
        return Observation(words, None if answer is Answer.PASS else Effect(answer), finding)


class DistributionRule(Rule):
    """A rule for Python distributions alone: what it looks at does not exist elsewhere."""

    concerns: ClassVar[frozenset[Ecosystem]] = _ONLY_DISTRIBUTIONS


NOTHING_KNOWN: Final = "nothing is known against it"
"""What rules about findings say of whatever has none."""


class FindingRule(Rule):
    """A rule about findings alone, so that it can judge a version which nobody has fetched yet."""

    nature: ClassVar[Nature]
    """Which findings it is about."""

    def look(self, case: Case) -> Iterable[Observation]:
        """What the sources have against this version."""
        if case.ecosystem is None:
            return []
        found = [self.weigh(each, case.ecosystem) for each in case.findings if each.nature is self.nature]
        return found or [Observation(NOTHING_KNOWN)]

    def weigh(self, finding: Finding, ecosystem: Ecosystem) -> Observation:
        """What one finding of its nature means."""
        return self.against(described(finding), finding)


def described(finding: Finding, rating: str = "") -> str:
    """A finding in words: `CVE-2025-4565 (GHSA-…), high: Unbounded recursion, fixed in 5.29.5`."""
    summary = f": {finding.summary.rstrip('.')}" if finding.summary else ""
    fixed = ""
    if finding.nature is Nature.VULNERABILITY:
        fixed = f", fixed in {' or '.join(finding.fixed)}" if finding.fixed else ", no fixed version"
    return f"{finding.label}, {rating or _NATURES[finding.nature]}{summary}{fixed}"


_NATURES: Final[Mapping[Nature, str]] = {
    Nature.VULNERABILITY: "no severity given",
    Nature.MALWARE: "malicious",
    Nature.UNSUPPORTED: "not supported any more",
    Nature.DENIED: "on the deny list",
}
