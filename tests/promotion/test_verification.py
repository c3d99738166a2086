from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmz.artifact import Artifact
from dmz.promotion.place import slot
from dmz.promotion.verification import Held, differences
from tests.promotion import builders
from tests.promotion.builders import deb, file, stored, wheel

RELEASE = [wheel("jax"), deb("jq"), file()]
STORED = [stored(each) for each in RELEASE]
INSTALLED = [Held.of(each) for each in RELEASE]


@given(st.lists(builders.artifacts, max_size=8, unique_by=slot))
def test_four_lists_that_agree_have_no_difference(release: list[Artifact]) -> None:
    held = [stored(each) for each in release]
    assert differences(release, held, held, [Held.of(each) for each in release]) == []


@given(
    st.lists(builders.artifacts, min_size=1, max_size=8, unique_by=lambda each: each.key),
    st.sampled_from(["outer", "inner", "installed"]),
    st.data(),
)
def test_any_changed_or_missing_digest_is_one_difference(
    release: list[Artifact], place: str, data: st.DataObject
) -> None:
    victim = data.draw(st.sampled_from(release))
    held = [Held.of(each) for each in release]
    changed = [replace(each, sha256="0" * 64) if each == Held.of(victim) else each for each in held]
    missing = [each for each in held if each != Held.of(victim)]
    for wrong in (changed, missing):
        places = {"outer": held, "inner": held, "installed": held} | {place: wrong}
        [found] = differences(release, places["outer"], places["inner"], places["installed"])
        assert found.place == place
        assert victim.name in str(found)
        assert "\n" not in str(found)


@pytest.mark.parametrize(
    ("place", "said"), [("inner", "in no release"), ("installed", "not in this release")]
)
def test_what_was_not_released_is_told_where_it_must_not_be(place: str, said: str) -> None:
    extra = [*STORED, stored(wheel("evil"))]
    places = {"outer": STORED, "inner": STORED, "installed": STORED} | {place: extra}
    [found] = differences(RELEASE, places["outer"], places["inner"], places["installed"])
    assert (found.place, said in found.text, "pypi/evil" in found.text) == (place, True, True)


def test_outer_may_hold_more() -> None:
    assert differences(RELEASE, [*STORED, stored(wheel("cached"))], STORED, INSTALLED) == []


def test_inner_may_hold_what_other_releases_have() -> None:
    other = wheel("other")
    assert differences(RELEASE, STORED, [*STORED, stored(other)], INSTALLED, others=[other]) == []


def test_another_version_is_named() -> None:
    found = differences([wheel("jax", "1")], [stored(wheel("jax", "1"))], [stored(wheel("jax", "1"))],
                        [Held.of(wheel("jax", "2"))])  # fmt: skip
    assert [str(each) for each in found] == [
        "installed: pypi/jax 1 was released and is missing; installed has 2",
        f"installed: pypi/jax 2 (SHA-256 {wheel('jax').sha256}) is there, not in this release",
    ]


def test_spelling_is_no_difference() -> None:
    spelt = replace(stored(wheel("jax", "1.0rc1")), version="1.0-RC1")
    assert differences([wheel("jax", "1.0rc1")], [spelt], [spelt], [spelt]) == []
