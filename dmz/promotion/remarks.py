"""Remarks: what is to be said of what a screening admitted, for the review and the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from dmz.promotion.rules.rule import Effect
from dmz.promotion.verdict import Seen, Verdict
from dmz.promotion.waivers import Waiver

_SORTS: Final[Mapping[Effect | None, str]] = {
    Effect.WARN: "warned of",
    Effect.DRY_RUN: "on trial",
    None: "noted",
}
_MOST: Final = 5
"""Packages that a line names before it counts the rest."""


@dataclass(frozen=True)
class Remark:
    """Something that a rule saw of an artifact which was admitted all the same."""

    key: str
    version: str
    rule: str
    words: str
    effect: Effect | None
    """What it leads to: a warning or a trial; None: nothing, as it is below what the rule is about."""
    waiver: Waiver | None = None
    """Why it leads to nothing although the rule refuses it."""
    ends_soon: bool = False
    """Whether the waiver ends within the time that the policy warns of."""

    @property
    def sort(self) -> str:
        """What sort of remark it is, in a word or two."""
        return "waived" if self.waiver else _SORTS[self.effect]


def remarks(verdicts: Iterable[Verdict]) -> list[Remark]:
    """What is to be said of artifacts that were admitted, in a fixed order."""
    found = [
        Remark(
            verdict.entry.artifact.key,
            verdict.entry.artifact.version,
            seen.rule,
            _unwaived(seen),
            seen.effect,
            seen.waiver if seen.waived else None,
            seen.waived and seen.waiver in verdict.ending,
        )
        for verdict in verdicts
        for seen in verdict.seen
        if seen.effect or seen.finding or seen.waived
    ]
    return sorted(found, key=lambda each: (each.key, each.rule, each.words))


def _unwaived(seen: Seen) -> str:
    """What the rule saw, without what screening says of the waiver: that is said apart."""
    return seen.words.partition("; waived by ")[0] if seen.waived else seen.words


def lines(found: Iterable[Remark], unused: Iterable[Waiver] = ()) -> list[str]:
    """Remarks as a person reads them; one line for each thing that was seen, whatever number of packages it
    was seen of.

    Args:
        unused: waivers that nothing needed.
    """
    said: dict[tuple[str, str, str], list[str]] = {}
    waivers: dict[Waiver, str] = {}
    for each in found:
        packages = said.setdefault((each.sort, each.rule, each.words), [])
        packages.append(f"{each.key} {each.version}")
        if each.waiver:
            waivers[each.waiver] = "renew it, or mend it" if each.ends_soon else ""
    told = [
        f"{sort}, {rule}: {_named(names)}: {words}" for (sort, rule, words), names in sorted(said.items())
    ]
    told += [
        f"waiver: {each} for {_about(each)} ends on {each.until:%Y-%m-%d}" + (f"; {ask}" if ask else "")
        for each, ask in sorted(waivers.items())
    ]
    return told + [f"waiver: nothing released needs {each} for {_about(each)}; remove it" for each in unused]


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more


def _about(waiver: Waiver) -> str:
    return f"{', '.join(sorted(waiver.names))} of {waiver.purl}"
