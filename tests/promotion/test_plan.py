from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmz.artifact import Artifact
from dmz.errors import RefusedError
from dmz.promotion.place import slot, unit
from dmz.promotion.plan import Conflict, Plan, plan
from tests.promotion import builders
from tests.promotion.builders import deb, file, stored, wheel

some = st.lists(builders.artifacts, max_size=8, unique_by=slot)


def test_what_is_missing_is_copied_and_what_is_there_is_kept() -> None:
    jax, jq, data = wheel("jax"), deb("jq"), file()
    assert plan([jax, jq, data], [stored(jq)]) == Plan(copy=(data, jax), keep=(jq,))


def test_what_no_release_has_is_withdrawn_and_foreign_unless_it_was_put_there() -> None:
    jax, old = wheel("jax"), wheel("old")
    first = plan([jax], [stored(old)])
    assert (first.withdraw, first.foreign) == ((stored(old),), (stored(old),))
    later = plan([jax], [stored(old)], before=[old])
    assert (later.withdraw, later.foreign) == ((stored(old),), ())


def test_other_bytes_than_were_put_there_are_foreign() -> None:
    old = wheel("old")
    changed = replace(stored(old), sha256="0" * 64)
    assert plan([], [changed], before=[old]).foreign == (changed,)


def test_an_empty_release_withdraws_everything() -> None:
    held = [stored(wheel("jax")), stored(deb("jq")), stored(file())]
    assert plan([], held).withdraw == tuple(sorted(held))


def test_other_bytes_under_a_name_are_a_conflict_and_nothing_else() -> None:
    for artifact in (wheel("jax"), deb("jq")):
        other = replace(stored(artifact), sha256="0" * 64)
        made = plan([artifact], [other])
        assert made == Plan(conflicts=(Conflict(artifact, other),))
        assert not made.empty
        with pytest.raises(RefusedError, match=f"approved SHA-256 {artifact.sha256}.*holds {'0' * 64}"):
            made.check(adopt=True)


def test_a_bucket_has_a_place_for_each_content() -> None:
    new, old = file(content=b"new"), file(content=b"old")
    made = plan([new], [stored(old)])
    assert (made.copy, made.withdraw, made.conflicts) == ((new,), (stored(old),), ())


def test_a_debs_place_does_not_depend_on_its_file_name() -> None:
    jq = deb("jq")
    assert plan([jq], [replace(stored(jq), filename="jq_pool.deb")]).keep == (jq,)


def test_a_version_with_an_approved_file_stays_and_what_lingers_is_told() -> None:
    approved, other = wheel("jax", "1"), wheel("jax", "1", tag="py2-none-any")
    made = plan([approved], [stored(approved), stored(other)])
    assert (made.keep, made.withdraw, made.lingering) == ((approved,), (), (stored(other),))
    assert made.empty

    amd64, arm64 = deb("jq"), deb("jq", architecture="arm64")
    made = plan([amd64], [stored(arm64)])
    assert (made.copy, made.withdraw, made.lingering) == ((amd64,), (), (stored(arm64),))


def test_a_version_is_the_same_however_it_is_spelt() -> None:
    approved = wheel("jax", "1.0")
    odd = replace(stored(wheel("jax", "1.0", tag="py2-none-any")), version="v1.0")
    assert plan([approved], [odd]).withdraw == ()


def test_a_repository_that_holds_both_right_and_wrong_bytes_keeps_and_tells() -> None:
    jq = deb("jq")
    wrong = replace(stored(jq), sha256="0" * 64)
    made = plan([jq], [stored(jq), wrong])
    assert (made.keep, made.lingering, made.conflicts) == ((jq,), (wrong,), ())


def test_foreign_files_need_a_word() -> None:
    made = plan([], [stored(wheel("a")), stored(wheel("b"))])
    with pytest.raises(RefusedError, match=r"2 files .*pypi/a a-0\.4\.1.*dmz:adopt.*nothing was changed"):
        made.check(adopt=False)
    made.check(adopt=True)
    plan([], [stored(wheel("a"))], before=[wheel("a")]).check(adopt=False)


@given(desired=some, held=some, before=some, order=st.randoms(use_true_random=False))
def test_order_never_matters(
    desired: list[Artifact], held: list[Artifact], before: list[Artifact], order: random.Random
) -> None:
    contents = [stored(each) for each in held]
    one = plan(desired, contents, before)
    for sequence in (desired, contents, before):
        order.shuffle(sequence)
    assert plan(desired, contents + contents, before) == one


@given(desired=some, held=some)
def test_every_file_has_exactly_one_part(desired: list[Artifact], held: list[Artifact]) -> None:
    contents = {stored(each) for each in held}
    made = plan(desired, contents)
    parts = [*made.copy, *made.keep, *(conflict.artifact for conflict in made.conflicts)]
    assert sorted(parts) == sorted(desired)
    kept = {each for each in contents if any(slot(each) == slot(artifact) for artifact in made.keep)}
    conflicting = {conflict.stored for conflict in made.conflicts}
    assert kept | conflicting | {*made.withdraw} | {*made.lingering} == contents
    assert len(kept) + len(conflicting) + len(made.withdraw) + len(made.lingering) == len(contents)
    assert {unit(each) for each in made.withdraw}.isdisjoint({unit(each) for each in desired})


@given(desired=some)
def test_what_is_as_desired_needs_nothing(desired: list[Artifact]) -> None:
    made = plan(desired, [stored(each) for each in desired])
    assert made.empty
    assert made.lingering == ()
    assert sorted(made.keep) == sorted(desired)
