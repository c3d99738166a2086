"""Remarks as a person reads them."""

from __future__ import annotations

from dataclasses import replace

from dmz.promotion.remarks import Remark, lines
from dmz.promotion.rules.rule import Effect
from tests.promotion.test_review import WAIVER


def test_what_was_seen_of_many_packages_is_one_line_that_counts_them() -> None:
    many = [Remark(f"pypi/p{number}", "1", "attestations", "none", Effect.DRY_RUN) for number in range(7)]
    assert lines([*many, Remark("pypi/jax", "2", "abandoned", "5 years", Effect.WARN)]) == [
        "on trial, attestations: pypi/p0 1, pypi/p1 1, pypi/p2 1, pypi/p3 1, pypi/p4 1 and 2 more: none",
        "warned of, abandoned: pypi/jax 2: 5 years",
    ]


def test_a_waiver_is_named_once_with_its_end_and_with_what_to_do_when_that_is_near() -> None:
    given = [
        Remark("pypi/jax", "1", "severity", f"CVE-{number}", None, WAIVER, ends_soon=True)
        for number in (1, 2)
    ]
    about = "the waiver of security@example.org (jax.json) for CVE-2026-0994 of pkg:pypi/jax@0.4.2"
    assert lines(given)[2:] == [f"waiver: {about} ends on 2026-03-15; renew it, or mend it"]
    assert lines([replace(given[0], ends_soon=False)])[1:] == [f"waiver: {about} ends on 2026-03-15"]


def test_a_waiver_that_nothing_needs_is_to_be_removed() -> None:
    [line] = lines([], [WAIVER])
    assert line.startswith("waiver: nothing released needs the waiver of security@example.org (jax.json)")
    assert line.endswith("remove it")
