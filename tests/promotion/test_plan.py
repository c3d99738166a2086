from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmz.artifact import Artifact
from dmz.errors import RefusedError
from dmz.promotion.place import slot, unit
from dmz.promotion.plan import Plan, plan
from dmz.registries.interface import Stored
from tests.promotion import builders
from tests.promotion.builders import deb, file, stored, wheel

some = st.lists(builders.artifacts, max_size=8, unique_by=slot)
digests = st.lists(builders.artifacts.map(lambda each: each.sha256), max_size=4)


def test_what_is_missing_is_copied_and_what_is_there_is_kept() -> None:
    jax, jq, data = wheel("jax"), deb("jq"), file()
    assert plan([jax, jq, data], [stored(jq)]) == Plan(copy=(data, jax), keep=(jq,))


def test_what_no_release_has_is_withdrawn_and_foreign_unless_it_was_approved_once() -> None:
    jax, old = wheel("jax"), wheel("old", content=b"old")
    first = plan([jax], [stored(old)])
    assert (first.withdraw, first.foreign) == ((stored(old),), (stored(old),))
    later = plan([jax], [stored(old)], {old.sha256})
    assert (later.withdraw, later.foreign) == ((stored(old),), ())


def test_an_empty_release_withdraws_everything() -> None:
    held = [stored(wheel("jax")), stored(deb("jq")), stored(file())]
    assert plan([], held).withdraw == tuple(sorted(held))


@pytest.mark.parametrize("artifact", [wheel("jax"), deb("jq"), file()])
def test_other_bytes_under_an_approved_name_are_cleared_and_copied_anew(artifact: Artifact) -> None:
    other = replace(stored(artifact), sha256="0" * 64)
    made = plan([artifact], [other])
    assert made == Plan(clear=(other,), copy=(artifact,), foreign=(other,))
    assert not made.empty
    with pytest.raises(RefusedError, match=f"SHA-256 {'0' * 64}.*dmz:adopt"):
        made.check(adopt=False)


def test_even_bytes_that_were_approved_once_are_wrong_under_another_files_name() -> None:
    new, old = wheel("jax", content=b"new"), wheel("jax", content=b"old")
    made = plan([new], [stored(old)], {old.sha256})
    assert (made.clear, made.copy, made.foreign) == ((stored(old),), (new,), ())


def test_even_bytes_that_were_approved_once_are_wrong_where_another_file_should_be() -> None:
    new, old = file(content=b"new"), file(content=b"old")
    wrong = replace(stored(new), sha256=old.sha256)
    made = plan([new], [wrong], {old.sha256})
    assert (made.clear, made.copy, made.lingering) == ((wrong,), (new,), ())


def test_what_is_approved_of_a_version_that_is_cleared_is_copied_again() -> None:
    one, two = wheel("jax", "1"), wheel("jax", "1", tag="py2-none-any")
    changed = replace(stored(two), sha256="0" * 64)
    made = plan([one, two, wheel("flax")], [stored(one), changed, stored(wheel("flax"))])
    assert made.copy == (two, one)
    assert made.clear == tuple(sorted([stored(one), changed]))
    assert (made.keep, made.foreign) == ((wheel("flax"),), (changed,))


def test_a_bucket_has_a_place_for_each_content() -> None:
    new, old = file(content=b"new"), file(content=b"old")
    made = plan([new], [stored(old)])
    assert (made.copy, made.withdraw, made.clear) == ((new,), (stored(old),), ())


def test_a_debs_place_does_not_depend_on_its_file_name() -> None:
    jq = deb("jq")
    assert plan([jq], [replace(stored(jq), filename="jq_pool.deb")]).keep == (jq,)


def test_what_was_approved_lingers_with_a_version_that_is_wanted() -> None:
    approved, other = wheel("jax", "1"), wheel("jax", "1", content=b"other", tag="py2-none-any")
    made = plan([approved], [stored(approved), stored(other)], {other.sha256})
    assert (made.keep, made.withdraw, made.lingering) == ((approved,), (), (stored(other),))
    assert made.empty

    amd64, arm64 = deb("jq"), deb("jq", content=b"other", architecture="arm64")
    made = plan([amd64], [stored(arm64)], {arm64.sha256})
    assert (made.copy, made.withdraw, made.lingering) == ((amd64,), (), (stored(arm64),))


