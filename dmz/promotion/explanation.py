"""A conflict as a person would say it: what is asked for, who needs what, what is refused, what helps."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from dmz.promotion.remedy import Conflict, Pins

_AS_ADVISED = "do without it, wait for a version that passes, or accept it for a time with a waiver"
_WITHOUT_WAIVER = "do without it, or wait for a version that passes"


@dataclass(frozen=True)
class Need:
    """One thing that needs another."""

    who: str
    """Name and version."""
    requirement: str
    """As it stands in the metadata."""


def told(
    conflict: Conflict,
    needs: Mapping[str, Sequence[Need]],
    offered: Mapping[str, Sequence[str]],
    first: Pins,
    waivable: bool = True,
) -> str:
    """The conflict in one sentence without a full stop.

    Args:
        needs: for each refused name, the chain of needs that leads to it; empty if the workload names it.
        offered: for each refused name, all versions, rising.
        first: the resolution that was refused.
        waivable: whether a waiver could let in what is refused.
    """
    parts = []
    if conflict.requirements:
        parts.append("the workload asks for " + _listed(f"'{text}'" for text in conflict.requirements))
    said: set[Need] = set()
    for name, gone in sorted(conflict.excluded.items()):
        for need in needs.get(name, ()):
            if need not in said:
                parts.append(f"{need.who} needs {plain(need.requirement)}")
                said.add(need)
        bound = [need.requirement for need in needs.get(name, ())[-1:]]
        bound += [text for text in conflict.requirements if _name(text) == name]
        parts.append(f"{span(name, offered.get(name, ()), gone, bound)} refused")
    ways = [
        f"{way.name}{'>=' if _is_above(way.version, first.get(way.name, '')) else '<='}{way.version}"
        for way in conflict.ways
    ]
    return (
        "; ".join(parts)
        + ": "
        + (f"ask for {_listed(ways, 'or')}" if ways else _AS_ADVISED if waivable else _WITHOUT_WAIVER)
    )


def span(name: str, offered: Sequence[str], gone: Collection[str], bound: Iterable[str] = ()) -> str:
    """Which versions are refused, as far as they may be asked for, with the verb: `every foo below 5 is`.

    Args:
        offered: all versions, rising.
        bound: requirements that they have to meet.
    """
    final = [text for text in offered if not _parse(text).is_prerelease]
    fitting = [text for text in final if _fits(text, bound)] or final
    refused = [text for text in fitting if text in gone]
    if not refused:
        return f"{name} {_listed(sorted(gone))} {'is' if len(gone) == 1 else 'are'}"
    passing = [final.index(text) for text in final if text not in gone]
    low, high = final.index(refused[0]), final.index(refused[-1])
    if not passing:
        return f"every {name} is"
    if min(passing) > high:
        return f"every {name} below {final[min(passing)]} is"
    if max(passing) < low:
        return f"every {name} above {final[max(passing)]} is"
    if len(refused) == 1:
        return f"{name} {refused[0]} is"
    if len(refused) == high - low + 1:
        return f"every {name} from {refused[0]} to {refused[-1]} is"
    return f"{name} {_listed(refused) if len(refused) < 5 else f'{refused[0]}, … {refused[-1]}'} are"


def plain(requirement: str) -> str:
    """A requirement without its marker: `protobuf<5`."""
    try:
        parsed = Requirement(requirement)
    except InvalidRequirement:
        return requirement
    return f"{parsed.name}{parsed.specifier}"


def _name(requirement: str) -> str:
    try:
        return canonicalize_name(Requirement(requirement).name)
    except InvalidRequirement:
        return requirement


def _fits(version: str, bound: Iterable[str]) -> bool:
    try:
        return all(Requirement(text).specifier.contains(version, prereleases=True) for text in bound)
    except InvalidRequirement:
        return True


def _parse(text: str) -> Version:
    try:
        return Version(text)
    except ValueError:  # too many digits raise one of their own
        return Version("0")


def _is_above(version: str, other: str) -> bool:
    return _parse(version) > _parse(other or "0")


def _listed(texts: Iterable[str], word: str = "and") -> str:
    *most, last = texts
    return f"{', '.join(most)} {word} {last}" if most else last
