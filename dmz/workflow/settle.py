"""What to take instead of what is refused: the smallest change that passes, or why there is none.

`dmz.promotion.remedy` searches; uv, apt and the policy answer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from dmz.artifact import Kind
from dmz.promotion.base_image import BaseImage
from dmz.promotion.evidence import Evidence
from dmz.promotion.explanation import Need, told
from dmz.promotion.installed import Installed
from dmz.promotion.refusal import Remedy, explain, refusal
from dmz.promotion.remedy import Conflict, Mended, Pins, Search
from dmz.promotion.screening import Screening
from dmz.promotion.summary import Refusal
from dmz.promotion.verdict import Verdict
from dmz.promotion.versions import is_pep440
from dmz.promotion.workload import Workload
from dmz.resolution.apt import available
from dmz.resolution.debian import DebianResolution
from dmz.resolution.python import PythonResolution
from dmz.resolution.uv import Pin
from dmz.workflow.candidates import DebianCandidates, PolicyJudge, PythonCandidates
from dmz.workflow.claims import Say
from dmz.workflow.outer import Outer
from dmz.workflow.refused import ScreeningRefusedError

_UNWRITTEN = "No release was written"


@dataclass(frozen=True)
class Settled:
    """Artifacts that are all admitted, as far as another version could help."""

    evidence: tuple[Evidence, ...]
    refused: tuple[Refusal, ...]
    explanations: tuple[str, ...]
    """Each refusal, as a person would say it, and what was taken instead."""


@dataclass(frozen=True)
class Setting:
    """What a settling is about."""

    judge: Screening
    workload: Workload
    image: BaseImage
    facts: Outer
    base: Sequence[Installed]
    """What the image comes with; empty where nobody knows: then no other deb can be looked for."""
    say: Say


async def settle(setting: Setting, found: Sequence[Evidence]) -> Settled:
    """Take other versions where some are refused, as few and as near as can be.

    Files stay as they are: the workload names them by SHA-256.

    Raises:
        ScreeningRefusedError: no resolution is left without a refused version.
    """
    kinds = {kind: [each for each in found if each.entry.artifact.kind is kind] for kind in Kind}
    debs = await _debian(setting, kinds[Kind.APT])
    wheels = await _python(setting, kinds[Kind.PYPI])
    return Settled(
        (*debs.evidence, *wheels.evidence, *kinds[Kind.FILE]),
        (*debs.refused, *wheels.refused),
        (*debs.explanations, *wheels.explanations),
    )


def _stopped(setting: Setting, found: Iterable[Evidence]) -> list[Verdict]:
    return [verdict for verdict in setting.judge.judge_all(found) if not verdict.admitted]


async def _python(setting: Setting, found: Sequence[Evidence]) -> Settled:
    if not _stopped(setting, found):
        return Settled(tuple(found), (), ())
    builds = {each.entry.artifact.filename: each.entry.built for each in found if each.entry.built}
    built = [each.entry.artifact for each in found if each.entry.built]
    async with setting.facts.resolution(built) as session:
        asked = PythonCandidates(session, setting.facts, setting.workload.python_overrides, builds)
        judge = PolicyJudge(setting.judge, setting.facts, asked.entries, found, _telling(setting.say))
        first = _pins(found)
        outcome = await Search(asked, judge, setting.workload.python, first, _relaxed).run()
        if isinstance(outcome, Conflict):
            waivable = all(each.waivable for each in judge.verdicts.values())
            words = await _python_words(session, outcome, found, waivable)
            raise _hopeless(setting, outcome, judge, first, words)
        return _settled(setting, outcome, judge, first, asked.why)


async def _debian(setting: Setting, found: Sequence[Evidence]) -> Settled:
    stopped = _stopped(setting, found)
    if not stopped:
        return Settled(tuple(found), (), ())
    first, names = _pins(found), setting.workload.apt
    if not setting.base or not available():
        lack = "what the base image comes with is not known" if available() else "this machine has no apt-get"
        words = f"no other version can be looked for, as {lack}"
        raise ScreeningRefusedError(
            " ".join([*map(refusal, stopped), f"{_UNWRITTEN}: {words}."]),
            [found for each in stopped for found in Refusal.of(each, None, setting.image)],
        )
    suites = await DebianResolution.of(setting.facts.suites, names, setting.base, setting.image.architecture)
    asked = DebianCandidates(suites, names)
    judge = PolicyJudge(setting.judge, setting.facts, asked.entries, found, _telling(setting.say))
    outcome = await Search(asked, judge, names, first).run()
    if isinstance(outcome, Conflict):
        gone = ", ".join(
            f"{name} {text}" for name, texts in outcome.excluded.items() for text in sorted(texts)
        )
        words = f"the suites offer nothing in place of {gone} for {', '.join(outcome.requirements)}"
        raise _hopeless(setting, outcome, judge, first, words)
    whys = {each.entry.artifact.name: each.entry.artifact.why for each in found}
    return _settled(setting, outcome, judge, first, lambda name: whys.get(name, ()))


def _pins(found: Sequence[Evidence]) -> dict[str, str]:
    return {each.entry.artifact.name: each.entry.artifact.version for each in found}


def _telling(say: Say) -> Callable[[Verdict], None]:
    def tell(verdict: Verdict) -> None:
        artifact = verdict.entry.artifact
        say(f"{artifact.name} {artifact.version} is refused, resolving again without it")

    return tell


def _settled(
    setting: Setting,
    outcome: Mended,
    judge: PolicyJudge,
    first: Pins,
    why: Callable[[str], tuple[str, ...]],
) -> Settled:
    evidence = []
    for name, version in sorted(outcome.pins.items()):
        known = judge.verdicts[name, version].evidence
        artifact = replace(known.entry.artifact, why=why(name) or known.entry.artifact.why)
        evidence.append(replace(known, entry=replace(known.entry, artifact=artifact)))
    refused: list[Refusal] = []
    words = []
    for name, version in sorted(outcome.refused.items()):
        verdict, taken = judge.verdicts[name, version], outcome.pins.get(name)
        remedy = Remedy(taken, True) if taken else None
        refused += Refusal.of(verdict, remedy, setting.image)
        words.append(explain(verdict, remedy, _asked(setting.workload, name)) if taken else _gone(verdict))
    return Settled(tuple(evidence), tuple(refused), (*words, _change(outcome, first)))


def _gone(verdict: Verdict) -> str:
    return f"{refusal(verdict)} Nothing needs it any more."


def _change(outcome: Mended, first: Pins) -> str:
    """What was taken instead, and how sure it is that this is the least."""
    now = outcome.pins
    changes = [
        f"{name} {first[name]} → {now.get(name, 'not needed')}"
        for name in sorted(first)
        if now.get(name) != first[name]
    ] + [f"{name} {now[name]} is new" for name in sorted(now.keys() - first.keys())]
    if not outcome.moved:
        claim = ""
    elif outcome.fewest:
        claim = f" No resolution changes fewer than {len(outcome.moved)} of those that pass as they were."
    else:
        claim = f" Of the {len(outcome.moved)} that passed as they were, none could have stayed by itself."
    return f"Taken instead: {', '.join(changes)}.{claim}"


def _hopeless(
    setting: Setting, outcome: Conflict, judge: PolicyJudge, first: Pins, words: str
) -> ScreeningRefusedError:
    stopped = [
        verdict
        for (name, version), verdict in judge.verdicts.items()
        if not verdict.admitted and first.get(name) == version
    ]
    ways = {way.name: Remedy(way.version, False) for way in outcome.ways}
    # What would help is in the sentence at the end, where it was tried.
    return ScreeningRefusedError(
        f"{' '.join(map(refusal, stopped))} {_UNWRITTEN}: {words}.",
        [
            found
            for verdict in stopped
            for found in Refusal.of(verdict, ways.get(verdict.entry.artifact.name), setting.image)
        ],
    )


async def _python_words(
    session: PythonResolution, outcome: Conflict, found: Sequence[Evidence], waivable: bool
) -> str:
    """The conflict, with who needs what in the resolution that was refused."""
    first = {each.entry.artifact.name: each.entry.artifact for each in found}
    needs: dict[str, list[Need]] = {}
    offered: dict[str, list[str]] = {}
    asked = {canonicalize_name(Requirement(text).name) for text in outcome.requirements}
    for name in outcome.excluded:
        chain = _chain(name, {each.name: each.why for each in first.values()}, asked)
        needs[name] = []
        for parent, child in pairwise(chain):
            lines = await session.requires(Pin(parent, first[parent].version, ()))
            named = [text for text in lines if canonicalize_name(Requirement(text).name) == child]
            # Of several lines, the one that says the most of versions.
            said = max(named, key=lambda text: len(str(Requirement(text).specifier)), default=child)
            needs[name].append(Need(f"{parent} {first[parent].version}", said))
        versions = {*filter(is_pep440, await session.versions(name)), *outcome.excluded[name]}
        offered[name] = sorted(versions, key=Version)
    return told(outcome, needs, offered, _pins(found), waivable)


def _chain(name: str, why: Mapping[str, Sequence[str]], asked: Collection[str]) -> list[str]:
    """The shortest way from something that the conflict asks for to a name, by what needs what."""
    ways, seen = [[name]], {name}
    while ways:
        way = ways.pop(0)
        if way[0] in asked:
            return way
        for parent in why.get(way[0], ()):
            if parent in why and parent not in seen:
                seen.add(parent)
                ways.append([parent, *way])
    return [name]


def _asked(workload: Workload, name: str) -> list[str]:
    return [text for text in workload.python if canonicalize_name(Requirement(text).name) == name]


def _relaxed(requirement: str) -> tuple[str, str] | None:
    parsed = Requirement(requirement)
    if not parsed.specifier:
        return None
    extras = f"[{','.join(sorted(parsed.extras))}]" if parsed.extras else ""
    marker = f"; {parsed.marker}" if parsed.marker else ""
    return canonicalize_name(parsed.name), f"{parsed.name}{extras}{marker}"
