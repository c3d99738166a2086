"""Each rule with each effect, on something that breaks it; what it does about unknown facts."""

from __future__ import annotations

from typing import Any

import pytest

from dmz.promotion.evidence import Evidence, Publisher, Status
from dmz.promotion.finding import Nature
from dmz.promotion.rules.kinds import KINDS
from dmz.promotion.rules.rule import Effect
from tests.promotion.builders import deb, wheel
from tests.promotion.rules.cases import (
    DAY,
    TODAY,
    Known,
    against,
    evidence,
    finding,
    judged,
    outcome,
    policy,
    rule,
    screening,
)

NOTHING = Known()
BROKEN: dict[str, tuple[str, Evidence, Known]] = {
    "severity": ('threshold = "high"', evidence(), against(finding())),
    "denied": ("", evidence(), against(finding("DENIED-1", None, nature=Nature.DENIED))),
    "unsupported": ("", evidence(), against(finding("EOL-1", None, nature=Nature.UNSUPPORTED))),
    "licences": ('allow = ["MIT"]', evidence(licence="GPL-3.0-only"), NOTHING),
    "cool-down": ('period = "7 days"', evidence(published=TODAY - DAY), NOTHING),
    "origins": ('public = ["apt-*"]', evidence(), NOTHING),
    "lookalikes": ("", evidence(wheel("reqeusts")), NOTHING),
    "builds": ("", evidence(wheel(origin="python-built")), NOTHING),
    "yanked": ("", evidence(yanked="broken"), NOTHING),
    "abandoned": ('silence = "1 year"', evidence(last_upload=TODAY, status=Status.ARCHIVED), NOTHING),
    "attestations": ('required = ["jax"]', evidence(), NOTHING),
    "publisher": ("", evidence(former_publisher=Publisher("GitHub", "jax-ml/jax release.yml")), NOTHING),
}
KEPT: dict[str, dict[str, Any]] = {
    "licences": {"licence": "MIT"},
    "cool-down": {"published": TODAY - 8 * DAY},
    "abandoned": {"last_upload": TODAY, "status": Status.ACTIVE},
    "attestations": {"publisher": Publisher("GitHub", "jax-ml/jax release.yml")},
}


def test_every_kind_but_malware_which_has_one_effect_is_here() -> None:
    assert set(BROKEN) | {"malware"} == set(KINDS)


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("effect", ["refuse", "warn", "dry-run"])
def test_the_effect_decides_what_comes_of_a_broken_rule(kind: str, effect: str) -> None:
    settings, made, source = BROKEN[kind]
    text = rule("tried", f'kind = "{kind}"\n{settings}', effect)
    # A severity rule on trial stands beside the one that every policy has; that one is out of reach here.
    strict = policy(text, rule("severity", 'threshold = "critical"'))
    verdict = screening(strict, source).judge(made)
    found = outcome(verdict, "tried")
    assert not found.passed
    assert found.saw
    assert verdict.admitted is (effect != "refuse")
    assert [each.rule for each in verdict.refusals] == (["tried"] if effect == "refuse" else [])
    assert [line.partition(":")[0] for line in verdict.warnings] == (["tried"] if effect == "warn" else [])
    tried = [each.rule for each in verdict.seen if each.effect is Effect.DRY_RUN]
    assert tried == (["tried"] if effect == "dry-run" else [])


@pytest.mark.parametrize("kind", BROKEN)
def test_what_keeps_a_rule_passes_it(kind: str) -> None:
    settings = {"origins": 'public = ["python-*"]'}.get(kind, BROKEN[kind][0])
    found = judged(rule(kind, settings), evidence(**KEPT.get(kind, {})))
    assert found.passed
    assert found.saw


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("licences", 'allow = ["MIT"]'),
        ("cool-down", 'period = "7 days"'),
        ("abandoned", 'silence = "1 year"'),
        ("origins", 'public = ["python-remote"]\nprivate = ["python-ours"]'),
    ],
)
def test_an_unknown_fact_is_refused_unless_the_rule_says_otherwise(kind: str, settings: str) -> None:
    unknown = evidence()
    default = judged(rule(kind, settings), unknown)
    assert not default.passed
    assert "not known" in default.saw or "nobody asked" in default.saw
    for answer, warned, passed in (("refuse", False, False), ("warn", True, False), ("pass", False, True)):
        made = policy(rule(kind, f'{settings}\nunknown = "{answer}"'))
        verdict = screening(made).judge(unknown)
        assert outcome(verdict, kind).passed is passed
        assert bool(verdict.warnings) is warned
        assert verdict.admitted is (answer != "refuse")


@pytest.mark.parametrize(
    ("kind", "settings"), [("licences", 'allow = ["MIT"]'), ("cool-down", 'period = "7 days"')]
)
def test_what_to_do_about_unknown_facts_differs_by_ecosystem(kind: str, settings: str) -> None:
    text = rule(kind, f'{settings}\nunknown = {{ PyPI = "refuse", Debian = "pass", Ubuntu = "refuse" }}')
    assert not judged(text, evidence(wheel())).passed
    assert judged(text, evidence(deb())).passed


def test_an_unknown_fact_weighs_no_more_than_the_rule() -> None:
    verdict = screening(policy(rule("cool-down", 'period = "7 days"\nunknown = "refuse"', "dry-run"))).judge(
        evidence()
    )
    assert verdict.admitted
    assert not verdict.warnings
    assert [each.words for each in verdict.seen if each.effect is Effect.DRY_RUN] == ["upload time not known"]


@pytest.mark.parametrize("kind", ["lookalikes", "builds", "yanked", "abandoned", "attestations", "publisher"])
def test_rules_about_distributions_say_that_they_are_not_about_debs(kind: str) -> None:
    settings = {"attestations": 'required = "all"'}.get(kind, BROKEN[kind][0])
    found = judged(rule(kind, settings), evidence(deb("reqeusts")))
    assert found.passed
    assert found.saw == "not about Debian packages"
