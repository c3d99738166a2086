"""Severity, malware, denied, unsupported: the rules about published findings."""

from __future__ import annotations

import pytest

from dmz.errors import InputError
from dmz.promotion.evidence import Evidence
from dmz.promotion.finding import Nature, Severity
from tests.promotion.builders import deb, entry, file
from tests.promotion.rules.cases import (
    Known,
    against,
    evidence,
    finding,
    judged,
    policy,
    rule,
    screening,
)

TABLE = 'threshold = { PyPI = "critical", Debian = "low", Ubuntu = "none" }'


@pytest.mark.parametrize(
    ("severity", "threshold", "passed"),
    [
        (Severity.HIGH, "high", False),
        (Severity.CRITICAL, "high", False),
        (Severity.MEDIUM, "high", True),
        (Severity.NONE, "none", False),
        (Severity.HIGH, "critical", True),
    ],
)
def test_a_finding_counts_from_the_threshold_on(severity: Severity, threshold: str, passed: bool) -> None:
    text = rule("severity", f'threshold = "{threshold}"')
    assert judged(text, evidence(), against(finding(severity=severity))).passed is passed


def test_each_ecosystem_has_its_threshold() -> None:
    low = finding(severity=Severity.LOW)
    source = Known({("PyPI", "jax", "0.4.1"): [low], ("Debian:12", "jq-src", "1.6"): [low]})
    assert judged(rule("severity", TABLE), evidence(), source).passed
    made = Evidence(entry(deb("libjq1"), "jq-src", "1.6"))
    assert not judged(rule("severity", TABLE), made, source).passed


def test_below_the_threshold_it_is_noted_with_the_threshold() -> None:
    verdict = screening(policy(), against(finding(severity=Severity.LOW))).judge(evidence())
    assert verdict.admitted
    assert [each.id for each in verdict.seen if each.finding] == ["CVE-2026-1"]
    assert "low: It breaks, no fixed version (below high)" in verdict.outcomes[0].saw


def test_a_finding_without_severity_is_refused_unless_the_rule_says_otherwise() -> None:
    source = against(finding(severity=None))
    assert not judged(rule("severity", 'threshold = "critical"'), evidence(), source).passed
    for answer, admitted, warnings in (("refuse", False, 0), ("warn", True, 1), ("pass", True, 0)):
        made = policy(rule("severity", f'threshold = "critical"\nunrated = "{answer}"'))
        verdict = screening(made, source).judge(evidence())
        assert verdict.admitted is admitted
        assert len(verdict.warnings) == warnings


@pytest.mark.parametrize("severity", [None, Severity.CRITICAL])
def test_what_no_version_mends_is_refused_unless_the_rule_says_otherwise(severity: Severity | None) -> None:
    for fixed in ((), ("0.4.2",)):
        source = against(finding(severity=severity, fixed=fixed))
        assert not judged(rule("severity", 'threshold = "low"'), evidence(), source).passed
        for answer, warnings in (("warn", 1), ("pass", 0)):
            made = policy(rule("severity", f'threshold = "low"\nunfixed = "{answer}"'))
            verdict = screening(made, source).judge(evidence())
            assert (verdict.admitted, len(verdict.warnings)) == ((False, 0) if fixed else (True, warnings))


@pytest.mark.parametrize("severity", [None, Severity.NONE, Severity.LOW])
def test_malware_is_refused_whatever_its_rating(severity: Severity | None) -> None:
    source = against(finding("MAL-2026-1", severity, nature=Nature.MALWARE))
    verdict = screening(policy(), source).judge(evidence())
    assert [each.rule for each in verdict.refusals] == ["malware"]
    assert "malicious" in verdict.refusals[0].words
    assert not verdict.waivable


@pytest.mark.parametrize("effect", ["warn", "dry-run"])
def test_a_policy_that_lets_malware_in_does_not_parse(effect: str) -> None:
    with pytest.raises(InputError, match=r"rules\.malware: .*no other effect"):
        policy(rule("malware", effect=effect))


def test_each_nature_has_its_rule_and_no_other() -> None:
    made = policy(rule("denied"), rule("unsupported"))
    for nature, expected in (
        (Nature.DENIED, "denied"),
        (Nature.UNSUPPORTED, "unsupported"),
        (Nature.MALWARE, "malware"),
        (Nature.VULNERABILITY, "severity"),
    ):
        verdict = screening(made, against(finding(nature=nature))).judge(evidence())
        assert [each.rule for each in verdict.outcomes if not each.passed] == [expected]


def test_a_file_is_vouched_for_by_its_digest() -> None:
    found = judged(rule("severity", 'threshold = "low"'), Evidence(entry(file())))
    assert found.passed
    assert "SHA-256" in found.saw
