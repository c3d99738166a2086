"""Policies, sources and cases for the tests of rules."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dmz.artifact import Artifact
from dmz.errors import InputError
from dmz.promotion.evidence import Evidence
from dmz.promotion.finding import Finding, Nature, Severity
from dmz.promotion.policy import Policy
from dmz.promotion.rules.rule import Context
from dmz.promotion.screening import Screening
from dmz.promotion.verdict import Outcome, Verdict
from dmz.promotion.waivers import Waivers
from tests.promotion.builders import entry, image, wheel

TODAY = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)

HEAD = """
[sources]
advisories = "advisories"

[limits]
advisories-max-age = "2 days"
attestation-max-age = "30 days"
waiver-longest = "180 days"
waiver-warning = "14 days"
"""
SEVERITY = """
[rules.severity]
sentence = "No known vulnerability."
effect = "refuse"
threshold = "high"
"""
MALWARE = """
[rules.malware]
sentence = "No attacks."
effect = "refuse"
"""


def policy(*rules: str, head: str = HEAD, path: Path = Path("policy.toml")) -> Policy:
    """A policy with these rules besides those that each needs, unless they are given."""
    text = head
    for name, needed in (("severity", SEVERITY), ("malware", MALWARE)):
        if not any(f"[rules.{name}]" in rule for rule in rules):
            text += needed
    return Policy.parse((text + "\n".join(rules)).encode(), path)


def said(call: Callable[[], object]) -> str:
    """What a refusal of bad input says; empty if it is taken."""
    try:
        call()
    except InputError as error:
        return str(error)
    return ""


def rule(name: str, settings: str = "", effect: str = "refuse") -> str:
    return f'[rules.{name}]\nsentence = "A test."\neffect = "{effect}"\n{settings}\n'


def finding(
    id: str = "CVE-2026-1",
    severity: Severity | None = Severity.HIGH,
    *,
    nature: Nature = Nature.VULNERABILITY,
    fixed: tuple[str, ...] = (),
    aliases: tuple[str, ...] = (),
    source: str = "osv",
) -> Finding:
    return Finding(id, aliases, "It breaks", severity, fixed, nature, source)


@dataclass
class Known:
    """A source whose findings a test writes down, by ecosystem, name and version."""

    found: dict[tuple[str, str, str], Sequence[Finding]] = field(default_factory=dict)
    as_of: datetime | None = TODAY
    name: str = "osv"
    digest: str = "0" * 64

    def findings(self, ecosystem: str, name: str, version: str, sha256: str = "") -> Sequence[Finding]:
        return self.found.get((ecosystem, name, version), ())


def against(*findings: Finding, version: str = "0.4.1", name: str = "jax") -> Known:
    """A source that has these findings against one version."""
    return Known({("PyPI", name, version): findings})


def screening(
    made: Policy,
    *sources: Any,
    waivers: Waivers | None = None,
    context: Context | None = None,
) -> Screening:
    return Screening(made, sources or (Known(),), waivers or Waivers(), image(), context or Context(TODAY))


def evidence(artifact: Artifact | None = None, **facts: Any) -> Evidence:
    return Evidence(entry(artifact or wheel()), **facts)


def outcome(verdict: Verdict, name: str) -> Outcome:
    [found] = [each for each in verdict.outcomes if each.rule == name]
    return found


def judged(rules: str, made: Evidence, *sources: Any, context: Context | None = None) -> Outcome:
    """What the first rule of a text says of an artifact."""
    [name] = list(tomllib.loads(rules)["rules"])[:1]
    return outcome(screening(policy(rules), *sources, context=context).judge(made), name)
