from __future__ import annotations

import pytest

from dmz.promotion.probes import Observed, Probe, Verdict, judge, sealed


def probe(observed: str, name: str = "tcp", target: str = "203.0.113.1:443") -> Probe:
    return Probe(name=name, target=target, observed=Observed(observed))


@pytest.mark.parametrize(
    ("outer", "inner", "verdict"),
    [
        (["reached"], ["blocked"], Verdict.SEALED),
        (["reached"], ["reached"], Verdict.LEAK),
        (["blocked"], ["reached"], Verdict.LEAK),
        ([], ["reached"], Verdict.LEAK),
        (["reached"], ["blocked", "reached"], Verdict.LEAK),
        (["blocked"], ["blocked"], Verdict.NO_CONTROL),
        (["error"], ["blocked"], Verdict.NO_CONTROL),
        ([], ["blocked"], Verdict.NO_CONTROL),
        (["reached", "blocked"], ["blocked"], Verdict.NO_CONTROL),
        (["reached"], ["error"], Verdict.NOT_RUN),
        (["reached"], ["error", "blocked"], Verdict.NOT_RUN),
        (["reached"], [], Verdict.NOT_RUN),
    ],
)
def test_only_a_blocked_probe_with_a_control_that_got_through_shows_a_seal(
    outer: list[str], inner: list[str], verdict: Verdict
) -> None:
    [judgement] = judge(map(probe, outer), map(probe, inner))
    assert judgement.verdict is verdict
    assert sealed([judgement]) is (verdict is Verdict.SEALED)


def test_a_control_counts_for_its_own_way_and_target_only() -> None:
    found = judge(
        [probe("reached", "tcp"), probe("reached", "udp", "203.0.113.1:53")],
        [probe("blocked", "tcp"), probe("blocked", "udp", "203.0.113.9:53")],
    )
    assert [(each.name, each.target, each.verdict) for each in found] == [
        ("tcp", "203.0.113.1:443", Verdict.SEALED),
        ("udp", "203.0.113.1:53", Verdict.NOT_RUN),
        ("udp", "203.0.113.9:53", Verdict.NO_CONTROL),
    ]
    assert not sealed(found)


def test_no_probe_is_no_seal() -> None:
    assert not sealed(judge([], []))
