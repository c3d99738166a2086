"""Probes of the network and what they prove: a blocked one counts only if the control got through."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from dmz.promotion.claim import Claim, Text


class Observed(StrEnum):
    """What a machine saw when it tried to get out."""

    REACHED = "reached"
    BLOCKED = "blocked"
    ERROR = "error"
    """The probe could not be carried out, so it says nothing."""


class Probe(Claim):
    """One attempt of one machine to get out."""

    name: Annotated[Text, Field(min_length=1, max_length=64)]
    """Which way out: `tcp`, `udp`, `icmp`, `dns-a`, …"""
    target: Annotated[Text, Field(max_length=300)]
    observed: Observed
    detail: Text = ""


class Verdict(StrEnum):
    """What a pair of probes shows of one way out."""

    SEALED = "sealed"
    """The outer machine got through, the inner one did not."""
    LEAK = "leak"
    """The inner machine got out."""
    NO_CONTROL = "no control"
    """The outer machine did not get through either: that the inner one did not shows nothing."""
    NOT_RUN = "not run"
    """The inner machine could not carry it out, or did not."""


@dataclass(frozen=True, order=True)
class Judgement:
    """One way out of the sealed network."""

    name: str
    target: str
    outer: str
    """What the control saw; empty when there was none."""
    inner: str
    """What the sealed machine saw; empty when it did not run the probe."""
    verdict: Verdict


def judge(outer: Iterable[Probe], inner: Iterable[Probe]) -> list[Judgement]:
    """Pair the probes of both machines by way and target.

    Where a machine ran one several times, an outer one counts only if each got through, an inner one as
    reached if any did.
    """
    controls, tries = _grouped(outer), _grouped(inner)
    return [
        _pair(name, target, controls.get((name, target), []), tries.get((name, target), []))
        for name, target in sorted(controls.keys() | tries.keys())
    ]


def sealed(judgements: Sequence[Judgement]) -> bool:
    """Whether every way out was tried, had a control that got through, and was blocked."""
    return bool(judgements) and all(each.verdict is Verdict.SEALED for each in judgements)


def _grouped(probes: Iterable[Probe]) -> dict[tuple[str, str], list[Observed]]:
    found: dict[tuple[str, str], list[Observed]] = {}
    for probe in probes:
        found.setdefault((probe.name, probe.target), []).append(probe.observed)
    return found


def _pair(name: str, target: str, controls: list[Observed], tries: list[Observed]) -> Judgement:
    outer = _worst(controls, (Observed.ERROR, Observed.BLOCKED, Observed.REACHED))
    inner = _worst(tries, (Observed.REACHED, Observed.ERROR, Observed.BLOCKED))
    if inner == Observed.REACHED:
        verdict = Verdict.LEAK
    elif inner != Observed.BLOCKED:
        verdict = Verdict.NOT_RUN
    else:
        verdict = Verdict.SEALED if outer == Observed.REACHED else Verdict.NO_CONTROL
    return Judgement(name, target, outer, inner, verdict)


def _worst(seen: list[Observed], order: tuple[Observed, ...]) -> str:
    return next((str(each) for each in order if each in seen), "")
