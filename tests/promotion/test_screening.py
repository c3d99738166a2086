"""Screening: verdicts from rules, findings and waivers; what passes instead; and all of it in words."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmz.artifact import Kind
from dmz.errors import InputError, RefusedError
from dmz.promotion.advisories.database import Database
from dmz.promotion.evidence import Evidence, Status
from dmz.promotion.finding import Finding, Nature, Severity, merged
from dmz.promotion.purl import purl
from dmz.promotion.refusal import Remedy, explain
from dmz.promotion.rules.rule import Context
from dmz.promotion.screening import Screening
from dmz.promotion.waivers import Waiver, Waivers
from tests.promotion.builders import deb, entries, entry, file, image, wheel
from tests.promotion.rules.cases import (
    DAY,
    TODAY,
    Known,
    against,
    evidence,
    finding,
    outcome,
    policy,
    rule,
)
from tests.promotion.rules.cases import screening as screened

ADVISORIES = Path(__file__).parents[2] / "advisories"
PROTOBUF = ["4.25.9", "5.29.5", "5.29.6", "6.30.2", "6.31.0", "6.31.1", "6.33.5", "6.34.0rc1", "dev"]
OLD = """
[sources]
advisories = "advisories"

[limits]
advisories-max-age = "10 years"
attestation-max-age = "30 days"
waiver-longest = "180 days"
waiver-warning = "14 days"
"""


def screening(path: Path = ADVISORIES, threshold: Severity = Severity.HIGH) -> Screening:
    """By severity and malware alone, with the advisories of a folder."""
    made = policy(rule("severity", f'threshold = "{threshold}"'), head=OLD)
    return screened(made, Database.open(path))


def test_a_version_with_findings_is_refused_with_each_of_them() -> None:
    verdict = screening().judge(evidence(wheel("protobuf", "6.31.0")))
    assert not verdict.admitted
    assert [each.label for each in verdict.refused_for] == [
        "CVE-2025-4565 (GHSA-8qvm-5x2c-j2w7)",
        "CVE-2026-0994 (GHSA-7gcm-g887-7qv7)",
    ]


def test_the_fixed_version_is_admitted() -> None:
    assert screening().judge(evidence(wheel("protobuf", "5.29.6"))).admitted


def test_below_the_threshold_it_is_noted() -> None:
    judged = screening(threshold=Severity.CRITICAL).judge(evidence(wheel("protobuf", "6.31.0")))
    assert judged.admitted
    assert len([each for each in judged.seen if each.finding and not each.effect]) == 2


def test_debs_are_judged_by_their_source_package(tmp_path: Path) -> None:
    record = {
        "id": "DSA-1",
        "modified": "2026-11-01T00:00:00Z",
        "affected": [
            {
                "package": {"ecosystem": "Debian:12", "name": "src"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2-1"}]}],
            }
        ],
    }
    (tmp_path / "x.json").write_text(json.dumps(record))
    screen = screening(tmp_path)
    assert not screen.judge(Evidence(entry(deb("lib", "5-1"), "src", "1-1"))).admitted
    assert screen.judge(Evidence(entry(deb("lib", "1-1"), "src", "2-1"))).admitted
    assert screen.judge(Evidence(entry(deb("src", "1-1"), "other", "1-1"))).admitted


def test_a_file_is_vouched_for_by_its_digest() -> None:
    assert screening().judge(evidence(file())).admitted


# ---- what a policy says of an artifact, whatever the order

EVERYTHING = policy(
    rule("denied"),
    rule("unsupported", effect="warn"),
    rule("licences", 'allow = ["MIT"]\nunknown = "warn"'),
    rule("cool-down", 'period = "7 days"', "dry-run"),
    rule("origins", 'public = ["python-remote", "apt-*"]'),
    rule("lookalikes"),
    rule("builds"),
    rule("yanked"),
    rule("abandoned", 'silence = "1 year"\nunknown = "warn"', "warn"),
    rule("attestations", 'required = "all"', "dry-run"),
    rule("publisher"),
)
found = st.builds(
    finding,
    st.sampled_from(["CVE-2026-1", "CVE-2026-2", "MAL-2026-1", "GHSA-1"]),
    st.sampled_from([None, *Severity]),
    nature=st.sampled_from(list(Nature)),
    aliases=st.sampled_from([(), ("CVE-2026-1",), ("GHSA-1",)]),
    source=st.sampled_from(["osv", "deny-list"]),
)
times = st.none() | st.datetimes(datetime(2020, 1, 1), datetime(2026, 11, 22), timezones=st.just(UTC))
facts = st.builds(
    Evidence,
    entries(),
    published=times,
    licence=st.sampled_from([None, "MIT", "GPL-3.0-only", "MIT OR GPL-3.0-only", "what?"]),
    status=st.sampled_from([None, *Status]),
    yanked=st.sampled_from([None, "", "broken"]),
    last_upload=times,
    upstreams=st.sampled_from([None, ("python-remote",)]),
)


@given(st.lists(facts, min_size=1, max_size=4), st.lists(found, max_size=4), st.randoms())
def test_a_verdict_does_not_depend_on_any_order(
    made: list[Evidence], findings: list[Finding], chance: random.Random
) -> None:
    def source(name: str, of: list[Finding]) -> Known:
        keys = [("PyPI", each.entry.artifact.name, each.entry.artifact.version) for each in made]
        keys += [("Debian:12", each.entry.source, each.entry.source_version) for each in made]
        return Known(dict.fromkeys(keys, of), name=name)

    first = screened(EVERYTHING, source("one", findings[:2]), source("two", findings[2:]))
    before = [first.judge(each) for each in made]
    order = list(range(len(made)))
    chance.shuffle(order)
    second = screened(EVERYTHING, source("one", findings[:2]), source("two", findings[2:]))
    after = {place: second.judge(made[place]) for place in order}
    assert [after[place] for place in range(len(made))] == before
    for verdict in before:
        assert len(verdict.outcomes) == len(EVERYTHING.rules)
        assert all(each.saw for each in verdict.outcomes)
        malicious = any(each.nature is Nature.MALWARE for each in findings)
        assert not (malicious and verdict.admitted) or verdict.entry.artifact.kind is Kind.FILE


@given(st.lists(found, max_size=5), st.randoms())
def test_merging_findings_does_not_depend_on_their_order(
    findings: list[Finding], chance: random.Random
) -> None:
    once = merged(findings)
    shuffled = list(findings)
    chance.shuffle(shuffled)
    again = merged(shuffled)

    def parts(found: tuple[Finding, ...]) -> set[tuple[Nature, frozenset[str], Severity | None]]:
        return {(each.nature, frozenset(each.names), each.severity) for each in found}

    assert parts(once) == parts(again)
    assert {(each.nature, name) for each in once for name in each.names} == {
        (each.nature, name) for each in findings for name in each.names
    }


@given(st.lists(found, max_size=7))
def test_findings_are_merged_as_comparing_each_with_each_would(findings: list[Finding]) -> None:
    groups: list[set[tuple[Nature, str]]] = []
    for each in findings:
        names = {(each.nature, name) for name in each.names}
        for group in [group for group in groups if group & names]:
            groups.remove(group)
            names |= group
        groups.append(names)
    found = [sorted({(each.nature, name) for name in each.names}) for each in merged(findings)]
    assert sorted(found) == sorted(map(sorted, groups))


def test_a_package_with_many_findings_is_no_trouble() -> None:
    """A kernel has thousands: each is looked at a few times, and not once for each other."""
    looked = 0

    class Counted(str):
        __slots__ = ()

        def __hash__(self) -> int:
            nonlocal looked
            looked += 1
            return str.__hash__(self)

    many = [finding(Counted(f"CVE-2026-{number}")) for number in range(500)]
    assert len(merged(many)) == len(many)
    assert looked < 10 * len(many)


def test_what_two_sources_say_of_one_problem_is_one_finding_and_the_worst_of_both() -> None:
    one = finding("GHSA-1", Severity.LOW, aliases=("CVE-2026-1",), fixed=("2",))
    other = finding("CVE-2026-1", Severity.CRITICAL, fixed=("2", "3"), source="artifact-analysis")
    [both] = merged([one, other])
    assert both.severity is Severity.CRITICAL
    assert both.fixed == ("2", "3")
    assert both.source == "osv, artifact-analysis"
    assert len(merged([one, finding("CVE-2026-1", nature=Nature.MALWARE)])) == 2


# ---- how old what is known may be


@pytest.mark.parametrize(
    ("as_of", "said"),
    [
        (TODAY - 2 * DAY - timedelta(seconds=1), "2 days old (of 2026-11-20), the policy allows 2 days"),
        (TODAY - 400 * DAY, "400 days old"),
        (TODAY + 2 * DAY, "yet to come"),
    ],
)
def test_a_source_that_is_too_old_refuses_to_screen(as_of: datetime, said: str) -> None:
    with pytest.raises(RefusedError) as refused:
        screened(policy(), Known(as_of=as_of))
    assert said in str(refused.value)
    assert "'osv'" in str(refused.value)


def test_an_old_source_says_how_to_refresh_it() -> None:
    with pytest.raises(RefusedError, match="dmz advisories update"):
        screened(policy(), Known(as_of=TODAY - 3 * DAY))


@pytest.mark.parametrize("as_of", [None, TODAY, TODAY - 2 * DAY])
def test_a_source_that_is_new_enough_or_does_not_age_is_taken(as_of: datetime | None) -> None:
    assert screened(policy(), Known(as_of=as_of)).judge(evidence()).admitted


class Python(Known):
    def covers(self, ecosystem: str) -> bool:
        return ecosystem == "PyPI"


def test_a_package_of_an_ecosystem_without_records_is_not_screened() -> None:
    screen = screened(policy(), Python(), Known())
    assert screen.judge(evidence()).admitted
    assert screen.judge(evidence(file())).admitted
    with pytest.raises(RefusedError, match="no advisory is about Debian:12"):
        screen.judge(evidence(deb()))


# ---- waivers


def waiver(name: str = "CVE-2026-1", sha256: str = wheel().sha256, **fields: Any) -> Waiver:
    values: dict[str, Any] = {
        "where": "jax.json",
        "author": "Ada",
        "names": frozenset({name}),
        "why": "vulnerable code not present",
        "purl": "pkg:pypi/jax@0.4.1",
        "sha256": sha256,
        "begins": TODAY - 10 * DAY,
        "until": TODAY + 60 * DAY,
    }
    return Waiver(**(values | fields))


def waived(*given: Waiver, rules: tuple[str, ...] = (), source: Known | None = None) -> Screening:
    return screened(policy(*rules), source or against(finding()), waivers=Waivers(given))


def test_a_waiver_admits_and_is_named() -> None:
    verdict = waived(waiver()).judge(evidence())
    assert verdict.admitted
    assert [each.id for each in verdict.seen if each.waived] == ["CVE-2026-1"]
    assert "waived by Ada until 2027-01-21: vulnerable code not present" in outcome(verdict, "severity").saw
    assert [each.waiver for each in outcome(verdict, "severity").seen] == [waiver()]
    assert not verdict.warnings


def test_a_waiver_may_name_any_alias() -> None:
    source = against(finding("GHSA-1", aliases=("PYSEC-1", "CVE-2026-1")))
    for name in ("GHSA-1", "PYSEC-1", "CVE-2026-1"):
        assert waived(waiver(name), source=source).judge(evidence()).admitted


def test_a_waiver_of_one_finding_does_not_cover_another() -> None:
    source = against(finding(), finding("CVE-2026-2"))
    verdict = waived(waiver(), source=source).judge(evidence())
    assert [each.id for each in verdict.refused_for] == ["CVE-2026-2"]


@pytest.mark.parametrize(
    "other",
    [
        {"sha256": "f" * 64},
        {"purl": "pkg:pypi/jax@0.4.2"},
        {"purl": "pkg:pypi/flax@0.4.1"},
        {"purl": "pkg:deb/debian/jax@0.4.1"},
        {"names": frozenset({"CVE-2026-9"})},
    ],
)
def test_a_waiver_for_something_else_does_not_count_and_is_said_to_be_unused(other: dict[str, Any]) -> None:
    screen = waived(waiver(**other))
    verdict = screen.judge(evidence())
    assert not verdict.admitted
    assert len(screen.unused([verdict])) == 1
    used = waived(waiver())
    assert not used.unused([used.judge(evidence())])


def test_a_waiver_that_has_ended_refuses_and_says_when_it_ended_and_whose_it_was() -> None:
    ended = waiver(until=TODAY - timedelta(seconds=1))
    verdict = waived(ended).judge(evidence())
    assert not verdict.admitted
    text = explain(verdict, None)
    assert "the waiver of Ada (jax.json) ended on 2026-11-22" in text
    assert waived(waiver(until=TODAY)).judge(evidence()).admitted


def test_a_waiver_that_has_not_begun_refuses() -> None:
    verdict = waived(waiver(begins=TODAY + DAY)).judge(evidence())
    assert not verdict.admitted
    assert "begins on 2026-11-23" in explain(verdict, None)


def test_a_waiver_that_counts_today_is_not_hidden_by_the_one_that_follows_it() -> None:
    following = waiver(begins=TODAY + DAY, until=TODAY + 150 * DAY)
    assert waived(waiver(), following).judge(evidence()).admitted
    assert waived(following, waiver()).judge(evidence()).admitted


def test_a_waiver_for_a_file_of_another_workload_is_not_said_to_be_unused() -> None:
    of_another = waiver(sha256="f" * 64)
    context = Context(TODAY, elsewhere=frozenset({"f" * 64}))
    screen = screened(policy(), Known(), waivers=Waivers((of_another, waiver())), context=context)
    assert screen.unused([screen.judge(evidence())]) == (waiver(),)


def test_the_nearing_end_of_a_waiver_is_a_warning() -> None:
    assert waived(waiver(until=TODAY + 14 * DAY)).judge(evidence()).warnings == (
        "the waiver of Ada (jax.json) for CVE-2026-1 ends on 2026-12-06",
    )
    assert not waived(waiver(until=TODAY + 15 * DAY)).judge(evidence()).warnings


def test_another_rule_is_waived_by_its_name() -> None:
    licences = (rule("licences", 'allow = ["MIT"]'), rule("cool-down", 'period = "7 days"'))
    made = evidence(licence="GPL-3.0-only")
    verdict = waived(waiver("policy:licences"), rules=licences, source=Known()).judge(made)
    assert [each.rule for each in verdict.refusals] == ["cool-down"]
    assert (
        waived(waiver("policy:licences"), waiver("policy:cool-down"), rules=licences, source=Known())
        .judge(made)
        .admitted
    )


@pytest.mark.parametrize("name", ["policy:severity", "policy:nothing", "policy:"])
def test_a_rule_about_findings_is_not_waived_as_a_whole(name: str) -> None:
    with pytest.raises(InputError, match="nothing that can be waived"):
        waived(waiver(name))


def test_malware_is_not_waived_by_any_of_its_names() -> None:
    source = against(finding("MAL-2026-1", nature=Nature.MALWARE, aliases=("CVE-2026-1",)))
    verdict = waived(waiver("CVE-2026-1"), source=source).judge(evidence())
    assert [each.rule for each in verdict.refusals] == ["malware"]
    assert "accept it" not in explain(verdict, None)


def test_a_waiver_that_lasts_too_long_is_refused() -> None:
    waived(waiver(begins=TODAY, until=TODAY + 180 * DAY))
    with pytest.raises(InputError, match=r"longer than the policy allows \(180 days\)"):
        waived(waiver(begins=TODAY, until=TODAY + 180 * DAY + timedelta(seconds=1)))


# ---- what passes instead


def test_versions_too_young_do_not_pass_where_their_time_is_given() -> None:
    screen = screened(policy(rule("cool-down", 'period = "7 days"')))
    published = {"1.0": TODAY - 30 * DAY, "1.1": TODAY - DAY, "1.2": None}
    assert screen.passing_versions(Kind.PYPI, "jax", published, published) == ["1.0"]
    assert screen.passing_versions(Kind.PYPI, "jax", published) == ["1.0", "1.1", "1.2"]


def test_a_young_version_passes_that_mends_what_is_released_now() -> None:
    made = policy(rule("cool-down", 'period = "7 days"\nsecurity-fixes = "high"'))
    released = {"pypi/jax": entry(wheel("jax", "0.4.1"))}
    screen = screened(made, against(finding()), context=Context(TODAY, previous=released))
    published = {"0.4.1": TODAY - 30 * DAY, "0.4.2": TODAY - DAY}
    assert screen.passing_versions(Kind.PYPI, "jax", published, published) == ["0.4.2"]


def test_rules_that_only_warn_keep_no_version_away() -> None:
    made = policy(rule("unsupported", effect="warn"), rule("denied"))
    source = Known(
        {
            ("PyPI", "jax", "1.0"): [finding(nature=Nature.UNSUPPORTED)],
            ("PyPI", "jax", "1.1"): [finding(nature=Nature.DENIED)],
        }
    )
    assert screened(made, source).passing_versions(Kind.PYPI, "jax", ["1.0", "1.1"]) == ["1.0"]


def test_passing_versions_rise_in_the_order_of_their_ecosystem() -> None:
    assert screening().passing_versions(Kind.PYPI, "Protobuf", PROTOBUF) == ["5.29.6", "6.33.5", "6.34.0rc1"]
    assert screening().passing_versions(
        Kind.APT, "jq", ["1.6-2.1+deb12u2", "1.6-2.1", "1.6-2.1+deb12u1"]
    ) == [
        "1.6-2.1+deb12u1",
        "1.6-2.1+deb12u2",
    ]


def test_an_explanation_names_package_advisory_and_version() -> None:
    verdict = screening().judge(evidence(wheel("protobuf", "6.31.0")))
    text = explain(verdict, Remedy("5.29.6", True), ["protobuf>=5,<6.31.1"])
    assert text == (
        "protobuf 6.31.0 is refused: CVE-2025-4565 (GHSA-8qvm-5x2c-j2w7), high: Unbounded recursion when the "
        "pure-Python backend parses nested messages, fixed in 4.25.8 or 5.29.5 or 6.31.1; CVE-2026-0994 "
        "(GHSA-7gcm-g887-7qv7), high: JSON parsing does not count the depth of nested Any messages, fixed in "
        "5.29.6 or 6.33.5. Version 5.29.6 passes and 'protobuf>=5,<6.31.1' allows it."
    )


def test_an_explanation_without_a_way_out_names_what_to_change() -> None:
    verdict = screening().judge(evidence(wheel("protobuf", "6.31.0")))
    text = explain(verdict, Remedy("6.33.5", False), ["protobuf>=6,<6.31.1"])
    assert text.endswith(
        "Version 6.33.5 would pass, but 'protobuf>=6,<6.31.1' does not allow it: change that requirement."
    )
    assert explain(verdict, None).endswith(
        "No version of it passes: do without it, or wait for one that does, or accept it for a time with a "
        "waiver (waivers/README.md)."
    )


def test_an_explanation_names_the_rule_that_is_not_about_a_finding() -> None:
    made = policy(rule("cool-down", 'period = "7 days"'))
    verdict = screened(made).judge(evidence(published=TODAY - DAY))
    assert explain(verdict, Remedy("0.4.0", True)) == (
        "jax 0.4.1 is refused: cool-down: published 1 day ago, the cool-down is 7 days. Version 0.4.0 passes."
    )


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (wheel("ml-dtypes", "1!0.5+cpu"), "pkg:pypi/ml-dtypes@1%210.5%2Bcpu"),
        (
            deb("libstdc++6", "1:2.0~rc1-1"),
            "pkg:deb/debian/libstdc%2B%2B6@1:2.0~rc1-1?arch=amd64&distro=bookworm",
        ),
        (file("a.tgz"), f"pkg:generic/a.tgz?checksum=sha256:{file('a.tgz').sha256}"),
    ],
)
def test_package_urls(made: Any, expected: str) -> None:
    assert purl(made, image()) == expected
