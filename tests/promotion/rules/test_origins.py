"""Origins: a name has one side."""

from __future__ import annotations

import pytest

from dmz.errors import InputError
from tests.promotion.builders import deb, wheel
from tests.promotion.rules.cases import evidence, judged, outcome, policy, rule, screening

SIDES = """
public = ["python-remote", "python-built", "apt-*"]
private = ["python-ours"]
private-names = ["acme-*", "secret"]
"""
ORIGINS = rule("origins", SIDES)


@pytest.mark.parametrize(
    ("name", "origin", "upstreams", "said"),
    [
        ("jax", "python-remote", ("python-remote",), ""),
        ("jax", "python-built", ("python-remote", "python-built"), ""),
        ("acme-tools", "python-ours", ("python-ours",), ""),
        ("acme-tools", "python-remote", ("python-remote",), "the name is private ('acme-*')"),
        ("secret", "python-built", ("python-built",), "the name is private ('secret')"),
        ("jax", "python-ours", ("python-ours",), "the name is public and it comes from the private"),
        ("jax", "python-remote", ("python-remote", "python-ours"), "list it under private-names"),
        ("jax", "elsewhere", ("elsewhere",), "neither public nor private"),
    ],
)
def test_a_name_comes_from_its_side(name: str, origin: str, upstreams: tuple[str, ...], said: str) -> None:
    found = judged(ORIGINS, evidence(wheel(name, origin=origin), upstreams=upstreams))
    assert found.passed is (not said)
    assert said in found.saw


def test_a_public_repository_that_offers_a_private_name_is_pointed_out() -> None:
    made = evidence(wheel("acme-tools", origin="python-ours"), upstreams=("python-ours", "python-remote"))
    verdict = screening(policy(ORIGINS)).judge(made)
    assert verdict.admitted
    assert verdict.warnings == ("origins: the public 'python-remote' offers this private name too",)


def test_debs_have_sides_as_well() -> None:
    assert judged(ORIGINS, evidence(deb(), upstreams=("apt-bookworm",))).passed
    assert not judged(ORIGINS, evidence(deb("acme-agent"), upstreams=("apt-bookworm",))).passed


def test_without_private_repositories_nobody_needs_to_ask_who_offers_a_name() -> None:
    assert judged(rule("origins", 'public = ["python-remote"]'), evidence()).passed
    assert not outcome(screening(policy(ORIGINS)).judge(evidence()), "origins").passed


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("", "'public' is missing"),
        ("public = []", "no public repository"),
        ('public = ["python-*"]\nprivate = ["python-ours"]', "keep them apart"),
        ('public = ["a"]\nprivate = ["a"]', "keep them apart"),
        ('public = ["a b"]', "is no name"),
        ('public = ["a"]\nprivate-nmaes = ["acme-*"]', "did you mean 'private-names'?"),
    ],
)
def test_settings_that_are_no_good_do_not_parse(settings: str, said: str) -> None:
    with pytest.raises(InputError, match=r"^policy\.toml: rules\.origins: ") as refused:
        policy(rule("origins", settings))
    assert said in str(refused.value)
