"""Lookalikes: what a slip of the finger or of the eye would install."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmz.errors import InputError
from dmz.promotion.rules.lookalikes import (
    SHORTEST,
    LookalikesRule,
    Names,
    distance,
    honest,
    read_names,
    seen,
    shipped,
)
from dmz.promotion.rules.rule import Context
from tests.promotion.builders import wheel
from tests.promotion.rules.cases import TODAY, evidence, judged, policy, rule

RULE = rule("lookalikes")


@pytest.mark.parametrize(
    ("name", "other", "why"),
    [
        ("reqeusts", "requests", "two letters are swapped"),
        ("request", "requests", "one letter apart"),
        ("nunpy", "numpy", "one letter apart"),
        ("numppy", "numpy", "one letter apart"),
        ("pythondateutil", "python-dateutil", "without the separators they are the same"),
        ("jax-lib", "jaxlib", "without the separators they are the same"),
        ("pi11ow", "pillow", "they look the same"),
        ("col0rama", "colorama", "they look the same"),
        ("nurnpy", "numpy", "they look the same"),
        ("scikit1earn", "scikit-learn", "they look the same"),
    ],
)
def test_a_name_that_looks_like_a_well_known_one_is_refused(name: str, other: str, why: str) -> None:
    found = judged(RULE, evidence(wheel(name)))
    assert not found.passed
    assert found.saw == f"the name looks like '{other}': {why}"


@pytest.mark.parametrize(
    "name", ["requests", "aiofile", "aiofiles", "psycopg2", "flax", "jaz", "wholly-different"]
)
def test_a_well_known_name_and_one_that_is_like_none_passes(name: str) -> None:
    assert judged(RULE, evidence(wheel(name))).passed


def test_no_name_of_the_shipped_list_is_like_another_to_the_rule() -> None:
    for name in shipped():
        assert judged(RULE, evidence(wheel(name))).passed


def test_an_honest_neighbour_of_a_well_known_name_passes_and_is_no_well_known_name_itself() -> None:
    for name in ("psycopg-binary", "ijson", "markdown2", "uri-template", "fastai"):
        assert judged(RULE, evidence(wheel(name))).passed
    assert not judged(RULE, evidence(wheel("requestz"))).passed
    assert judged(RULE, evidence(wheel("ijsonn"))).passed


def test_the_honest_ones_are_those_that_would_be_refused_otherwise() -> None:
    known = Names(shipped())
    assert [name for name in sorted(honest()) if not known.like(name)] == []


def test_a_dependency_that_looks_like_what_the_workload_asks_for_is_refused() -> None:
    asked = Context(TODAY, requested=frozenset({"acme-trainer"}))
    assert not judged(RULE, evidence(wheel("acme-tralner")), context=asked).passed
    assert judged(RULE, evidence(wheel("acme-trainer")), context=asked).passed
    assert judged(RULE, evidence(wheel("acme-tralner"))).passed


def test_a_slip_in_the_workload_itself_is_refused() -> None:
    asked = Context(TODAY, requested=frozenset({"reqeusts", "requests"}))
    assert not judged(RULE, evidence(wheel("reqeusts")), context=asked).passed


def test_two_names_that_the_workload_asks_for_may_be_alike() -> None:
    asked = Context(TODAY, requested=frozenset({"acme-one", "acme-ones"}))
    assert judged(RULE, evidence(wheel("acme-ones")), context=asked).passed


def test_a_name_that_somebody_looked_at_passes() -> None:
    assert judged(rule("lookalikes", 'allow = ["request"]'), evidence(wheel("request"))).passed


def test_the_policy_may_name_its_own_list(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("acme-trainer  # ours\n\n# more\nother\n")
    made = policy(rule("lookalikes", 'names = "names.txt"'), path=tmp_path / "policy.toml")
    [found] = [each for each in made.rules if each.name == "lookalikes"]
    assert isinstance(found, LookalikesRule)
    assert found.names
    assert found.names.names == {"acme-trainer", "other"}
    [file] = found.lists
    assert (file.path.name, file.digest) == (
        "names.txt",
        hashlib.sha256((tmp_path / "names.txt").read_bytes()).hexdigest(),
    )


@pytest.mark.parametrize(
    ("text", "said"), [("", "no name in there"), ("Requests", "'Requests'"), ("ok\na b", "names.txt:2")]
)
def test_a_list_that_is_no_good_does_not_parse(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text(text)
    with pytest.raises(InputError, match=r"rules\.lookalikes: names: ") as refused:
        policy(rule("lookalikes", 'names = "names.txt"'), path=tmp_path / "policy.toml")
    assert said in str(refused.value)


def test_a_list_that_is_missing_does_not_parse(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unreadable"):
        policy(rule("lookalikes", 'names = "names.txt"'), path=tmp_path / "policy.toml")


def test_any_bytes_are_names_or_refused() -> None:
    with pytest.raises(InputError):
        read_names("\x00\n", "names.txt")


@pytest.mark.parametrize(
    ("one", "other", "steps"),
    [
        ("", "", 0),
        ("a", "", 1),
        ("ab", "ba", 1),
        ("abc", "acb", 1),
        ("ca", "abc", 3),
        ("kitten", "sitting", 3),
    ],
)
def test_the_distance(one: str, other: str, steps: int) -> None:
    assert distance(one, other) == steps


short = st.text("abc-", min_size=1, max_size=7)


@given(short, short)
def test_the_distance_is_the_same_both_ways(one: str, other: str) -> None:
    assert distance(one, other) == distance(other, one)
    assert (distance(one, other) == 0) is (one == other)


@given(short, st.sets(short, min_size=1, max_size=8))
def test_the_index_finds_what_comparing_each_would(name: str, names: set[str]) -> None:
    if name in names:
        assert Names(names).like(name) is None
        return
    near = {
        each
        for each in names
        if (len(name) >= 3 and seen(each) == seen(name))
        or (min(len(name), len(each)) >= SHORTEST and distance(name, each) == 1)
    }
    found = Names(names).like(name)
    assert (found is not None) is bool(near)
    assert found is None or found[0] in near
