"""Builds, what was taken back, abandoned projects, attestations and publishers."""

from __future__ import annotations

from typing import Any

import pytest

from dmz.errors import InputError
from dmz.promotion.entry import Build, Entry
from dmz.promotion.evidence import Evidence, Publisher, Status
from dmz.promotion.rules.rule import Effect
from tests.promotion.builders import wheel
from tests.promotion.rules.cases import DAY, TODAY, evidence, judged, policy, rule, said

BUILT = Evidence(
    Entry(wheel("thing", "1.0", origin="python-built"), built=Build("thing-1.0.tar.gz", "c" * 64, "d" * 64))
)
GITHUB = Publisher("GitHub", "jax-ml/jax release.yml")
OTHER = Publisher("GitHub", "somebody/jax release.yml")


def test_only_what_is_named_may_have_been_built_here() -> None:
    refused = judged(rule("builds"), BUILT)
    assert not refused.passed
    assert "thing-1.0.tar.gz" in refused.saw
    assert judged(rule("builds", 'allow = ["thing"]'), BUILT).passed


def test_a_build_without_provenance_is_refused_even_if_it_is_named() -> None:
    made = evidence(wheel("thing", "1.0", origin="python-built"))
    found = judged(rule("builds", 'allow = ["thing"]'), made)
    assert not found.passed
    assert "nothing says from what" in found.saw


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"yanked": ""}, "taken back by its publisher, without a reason"),
        ({"yanked": "CVE-2026-1 in it"}, "taken back by its publisher: CVE-2026-1 in it"),
        ({"status": Status.QUARANTINED}, "quarantined"),
        ({"status": Status.QUARANTINED, "yanked": "bad"}, "quarantined"),
        ({"deleted": True}, "upstream does not offer it any more, and does not say why"),
        ({"deleted": True, "yanked": "bad"}, "taken back by its publisher: bad"),
    ],
)
def test_what_was_taken_back_is_refused(facts: dict[str, Any], said: str) -> None:
    found = judged(rule("yanked"), evidence(**facts))
    assert not found.passed
    assert said in found.saw


def test_what_the_index_deleted_is_as_the_policy_says() -> None:
    warned = judged(rule("yanked", 'deleted = "warn"'), evidence(deleted=True))
    assert [each.effect for each in warned.seen] == [Effect.WARN]
    assert judged(rule("yanked", 'deleted = "pass"'), evidence(deleted=True)).passed
    # What its publisher or the index says is another thing.
    for facts in ({"yanked": "bad"}, {"status": Status.QUARANTINED}):
        found = judged(rule("yanked", 'deleted = "pass"'), evidence(deleted=True, **facts))
        assert [each.effect for each in found.seen if each.effect] == [Effect.REFUSE]
    assert said(lambda: policy(rule("yanked", 'deleted = "never"')))


@pytest.mark.parametrize("status", [None, Status.ACTIVE, Status.ARCHIVED, Status.DEPRECATED])
def test_what_was_not_taken_back_passes(status: Status | None) -> None:
    assert judged(rule("yanked"), evidence(status=status)).passed


@pytest.mark.parametrize(
    ("facts", "passed", "said"),
    [
        ({"status": Status.ARCHIVED, "last_upload": TODAY}, False, "archived"),
        ({"status": Status.DEPRECATED, "last_upload": TODAY}, False, "deprecated"),
        ({"status": Status.ACTIVE, "last_upload": TODAY - 364 * DAY}, True, "2025-11-23"),
        ({"last_upload": TODAY - 365 * DAY}, True, "last upload"),
        ({"last_upload": TODAY - 730 * DAY}, False, "since 2024-11-22, 2.0 years ago"),
    ],
)
def test_a_project_that_nobody_looks_after_is_refused(facts: dict[str, Any], passed: bool, said: str) -> None:
    found = judged(rule("abandoned", 'silence = "1 year"'), evidence(**facts))
    assert found.passed is passed
    assert said in found.saw


@pytest.mark.parametrize(
    ("required", "name", "publisher", "passed"),
    [
        ('"all"', "jax", None, False),
        ('"all"', "jax", GITHUB, True),
        ('["jax"]', "jax", None, False),
        ('["jax"]', "flax", None, True),
        ('["jax"]', "flax", GITHUB, True),
    ],
)
def test_attestations_are_required_of_those_that_are_named(
    required: str, name: str, publisher: Publisher | None, passed: bool
) -> None:
    text = rule("attestations", f"required = {required}")
    assert judged(text, evidence(wheel(name), publisher=publisher)).passed is passed


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("", "'required' is missing"),
        ("required = []", "requires nothing of anybody"),
        ('required = "jax"', "write a list of names"),
        ('required = ["Jax"]', "write 'jax'"),
        ('required = ["jax", "jax"]', "stands twice"),
        ("required = [1]", "required.0"),
    ],
)
def test_requirements_that_are_no_good_do_not_parse(settings: str, said: str) -> None:
    with pytest.raises(InputError, match=r"^policy\.toml: rules\.attestations: ") as refused:
        policy(rule("attestations", settings))
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("now", "before", "passed", "said"),
    [
        (GITHUB, GITHUB, True, "as before"),
        (GITHUB, None, True, "no earlier version"),
        (None, None, True, "no earlier version"),
        (OTHER, GITHUB, False, "somebody/jax"),
        (None, GITHUB, False, "no attestation"),
        (Publisher("GitLab", GITHUB.identity), GITHUB, False, "GitLab"),
    ],
)
def test_a_changed_publisher_is_refused(
    now: Publisher | None, before: Publisher | None, passed: bool, said: str
) -> None:
    found = judged(rule("publisher"), evidence(publisher=now, former_publisher=before))
    assert found.passed is passed
    assert said in found.saw
