"""What is different between two releases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dmz.artifact import Artifact
from dmz.promotion.change import Change, Nature, megabytes
from dmz.promotion.difference import Difference, Side, difference
from dmz.promotion.entry import Entry
from dmz.promotion.evidence import Evidence
from dmz.promotion.release import Release
from tests.promotion.builders import deb, file, release, releases, wheel

JAX = wheel("jax", "0.4.1", b"one")


def between(before: Release | None, after: Release | None) -> Difference:
    return difference(Side(before), Side(after))


def only(before: Artifact, after: Artifact) -> Change:
    [change] = between(release(before), release(after)).changes
    return change


def test_added_removed_changed_and_the_same() -> None:
    before = release(JAX, wheel("flax", "1.0", b"f"), deb())
    after = release(wheel("jax", "0.4.2", b"two!"), wheel("optax", "2.0", b"o"), deb())
    found = between(before, after)
    assert [(each.key, each.nature) for each in found.changes] == [
        ("pypi/flax", Nature.REMOVED),
        ("pypi/optax", Nature.ADDED),
        ("pypi/jax", Nature.CHANGED),
    ]
    assert found.same == 1
    assert found.bytes == (7, 8)
    assert found.lines()[1:] == [
        "- pypi/flax 1.0 (1 B, from python-remote)",
        "+ pypi/optax 2.0 (1 B, from python-remote)",
        "~ pypi/jax 0.4.1 → 0.4.2 (+1 B)",
        "1 removed, 1 added, 1 changed, 1 the same; 7 B → 8 B",
    ]


def test_other_bytes_under_the_same_version_are_the_loudest() -> None:
    found = between(release(JAX, deb()), release(wheel("jax", "0.4.1", b"two"), deb(version="1.7-1")))
    first = found.changes[0]
    assert first.nature is Nature.BYTES
    assert found.lines()[1].startswith("! pypi/jax 0.4.1: OTHER BYTES under the same version, jax-0.4.1")
    assert "1 with OTHER BYTES under the same version" in found.counted


def test_another_file_of_the_same_version_is_other_bytes() -> None:
    assert only(JAX, wheel("jax", "0.4.1", b"one", tag="cp311-none-any")).nature is Nature.BYTES


def test_the_same_bytes_from_elsewhere_are_told() -> None:
    change = only(JAX, replace(JAX, origin="python-built"))
    assert change.nature is Nature.ORIGIN
    assert "from python-remote → python-built" in str(change)


def test_other_reasons_alone_are_told_too() -> None:
    change = only(JAX, replace(JAX, why=("flax",)))
    assert change.nature is Nature.STATED
    assert str(change).endswith("needed by requested → flax")


def test_another_upload_time_alone_is_told_too() -> None:
    one = release(JAX)
    other = replace(one, entries=(Entry(JAX, uploaded=datetime(2024, 1, 1, tzinfo=UTC)),))
    [change] = between(one, other).changes
    assert change.nature is Nature.STATED
    assert not between(one, other).empty


@pytest.mark.parametrize(
    ("before", "after", "older"),
    [
        (wheel(version="0.10.0"), wheel(version="0.9.0"), True),
        (wheel(version="0.9.0"), wheel(version="0.10.0"), False),
        (wheel(version="1!1.0"), wheel(version="2.0"), True),
        (deb(version="1.6-1"), deb(version="1.6~rc1-1"), True),
        (deb(version="2:1.0-1"), deb(version="1:9.0-1"), True),
        (deb(version="1.6-1"), deb(version="1.6-1+deb12u1"), False),
        (file(content=b"2"), file(content=b"1"), False),
    ],
)
def test_a_version_that_goes_down_is_marked(before: Artifact, after: Artifact, older: bool) -> None:
    change = only(before, after)
    assert change.older is older
    assert ("OLDER" in str(change)) is older


def test_another_base_image_is_a_difference_without_packages() -> None:
    found = between(release(JAX), replace(release(JAX), dpkg_digest="c" * 64))
    assert not found.changes
    assert not found.empty
    assert found.settings == (("base image's packages", "b" * 64, "c" * 64),)


def test_licences_and_findings_that_change_are_told() -> None:
    before, after = release(JAX), release(wheel("jax", "0.4.2"))
    [change] = difference(
        Side(before, {"pypi/jax": "MIT"}, {"pypi/jax": ("CVE-1", "CVE-2")}),
        Side(after, {"pypi/jax": "AGPL-3.0-only"}, {"pypi/jax": ("CVE-2", "CVE-3")}),
    ).changes
    assert change.other_licence
    assert str(change).endswith("licence MIT → AGPL-3.0-only; no longer: CVE-1; now: CVE-3")


def test_a_licence_that_was_not_known_is_no_other_licence() -> None:
    [change] = difference(
        Side(release(JAX)), Side(release(wheel("jax", "0.4.2")), {"pypi/jax": "MIT"})
    ).changes
    assert not change.other_licence


def test_a_side_takes_its_licences_from_the_evidence() -> None:
    made = release(JAX, deb(), file())
    jax, jq, data = made.entries[2], made.entries[0], made.entries[1]
    side = Side.of(made, [Evidence(jax, licence="MIT"), Evidence(jq, licence_text="as is"), Evidence(data)])
    assert side.licences == {jax.artifact.key: "MIT", jq.artifact.key: "as is"}


def test_a_first_release_adds_everything() -> None:
    found = between(None, release(JAX, deb()))
    assert {each.nature for each in found.changes} == {Nature.ADDED}
    assert found.lines()[0].startswith("small: nothing → ")


@given(releases)
def test_nothing_is_different_from_itself(one: Release) -> None:
    found = between(one, one)
    assert found.empty
    assert found.same == len(one.entries)


@given(releases, releases)
def test_the_other_way_round_is_the_inverse(one: Release, other: Release) -> None:
    other = replace(other, workload=one.workload)
    forth, back = between(one, other), between(other, one)
    turned = {each.key: (each.after, each.before, each.brought, each.size) for each in back.changes}
    assert turned == {each.key: (each.before, each.after, each.mended, -each.size) for each in forth.changes}
    assert (forth.before, forth.after, forth.bytes) == (back.after, back.before, back.bytes[::-1])
    assert forth.empty is back.empty is (one == other)


@given(releases, releases)
def test_the_changes_lead_from_one_to_the_other(one: Release, other: Release) -> None:
    assume(one.entries or other.entries)
    found = between(one, replace(other, workload=one.workload))
    entries = {each.artifact.key: each for each in one.entries}
    for change in found.changes:
        entries.pop(change.key, None)
        if change.after:
            entries[change.key] = change.after
    assert tuple(sorted(entries.values(), key=lambda each: each.artifact)) == other.entries
    assert found.same == len(other.entries) - sum(change.after is not None for change in found.changes)
    assert found.bytes[1] - found.bytes[0] == sum(change.size for change in found.changes)


@given(releases, releases)
def test_lines_and_document_have_every_change(one: Release, other: Release) -> None:
    found = between(one, replace(other, workload=one.workload))
    assert len(found.lines()) == 2 + len(found.settings) + len(found.changes)
    document = found.document()
    assert [each["key"] for each in document["changes"]] == [change.key for change in found.changes]
    assert all("\n" not in line for line in found.lines())


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_600, "1.0 MB"),
        (175_230_000, "175.2 MB"),
        (-1500, "-1.5 kB"),
    ],
)
def test_sizes_are_for_people(size: int, text: str) -> None:
    assert megabytes(size) == text


@given(st.integers(-(10**12), 10**12))
def test_a_size_with_a_sign_has_one(size: int) -> None:
    assert megabytes(size, sign=True)[0] in "+-"
