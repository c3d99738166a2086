"""What is said of a refused package, as a person would say it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dmz.promotion.verdict import Verdict


@dataclass(frozen=True)
class Remedy:
    """The version to take instead of a refused one."""

    version: str
    allowed: bool
    """Whether what was asked for allows it, so that a new resolution finds it."""


def refusal(verdict: Verdict) -> str:
    """The package and the reasons, as a sentence: nothing of other versions, which have to be looked for."""
    artifact = verdict.entry.artifact
    reasons = "; ".join(
        each.words if each.finding else f"{each.rule}: {each.words}" for each in verdict.refusals
    )
    return f"{artifact.name} {artifact.version} is refused: {reasons}."


def explain(verdict: Verdict, found: Remedy | None, asked: Sequence[str] = ()) -> str:
    """A refusal as one line: the package, the reasons, and the version that would pass.

    Args:
        verdict: one that refuses.
        found: the remedy; None: it was looked for, and there is none.
        asked: the requirements that led to the refused version, to name the one to change.
    """
    text = refusal(verdict)
    demand = " and ".join(f"'{each}'" for each in asked)
    if found is None:
        accept = ", or accept it for a time with a waiver (waivers/README.md)" if verdict.waivable else ""
        return f"{text} No version of it passes: do without it, or wait for one that does{accept}."
    if found.allowed:
        return f"{text} Version {found.version} passes" + (f" and {demand} allows it." if demand else ".")
    return f"{text} Version {found.version} would pass" + (
        f", but {demand} does not allow it: change that requirement." if demand else "."
    )
