from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dmz.artifact import Artifact, Kind
from dmz.promotion import lines
from dmz.promotion.drift import present
from dmz.promotion.place import slot
from dmz.registries.interface import Stored
from tests.promotion import builders
from tests.promotion.builders import deb, stored, wheel


@given(st.lists(builders.artifacts, max_size=8, unique_by=slot))
def test_repositories_that_hold_what_the_state_says_show_no_drift(artifacts: list[Artifact]) -> None:
    old = lines.render(artifacts)
    assert present([stored(each) for each in artifacts], old) == old


def test_a_deb_that_the_repository_calls_otherwise_is_no_drift() -> None:
    old = lines.render([deb("jq")])
    assert present([replace(stored(deb("jq")), filename="pool-jq.deb")], old) == old


def test_what_is_gone_has_no_line() -> None:
    assert present([], lines.render([wheel("jax")])) == {}


def test_a_stranger_is_shown_as_such() -> None:
    old = lines.render([wheel("jax", "1")])
    stranger = wheel("jax", "2", b"evil")
    assert present([stored(wheel("jax", "1")), stored(stranger)], old) == {
        "pypi/jax": f"{old['pypi/jax']} | 2 jax-2-py3-none-any.whl sha256:{stranger.sha256} 4 from unknown; "
        "not in any release"
    }


def test_other_bytes_under_a_known_name_are_a_stranger() -> None:
    old = lines.render([wheel("jax")])
    [line] = present([replace(stored(wheel("jax")), sha256="0" * 64)], old).values()
    assert line.endswith("from unknown; not in any release")


def test_a_refresh_after_a_refresh_is_the_same() -> None:
    held = [stored(wheel("jax")), stored(deb("jq"))]
    once = present(held, {})
    assert present(held, once) == once


words = st.text(min_size=0, max_size=8)


@given(
    st.builds(
        Stored,
        kind=st.sampled_from(Kind),
        name=words,
        architecture=words,
        version=words,
        filename=words.filter(lambda text: text not in {".", ".."}),
        sha256=st.just("a" * 64),
        size=st.integers(0, 10**15),
    )
)
def test_whatever_somebody_put_there_can_be_shown(odd: Stored) -> None:
    [(key, line)] = present([odd], {}).items()
    assert (key + line).isprintable()
    assert lines.parse({key: line})[0].origin == "unknown"
