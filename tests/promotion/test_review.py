"""The review: short first, then the details; foreign text does nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from dmz.promotion.difference import Difference, Side, difference
from dmz.promotion.entry import Build, Entry
from dmz.promotion.evidence import Evidence
from dmz.promotion.finding import Finding, Severity
from dmz.promotion.release import Release
from dmz.promotion.remarks import Remark, remarks
from dmz.promotion.review import COMMENT, Review, body, markdown
from dmz.promotion.rules.rule import Effect
from dmz.promotion.waivers import Waiver, Waivers
from tests.promotion.builders import deb, entry, release, releases, sha, wheel
from tests.promotion.rules import cases

TODAY = datetime(2026, 3, 10, 15, 30, tzinfo=UTC)
WAIVER = Waiver(
    where="jax.json",
    author="security@example.org",
    names=frozenset({"CVE-2026-0994"}),
    why="not reachable: we parse no JSON",
    purl="pkg:pypi/jax@0.4.2",
    sha256=sha(b"j"),
    begins=TODAY - timedelta(days=30),
    until=TODAY + timedelta(days=5),
)


@dataclass(frozen=True)
class Knows:
    """A source by its face."""

    name: str = "osv"
    as_of: datetime | None = TODAY - timedelta(days=2)
    digest: str = "e" * 64

    def findings(self, ecosystem: str, name: str, version: str, sha256: str = "") -> tuple[Finding, ...]:
        return ()


def review(before: Release | None, after: Release, **more: Any) -> Review:
    known = {each.artifact.key: Evidence(each, licence="MIT") for each in after.entries}
    found = difference(Side(before), Side.of(after, known.values()))
    return Review(
        **{
            "difference": found,
            "today": TODAY,
            "policy": "policy.toml",
            "policy_digest": "c" * 64,
            "waivers_digest": "d" * 64,
            "sbom_digest": "f" * 64,
            "sources": (Knows(),),
            "published": {key: each.published for key, each in known.items()},
            **more,
        }
    )


def short(text: str) -> str:
    """What stands before the details."""
    return text.partition("\n## ")[0]


def section(text: str, heading: str) -> str:
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


BEFORE = release(wheel("jax", "0.4.1"), wheel("flax", "1.0", b"f"), deb())
AFTER = release(wheel("jax", "0.4.2", b"j"), wheel("optax", "0.2", b"o", why=("jax",)), deb())


def test_the_summary_says_what_comes_and_goes() -> None:
    text = short(markdown(review(BEFORE, AFTER)))
    assert text.startswith("# Release of small: 1 removed, 1 added, 1 changed, 1 the same\n")
    assert "- Added: `pypi/optax`" in text
    assert "- Changed: `pypi/jax`" in text
    assert "- Removed: `pypi/flax`" in text
    assert "Findings that stay: none." in text
    assert "Screened on 2026-03-10 by `policy.toml`." in text


def test_other_bytes_and_older_versions_come_first() -> None:
    after = release(wheel("jax", "0.4.1", b"other"), wheel("flax", "0.9", b"f"), deb())
    points = [line for line in short(markdown(review(BEFORE, after))).splitlines() if line.startswith("- ")]
    assert "OTHER BYTES" in points[0]
    assert "older version than before: `pypi/flax`" in points[1]


def test_each_change_has_reason_licence_age_and_origin() -> None:
    uploaded = datetime(2026, 3, 1, tzinfo=UTC)
    after = replace(AFTER, entries=(Entry(wheel("optax", "0.2", why=("jax",)), uploaded=uploaded),))
    text = section(markdown(review(None, after)), "Packages")
    assert "| added | `pypi/optax` `0.2` | jax | MIT | 2026-03-01 (9 days) | `python-remote` |" in text


def test_what_nobody_knows_is_said_to_be_unknown() -> None:
    made = review(None, release(wheel()))
    text = markdown(replace(made, difference=difference(Side(None), Side(release(wheel())))))
    assert "| added | `pypi/jax` `0.4.1` | requested | not known | not known |" in text


def test_a_waiver_is_told_with_owner_reason_and_end_and_warns_when_it_nears() -> None:
    remark = Remark("pypi/jax", "0.4.2", "severity", "CVE-2026-0994, high", None, WAIVER, True)
    text = markdown(review(BEFORE, AFTER, remarks=[remark]))
    assert "A waiver ends on 2026-03-15: `pypi/jax`, CVE-2026-0994, high" in short(text)
    assert "Findings that stay: 1 waived." in short(text)
    said = "waived by security`@`example.org until 2026-03-15 ⚠️: not reachable: we parse no JSON"
    assert said in section(text, "Findings that stay")
    calm = replace(remark, ends_soon=False)
    assert "A waiver ends" not in markdown(review(BEFORE, AFTER, remarks=[calm]))


def test_what_is_noted_names_the_rule_and_its_effect() -> None:
    remark = Remark("pypi/jax", "0.4.2", "cool-down", "3 days old", Effect.WARN)
    text = markdown(review(BEFORE, AFTER, remarks=[remark]))
    assert "Findings that stay: 1 warned of." in short(text)
    assert "| `pypi/jax 0.4.2` | `cool-down` | 3 days old | the rule's effect is `warn` |" in text


def test_what_a_rule_says_of_many_is_one_row() -> None:
    many = [
        Remark(f"pypi/p{number:02}", "1", "attestations", "no attestation", Effect.DRY_RUN)
        for number in range(12)
    ]
    text = markdown(review(BEFORE, AFTER, remarks=many))
    assert "Findings that stay: 12 on trial." in short(text)
    [row] = [line for line in text.splitlines() if "no attestation" in line]
    assert row.startswith("| `pypi/p00 1`, `pypi/p01 1`")
    assert "and 2 more |" in row


def test_remarks_are_what_admitted_artifacts_have_against_them() -> None:
    low, high = cases.finding("CVE-1", Severity.LOW), cases.finding("CVE-2", Severity.HIGH)
    waiver = replace(
        WAIVER,
        names=frozenset({"CVE-2"}),
        purl="pkg:pypi/jax@0.4.1",
        sha256=sha(b"wheel"),
        begins=cases.TODAY - cases.DAY,
        until=cases.TODAY + cases.DAY,
    )
    unused = replace(waiver, names=frozenset({"CVE-3"}), where="other.json")
    judge = cases.screening(
        cases.policy(
            cases.rule("yanked", effect="warn"), cases.rule("abandoned", 'silence = "1 year"', "dry-run")
        ),
        cases.against(low, high),
        waivers=Waivers((waiver, unused), "d" * 64),
    )
    jax = cases.evidence(yanked="broken", last_upload=datetime(2020, 1, 1, tzinfo=UTC), licence="MIT")
    verdict = judge.judge(jax)
    assert verdict.admitted
    found = {each.rule: each for each in remarks([verdict]) if each.rule != "severity"}
    assert (found["yanked"].effect, found["abandoned"].effect) == (Effect.WARN, Effect.DRY_RUN)
    noted, waived = [each for each in remarks([verdict]) if each.rule == "severity"]
    assert "CVE-1" in noted.words
    assert (noted.effect, noted.waiver) == (None, None)
    assert (waived.waiver, waived.ends_soon) == (waiver, True)
    assert "waived" not in waived.words

    made = release(jax.entry.artifact)
    made_of = Review.of(made, Side(None), [verdict], judge, refusals=["x"], closure=["y"], bill=b"bill")
    text = markdown(made_of)
    assert "Findings that stay: 1 noted, 1 on trial, 1 waived, 1 warned of." in short(text)
    assert sha(b"bill") in text
    assert judge.policy.digest in text
    assert "Waivers that nothing here needs" in text
    assert "`other.json`" in text
    assert "MIT" in section(text, "Packages")


def test_what_a_change_mends_is_told() -> None:
    stays = cases.finding("CVE-2", Severity.LOW)
    judge = cases.screening(
        cases.policy(),
        cases.against(cases.finding("CVE-1"), stays),
        cases.against(stays, version="0.4.2"),
    )
    before, after = release(wheel("jax", "0.4.1")), release(wheel("jax", "0.4.2", b"new"))
    verdict = judge.judge(cases.evidence(after.artifacts[0]))
    made = Review.of(after, Side(before), [verdict], judge, refusals=[], closure=[], bill=b"")
    assert "- No longer in `pypi/jax`: CVE-1\n" in short(markdown(made))


def test_an_admitted_artifact_without_anything_against_it_has_no_remarks() -> None:
    judge = cases.screening(cases.policy())
    assert remarks([judge.judge(cases.evidence())]) == []


def test_a_built_wheel_tells_of_its_source() -> None:
    build = Build("jax-0.4.2.tar.gz", sha(b"sdist"), sha(b"environment"))
    after = replace(AFTER, entries=(Entry(wheel("jax", "0.4.2", origin="python-built"), built=build),))
    text = markdown(review(BEFORE, after))
    assert "Built here from source: `pypi/jax`" in short(text)
    built = section(text, "Built here from source")
    assert "`jax-0.4.2.tar.gz`" in built
    assert sha(b"sdist") in built


def test_refusals_stand_with_their_remedy() -> None:
    words = "protobuf 6.31.0 is refused: CVE-2025-4565. Version 5.29.6 passes."
    text = markdown(review(BEFORE, AFTER, refusals=[words]))
    assert f"- {words}" in section(text, "Refused, and what was taken instead")
    assert "refused" in short(text)
    assert "refused" not in markdown(review(BEFORE, AFTER)).lower()


def test_sources_are_named_with_their_ages_and_digests() -> None:
    text = section(markdown(review(BEFORE, AFTER)), "Looked at")
    assert f"| `osv` | 2026-03-08 (2 days) | `{'e' * 64}` |" in text
    assert f"| policy `policy.toml` |  | `{'c' * 64}` |" in text
    assert "f" * 64 in text


def test_closure_is_called_proved_only_when_it_was() -> None:
    assert "⚠️ That it installs was not proved." in short(markdown(review(BEFORE, AFTER)))
    text = markdown(review(BEFORE, AFTER, closure=["apt installs jq"]))
    assert "It installs: proved." in short(text)
    assert "- apt installs jq" in section(text, "Looked at")
    text = short(
        markdown(review(BEFORE, AFTER, closure=["uv installs jax"], unproved=["NOT PROVED: no apt-get"]))
    )
    assert "- ⚠️ NOT PROVED: no apt-get" in text
    assert "It installs: proved." not in text


def test_nothing_changes_is_said() -> None:
    assert "Nothing changes." in short(markdown(review(BEFORE, BEFORE)))


@given(releases, st.randoms())
def test_the_same_facts_give_the_same_text(drawn: Release, random: Any) -> None:
    remarks = [Remark(each.key, each.version, "severity", "x", Effect.WARN) for each in drawn.artifacts]
    shuffled = random.sample(remarks, len(remarks))
    later = TODAY.replace(hour=1)
    one, other = review(BEFORE, drawn, remarks=remarks), review(BEFORE, drawn, remarks=shuffled, today=later)
    assert markdown(one) == markdown(other)


def test_only_another_day_is_no_other_review() -> None:
    made = review(BEFORE, AFTER)
    kept = body(made)
    tomorrow = replace(made, today=TODAY + timedelta(days=1))
    assert markdown(tomorrow).encode() != kept
    assert body(tomorrow, kept) == kept
    assert body(replace(tomorrow, policy_digest="0" * 64), kept) != kept
    assert body(replace(tomorrow, difference=difference(Side(BEFORE), Side(BEFORE))), kept) != kept


@given(st.binary() | st.just(b"Screened on 9999-99-99 by"))
def test_any_former_file_is_replaced(former: bytes) -> None:
    assert body(review(BEFORE, AFTER), former) == body(review(BEFORE, AFTER))


def test_a_comment_has_room_for_all_but_packages() -> None:
    many = release(*(wheel(f"p{number:04}", content=str(number).encode()) for number in range(2000)))
    made = review(None, many, refusals=["x is refused."])
    whole, comment = markdown(made), markdown(made, COMMENT)
    assert len(comment) <= COMMENT < len(whole)
    rows = comment.count("| added |")
    assert f"{2000 - rows} more are left out here; `review.small.md` has them all." in comment
    assert section(comment, "Looked at") == section(whole, "Looked at")
    # One more would not have fitted.
    assert len(comment) + len(
        "| added | `pypi/p0000` `0.4.1` | requested | MIT | not known | `python-remote` |"
    ) > (COMMENT - 10)


NASTY = "</td>|<img src=x>[a](https://example.com)@all #1 `\n# heading\n\n---\n"


def test_foreign_text_does_nothing_anywhere() -> None:
    nasty = replace(WAIVER, where=NASTY, author=NASTY, why=NASTY, names=frozenset({NASTY}), purl=NASTY)
    remark = Remark("pypi/jax", "0.4.2", "severity", NASTY, None, nasty, True)
    after = replace(AFTER, entries=(entry(wheel("jax", "0.4.2", b"j")),))
    evidence = Evidence(after.entries[0], licence_text=NASTY)
    found: Difference = difference(Side(BEFORE), Side.of(after, [evidence]))
    found_of = review(
        BEFORE,
        after,
        difference=found,
        unused=[nasty],
        remarks=[remark],
        refusals=[NASTY],
        closure=[NASTY],
        policy=NASTY,
        sources=(Knows(NASTY),),
    )
    text = markdown(found_of)
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    allowed = {"text", "code_inline", "softbreak", "strong_open", "strong_close"}
    assert {below.type for token in tokens for below in token.children or ()} <= allowed
    assert not {token.type for token in tokens} & {"html_block", "hr", "fence", "code_block"}
    headings = [tokens[at + 1].content for at, token in enumerate(tokens) if token.type == "heading_open"]
    assert headings == [
        "Release of small: 2 removed, 1 changed, 0 the same",
        "Refused, and what was taken instead",
        "Findings that stay",
        "Packages",
        "Looked at",
    ]
