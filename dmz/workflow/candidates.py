"""What the search for a remedy asks: uv and apt for versions that fit, the policy for those that pass."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace

from packageurl import PackageURL
from packaging.version import Version

from dmz.artifact import Artifact, Kind
from dmz.promotion.entry import Build, Entry
from dmz.promotion.evidence import Evidence
from dmz.promotion.remedy import Pins, Question
from dmz.promotion.screening import Screening
from dmz.promotion.verdict import Verdict
from dmz.promotion.versions import DpkgVersion, is_pep440
from dmz.registries.index import Found
from dmz.resolution.apt import AptUnsatisfiableError
from dmz.resolution.debian import DebianResolution
from dmz.resolution.python import PythonResolution
from dmz.resolution.uv import REQUESTED, Pin, UnsatisfiableError
from dmz.workflow.outer import DEPENDENCY, Outer, deb_entry


class PythonCandidates:
    """uv, asked as the search asks, and the wheels of its answers."""

    def __init__(
        self,
        session: PythonResolution,
        facts: Outer,
        overrides: Sequence[str],
        builds: Mapping[str, Build],
    ) -> None:
        """Args:
        builds: how built wheels were made, by file name.
        """
        self._session = session
        self._facts = facts
        self._overrides = overrides
        self._builds = builds
        self._pins: dict[str, Pin] = {}
        self.reason = ""
        """Why the last question had no answer, in the resolver's words."""

    async def resolve(self, question: Question) -> Pins | None:
        """As uv resolves it."""
        constraints = [
            f"{name}!={text}" for name, texts in sorted(question.excluded.items()) for text in sorted(texts)
        ] + [f"{name}=={text}" for name, text in sorted(question.pins.items())]
        try:
            pins = await self._session.pins(
                question.requirements,
                constraints=constraints,
                overrides=self._overrides,
                keep=question.prefer,
            )
        except UnsatisfiableError as error:
            self.reason = str(error)
            return None
        self._pins = {pin.name: pin for pin in pins}
        return {pin.name: pin.version for pin in pins}

    async def nearest(self, name: str, version: str) -> Sequence[str]:
        """All that is offered: releases before pre-releases, then by how many lie between."""
        offered = sorted({*filter(is_pep440, await self._session.versions(name)), version}, key=Version)
        place = offered.index(version)
        return sorted(
            offered,
            key=lambda text: (
                Version(text).is_prerelease and not Version(version).is_prerelease,
                abs(offered.index(text) - place),
                offered.index(text) < place,
            ),
        )

    async def entries(self, pins: Pins) -> list[Entry]:
        """The wheels of these versions, with the reasons of the last answer."""
        wanted = [
            replace(self._pins[name], version=version) if name in self._pins else Pin(name, version, ())
            for name, version in sorted(pins.items())
        ]
        own = {pin.name: wheel for pin in wanted if (wheel := self._session.built(pin))}
        others = [pin for pin in wanted if pin.name not in own]
        files = await self._session.wheels(others)
        described = await self._facts.remote.describe(
            (pin.name, file.filename) for pin, file in zip(others, files, strict=True)
        )
        found = [
            Entry(
                replace(own[pin.name], why=self.why(pin.name)), built=self._builds.get(own[pin.name].filename)
            )
            for pin in wanted
            if pin.name in own
        ]
        for pin, file in zip(others, files, strict=True):
            known = described[file.filename]
            found.append(
                Entry(
                    Artifact(
                        Kind.PYPI,
                        pin.name,
                        "",
                        pin.version,
                        known.filename,
                        known.sha256,
                        known.size or 0,
                        self._facts.remote_id,
                        self.why(pin.name),
                    )
                )
            )
        return found

    def why(self, name: str) -> tuple[str, ...]:
        """What needs a distribution, by the last answer."""
        pin = self._pins.get(name)
        return pin.why if pin and pin.why else (DEPENDENCY,)


class DebianCandidates:
    """apt, asked as the search asks."""

    def __init__(self, suites: DebianResolution, wanted: Sequence[str]) -> None:
        self._suites = suites
        self._wanted = frozenset(wanted)
        self._found: dict[tuple[str, str], Found] = {}
        self.reason = ""
        """Why the last question had no answer, in apt's words."""

    async def resolve(self, question: Question) -> Pins | None:
        """As apt plans it; it takes the newest that is to be had, and has no other preferences."""
        without = {(name, text) for name, texts in question.excluded.items() for text in texts}
        try:
            plan = await self._suites.plan(question.requirements, without, question.pins)
        except AptUnsatisfiableError as error:
            self.reason = str(error)
            return None
        for planned, place in plan:
            self._found[planned.name, planned.version] = place
        return {planned.name: planned.version for planned, _ in plan}

    async def nearest(self, name: str, version: str) -> Sequence[str]:
        """All that the suites have, by how many lie between."""
        texts = {*(each.stanza.version for each in self._suites.versions(name)), version}
        offered = sorted(texts, key=DpkgVersion)
        place = offered.index(version)
        return sorted(
            offered, key=lambda text: (abs(offered.index(text) - place), offered.index(text) < place)
        )

    async def entries(self, pins: Pins) -> list[Entry]:
        """The debs of these versions."""
        return [self._entry(self._found[name, version]) for name, version in sorted(pins.items())]

    def _entry(self, place: Found) -> Entry:
        return deb_entry(place, REQUESTED if place.stanza.package in self._wanted else DEPENDENCY)


class PolicyJudge:
    """The policy, asked as the search asks; each version is looked at once."""

    def __init__(
        self,
        judge: Screening,
        facts: Outer,
        entries: Callable[[Pins], Awaitable[list[Entry]]],
        found: Sequence[Evidence],
        said: Callable[[Verdict], None],
    ) -> None:
        """Args:
        found: what is known already.
        said: told of each refusal.
        """
        self._judge = judge
        self._facts = facts
        self._entries = entries
        self._said = said
        self.verdicts: dict[tuple[str, str], Verdict] = {}
        """By name and version."""
        for evidence in found:
            self._take(evidence)

    async def refused(self, pins: Pins) -> Collection[str]:
        """By the whole policy, with the facts about each file."""
        new = {name: version for name, version in pins.items() if (name, version) not in self.verdicts}
        if new:
            for evidence in await self._facts.gather(await self._entries(new)):
                self._take(evidence)
        return [name for name, version in pins.items() if not self.verdicts[name, version].admitted]

    async def known(self, name: str) -> Collection[str]:
        """By what the sources and the cool-down say of versions that nobody fetched.

        What has a waiver is left to a closer look.
        """
        if not any(verdict.entry.artifact.kind is Kind.PYPI for verdict in self.verdicts.values()):
            return ()
        offered = {
            each.version: each.published
            for each in await self._facts.offered(name)
            if is_pep440(each.version)
        }
        passing = set(self._judge.passing_versions(Kind.PYPI, name, offered, offered))
        waived = {
            product.version
            for each in self._judge.waivers.all
            if (product := PackageURL.from_string(each.purl)).type == "pypi" and product.name == name
        }
        return [text for text in offered if text not in passing | waived]

    def _take(self, evidence: Evidence) -> None:
        verdict = self._judge.judge(evidence)
        artifact = evidence.entry.artifact
        self.verdicts[artifact.name, artifact.version] = verdict
        if not verdict.admitted:
            self._said(verdict)
