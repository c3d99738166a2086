"""The cool-down, and what may pass it early."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from dmz.errors import InputError
from dmz.promotion.entry import Entry
from dmz.promotion.finding import Finding, Nature, Severity
from dmz.promotion.rules.rule import Context
from tests.promotion.builders import deb, entry, wheel
from tests.promotion.rules.cases import DAY, TODAY, Known, evidence, finding, judged, policy, rule

WEEK = rule("cool-down", 'period = "7 days"')
FIXES = rule("cool-down", 'period = "7 days"\nsecurity-fixes = "high"')
NEW = wheel("jax", "0.4.2")


def replacing(*before: Entry) -> Context:
    return Context(TODAY, previous={each.artifact.key: each for each in before})


@pytest.mark.parametrize(
    ("published", "passed", "said"),
    [
        (TODAY - 7 * DAY, True, "published 2026-11-15"),
        (TODAY - 7 * DAY + timedelta(seconds=1), False, "published 6 days ago, the cool-down is 7 days"),
        (TODAY - timedelta(hours=1), False, "published 1 hour ago"),
        (TODAY + DAY, False, "in the future"),
        (TODAY + 30 * DAY, False, "in the future"),
    ],
)
def test_a_file_has_to_be_as_old_as_the_period(published: datetime, passed: bool, said: str) -> None:
    found = judged(WEEK, evidence(published=published))
    assert found.passed is passed
    assert said in found.saw


def test_an_ecosystem_may_have_none() -> None:
    text = rule("cool-down", 'period = { PyPI = "7 days", Debian = "none", Ubuntu = "none" }')
    assert judged(text, evidence(deb())).passed
    assert not judged(text, evidence(wheel())).passed


def test_the_time_that_the_lock_kept_counts_where_the_upstream_says_nothing() -> None:
    made = evidence()
    old = type(made)(Entry(wheel(), uploaded=TODAY - 30 * DAY))
    assert judged(WEEK, old).passed


@pytest.mark.parametrize(
    ("severity", "nature", "passed"),
    [
        (Severity.HIGH, Nature.VULNERABILITY, True),
        (Severity.CRITICAL, Nature.VULNERABILITY, True),
        (None, Nature.VULNERABILITY, True),
        (Severity.MEDIUM, Nature.VULNERABILITY, False),
        (None, Nature.MALWARE, True),
        (Severity.HIGH, Nature.DENIED, False),
    ],
)
def test_a_version_passes_early_that_mends_what_is_released_now(
    severity: Severity | None, nature: Nature, passed: bool
) -> None:
    bad = finding(severity=severity, nature=nature)
    source = Known({("PyPI", "jax", "0.4.1"): [bad]})
    context = replacing(entry(wheel("jax", "0.4.1")))
    found = judged(FIXES, evidence(NEW, published=TODAY - DAY), source, context=context)
    assert found.passed is passed
    assert ("mends CVE-2026-1" in found.saw) is passed
    assert not judged(WEEK, evidence(NEW, published=TODAY - DAY), source, context=context).passed
    never = rule("cool-down", 'period = "7 days"\nsecurity-fixes = "never"')
    assert not judged(never, evidence(NEW, published=TODAY - DAY), source, context=context).passed


def test_it_does_not_pass_early_if_it_still_has_what_it_should_mend() -> None:
    one, same = finding("GHSA-1", aliases=("CVE-2026-1",)), finding("CVE-2026-1")
    source = Known({("PyPI", "jax", "0.4.1"): [one], ("PyPI", "jax", "0.4.2"): [same]})
    context = replacing(entry(wheel("jax", "0.4.1")))
    assert not judged(FIXES, evidence(NEW, published=TODAY - DAY), source, context=context).passed


def test_a_first_release_has_nothing_to_mend() -> None:
    source = Known({("PyPI", "jax", "0.4.1"): [finding()]})
    assert not judged(FIXES, evidence(NEW, published=TODAY - DAY), source).passed


def test_a_deb_is_compared_by_its_source_package() -> None:
    text = rule("cool-down", 'period = "7 days"\nsecurity-fixes = "high"')
    source = Known({("Debian:12", "src", "1-1"): [finding()]})
    made = type(evidence())(entry(deb("lib", "5-2"), "src", "1-2"), published=TODAY - DAY)
    context = replacing(entry(deb("lib", "5-1"), "src", "1-1"))
    assert judged(text, made, source, context=context).passed


@dataclass
class Mending(Known):
    """Knows of one finding which version mends it."""

    version: str = ""

    def mends(self, ecosystem: str, name: str, version: str) -> Sequence[Finding]:
        return [finding(fixed=(self.version,))] if version == self.version else []


def test_a_version_that_an_advisory_names_as_its_fix_passes_early() -> None:
    fresh = evidence(NEW, published=TODAY - DAY)
    assert judged(FIXES, fresh, Mending(version="0.4.2")).passed
    assert not judged(FIXES, fresh, Mending(version="0.4.3")).passed
    assert not judged(WEEK, fresh, Mending(version="0.4.2")).passed


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('period = "-7 days"', "no duration"),
        ('period = "0 days"', "no duration"),
        ("period = 7", "no duration"),
        ('period = "7 moons"', "no duration"),
        ('period = { PyPI = "7 days" }', "Debian, Ubuntu is missing"),
        ('period = { PyPi = "7 days" }', "did you mean 'PyPI'?"),
        ('period = "7 days"\nsecurity-fixes = "hihg"', "is no severity"),
        ('period = "7 days"\nunknown = "ignore"', "is none of refuse, warn, pass"),
        ('perod = "7 days"', "did you mean 'period'?"),
    ],
)
def test_settings_that_are_no_good_do_not_parse(settings: str, said: str) -> None:
    with pytest.raises(InputError, match=r"^policy\.toml: rules\.cool-down: ") as refused:
        policy(rule("cool-down", settings))
    assert said in str(refused.value)
