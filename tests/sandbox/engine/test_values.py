"""Property values survive both encodings, and secrets stay secret."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sandbox.engine import values
from sandbox.engine.differences import matches_path, object_diff, reset_path
from sandbox.engine.values import UNKNOWN, Secret

_SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        | inner.map(values.secret)
        | st.just(UNKNOWN)
    ),
    max_leaves=8,
)
_PROPERTIES = st.dictionaries(st.text(max_size=5), _VALUES, max_size=4)


@given(_PROPERTIES)
def test_struct_round_trip(properties: dict[str, Any]) -> None:
    assert values.equal(values.from_struct(values.to_struct(properties, secrets=True)), properties)


@given(_PROPERTIES)
def test_state_round_trip(properties: dict[str, Any]) -> None:
    sealed: dict[str, str] = {}

    def encrypt(text: str) -> str:
        sealed[str(len(sealed))] = text
        return str(len(sealed) - 1)

    written = values.to_state(properties, encrypt)
    assert values.equal(values.from_state(written, sealed.__getitem__), properties)


@given(_PROPERTIES)
def test_without_secrets_none_is_marked(properties: dict[str, Any]) -> None:
    sent = values.from_struct(values.to_struct(properties, secrets=False))
    assert not values.has_secrets(sent)
    assert values.equal(sent, values.plain(properties))


def test_masking() -> None:
    assert values.masked({"a": Secret({"b": "hidden"}), "c": [Secret(1)]}) == {
        "a": "[secret]",
        "c": ["[secret]"],
    }


def test_equality_tells_true_from_one() -> None:
    assert not values.equal({"a": True}, {"a": 1})
    assert not values.equal(Secret("a"), "a")


def test_annotation_marks_what_was_secret() -> None:
    outputs: dict[str, Any] = {"a": "x", "b": {"c": "y"}, "d": ["z"]}
    values.annotate_secrets(outputs, {"a": Secret("x"), "b": {"c": Secret("y")}, "d": [Secret("z")]})
    assert values.equal(outputs, {"a": Secret("x"), "b": {"c": Secret("y")}, "d": Secret(["z"])})


def test_difference_by_path() -> None:
    old = {"packages": {"pypi/jax": "1", "pypi/old": "1"}, "list": [1, 2]}
    new = {"packages": {"pypi/jax": "2", "pypi/new": "1"}, "list": [1], "more": True}
    assert object_diff(old, new) == {
        "list[1]": "delete",
        "more": "add",
        'packages["pypi/jax"]': "update",
        'packages["pypi/new"]': "add",
        'packages["pypi/old"]': "delete",
    }


def test_paths() -> None:
    assert matches_path("a.*.c", "a[3].c.d")
    assert not matches_path("a.b", "a")
    assert reset_path("a.b", {"a": {"b": 1, "c": 1}}, {"a": {"b": 2, "c": 2}}) == {"a": {"b": 1, "c": 2}}
    assert reset_path("a", {}, {"a": 1, "b": 2}) == {"b": 2}
    assert reset_path("a[*].x", {"a": [{"x": 1}]}, {"a": [{"x": 2, "y": 3}]}) == {"a": [{"x": 1, "y": 3}]}
    assert reset_path("a.b.c", {"a": {}}, {"a": {"b": {"c": 1}}}) is None
