from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmz.artifact import Artifact
from dmz.errors import InputError
from dmz.promotion import lines
from dmz.promotion.release import Release, union
from tests.promotion import builders
from tests.promotion.builders import deb, file, sha, wheel


def test_a_line_says_all() -> None:
    made = [wheel("jax", "0.4.1", why=("flax", "requested")), deb("jq", "1:1.6-2.1"), file("a.tgz", why=())]
    assert lines.render(made) == {
        "apt/jq:amd64": f"1:1.6-2.1 jq_1%3a1.6-2.1_amd64.deb sha256:{sha(b'deb')} 3 from apt-bookworm; "
        "requested",
        "files/a.tgz": f"{sha(b'file')} a.tgz sha256:{sha(b'file')} 4 from files",
        "pypi/jax": f"0.4.1 jax-0.4.1-py3-none-any.whl sha256:{sha(b'wheel')} 5 from python-remote; "
        "flax, requested",
    }


def test_versions_share_a_line() -> None:
    [line] = lines.render([wheel("jax", "2"), wheel("jax", "1")]).values()
    assert [each.partition(" ")[0] for each in line.split(" | ")] == ["1", "2"]


@given(st.lists(builders.artifacts, max_size=8, unique=True))
def test_what_is_rendered_is_parsed_exactly(artifacts: list[Artifact]) -> None:
    assert lines.parse(lines.render(artifacts)) == sorted(artifacts)


@given(st.lists(builders.releases, max_size=3, unique_by=lambda each: each.workload))
def test_the_lines_of_a_union_are_the_union(releases: list[Release]) -> None:
    try:
        artifacts = union(releases)
    except InputError:
        return  # Two releases that cannot be together.
    assert lines.parse(lines.render(artifacts)) == artifacts


@pytest.mark.parametrize(
    "change",
    [
        {"version": "1 2"},
        {"version": "1|2"},
        {"version": ""},
        {"origin": "a; b"},
        {"name": "a/b"},
        {"name": "a:b"},
        {"why": ("a, b",)},
        {"why": ("a | b",)},
        {"why": ("",)},
        {"why": (" a",)},
        {"architecture": "amd64"},
    ],
)
def test_what_would_read_as_something_else_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(InputError, match="cannot stand in a line"):
        lines.render([replace(wheel("jax"), **change)])  # type: ignore[arg-type]


FINE = f"1 jax-1-py3-none-any.whl sha256:{'a' * 64} 5 from python-remote; requested"


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("jax", FINE),
        ("npm/jax", FINE),
        ("pypi/../jax", FINE),
        ("apt/jq", FINE),
        ("pypi/jax:amd64", FINE),
        ("pypi/jax", ""),
        ("pypi/jax", FINE + " | "),
        ("pypi/jax", FINE.replace("sha256", "md5")),
        ("pypi/jax", FINE.replace("a" * 64, "A" * 64)),
        ("pypi/jax", FINE.replace(" 5 ", " 05 ")),
        ("pypi/jax", FINE.replace(" 5 ", f" {'9' * 5000} ")),
        ("pypi/jax", FINE.replace(" 5 ", " -5 ")),
        ("pypi/jax", FINE.replace("jax-1", "../jax-1")),
        ("pypi/jax", FINE.replace("; requested", ";")),
        ("pypi/jax", FINE.replace("; requested", "; a,b")),
        ("pypi/jax", FINE + "\n"),
    ],
)
def test_other_lines_are_refused(key: str, line: str) -> None:
    assert lines.parse({"pypi/jax": FINE})
    with pytest.raises(InputError):
        lines.parse({key: line})


@given(st.text(max_size=30), st.text(max_size=120))
def test_any_text_is_refused_in_one_line(key: str, line: str) -> None:
    with pytest.raises(InputError) as refusal:
        lines.parse({key: line})
    assert str(refusal.value).isprintable()