def test_what_nobody_approved_does_not_linger() -> None:
    approved, added = wheel("jax", "1"), wheel("jax", "1", content=b"evil", tag="py2-none-any")
    made = plan([approved], [stored(approved), stored(added)])
    assert made.clear == tuple(sorted([stored(approved), stored(added)]))
    assert (made.copy, made.keep, made.lingering, made.foreign) == ((approved,), (), (), (stored(added),))


def test_a_version_is_the_same_however_it_is_spelt() -> None:
    approved = wheel("jax", "1.0")
    odd = replace(stored(wheel("jax", "1.0", content=b"odd", tag="py2-none-any")), version="v1.0")
    assert plan([approved], [odd], {odd.sha256}).lingering == (odd,)


def test_a_repository_that_holds_both_right_and_wrong_bytes_is_cleared() -> None:
    jq = deb("jq")
    wrong = replace(stored(jq), sha256="0" * 64)
    made = plan([jq], [stored(jq), wrong])
    assert (made.clear, made.copy) == (tuple(sorted([stored(jq), wrong])), (jq,))


def test_foreign_files_need_a_word() -> None:
    made = plan([], [stored(wheel("a")), stored(wheel("b"))])
    with pytest.raises(RefusedError, match=r"2 files .*pypi/a a-0\.4\.1.*dmz:adopt.*nothing was changed"):
        made.check(adopt=False)
    made.check(adopt=True)
    plan([], [stored(wheel("a"))], {wheel("a").sha256}).check(adopt=False)


@given(desired=some, held=some, approved=digests, order=st.randoms(use_true_random=False))
def test_order_never_matters(
    desired: list[Artifact], held: list[Artifact], approved: list[str], order: random.Random
) -> None:
    contents = [stored(each) for each in held]
    one = plan(desired, contents, approved)
    for sequence in (desired, contents, approved):
        order.shuffle(sequence)
    assert plan(desired, contents + contents, approved) == one


@given(desired=some, held=some, approved=digests)
def test_every_file_has_exactly_one_part(
    desired: list[Artifact], held: list[Artifact], approved: list[str]
) -> None:
    contents = {stored(each) for each in held}
    made = plan(desired, contents, approved)
    assert sorted([*made.copy, *made.keep]) == sorted(desired)
    kept = {each for each in contents if any(slot(each) == slot(artifact) for artifact in made.keep)}
    parts = [*kept, *made.clear, *made.withdraw, *made.lingering]
    assert len(parts) == len(contents)
    assert set(parts) == contents
    wanted = {unit(each) for each in desired}
    assert {unit(each) for each in made.withdraw}.isdisjoint(wanted)
    assert {unit(each) for each in made.clear} <= wanted
    assert {each.sha256 for each in made.lingering} <= set(approved)


def apply(made: Plan, held: set[Stored]) -> set[Stored]:
    """What a repository holds when the plan was carried out; it withdraws whole versions."""
    cleared = {unit(each) for each in made.clear}
    held = {each for each in held if unit(each) not in cleared}
    assert not {slot(each) for each in made.copy} & {slot(each) for each in held}, "the place is taken"
    gone = {unit(each) for each in made.withdraw}
    return {each for each in held | {stored(each) for each in made.copy} if unit(each) not in gone}


@given(desired=some, held=some, approved=digests)
def test_carried_out_it_is_the_release_and_there_is_nothing_left_to_plan(
    desired: list[Artifact], held: list[Artifact], approved: list[str]
) -> None:
    made = plan(desired, {stored(each) for each in held}, approved)
    after = apply(made, {stored(each) for each in held})
    assert after - {*made.lingering} == {stored(each) for each in desired}
    again = plan(desired, after, approved)
    assert again.empty
    assert again.lingering == made.lingering


@given(desired=some)
def test_what_is_as_desired_needs_nothing(desired: list[Artifact]) -> None:
    made = plan(desired, [stored(each) for each in desired])
    assert made.empty
    assert made.lingering == ()
    assert sorted(made.keep) == sorted(desired)
