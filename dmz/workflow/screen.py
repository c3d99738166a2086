"""Screening a workload: from a machine's claim to a release, by what the outer repositories know.

Which packages are needed is the machine's word. Digests, sizes and upload times are the repositories' and
their upstream's, and a version that is refused leads to a new resolution that leaves it out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dmz.artifact import Artifact, Kind
from dmz.errors import RefusedError
from dmz.promotion import inventory as inventories
from dmz.promotion import release as releases
from dmz.promotion.advisories import Advisories
from dmz.promotion.base_image import BaseImage
from dmz.promotion.entry import FILES, Entry
from dmz.promotion.finding import Severity
from dmz.promotion.inventory import File, Inventory, Wheel
from dmz.promotion.release import Release
from dmz.promotion.screening import Policy, Remedy, Screening, Verdict, explain, remedy
from dmz.promotion.summary import Refusal
from dmz.promotion.workload import Workload, workload_digest
from dmz.registries.bucket import BucketRegistry
from dmz.registries.google import Google, connect
from dmz.registries.index import IndexFile, PythonIndex
from dmz.registries.interface import Registry
from dmz.registries.python import PythonRegistry
from dmz.registries.upstream import upload_times, upstream_of
from dmz.resolution import REQUESTED, UnsatisfiableError, resolve
from dmz.workflow.claims import Say
from dmz.workflow.estate import Estate
from dmz.workflow.holdings import outer_suites

DEPENDENCY: Final = "dependency"
"""The reason of a deb that the workload does not name: apt does not say which package wanted it."""
_ROUNDS: Final = 10
"""How often a resolution may be followed by another before it is given up."""


class ScreeningRefusedError(RefusedError):
    """No release was written: something is refused and nothing takes its place."""

    def __init__(self, message: str, refusals: Sequence[Refusal]) -> None:
        super().__init__(message)
        self.refusals = tuple(refusals)


@dataclass(frozen=True)
class Screened:
    """What a screening came to."""

    release: Release
    changed: bool
    """Whether the lock files are others than before."""
    refused: tuple[Refusal, ...]
    explanations: tuple[str, ...]
    """Each refusal, as a person would say it, with what was taken instead."""
    noted: tuple[Verdict, ...] = field(default=())
    """Admitted, with findings below the threshold."""


async def screen(
    estate: Estate, inventory: Inventory, advisories: Path, threshold: Severity, say: Say
) -> Screened:
    """Screen an inventory and write the release's lock files into the checkout.

    Raises:
        ScreeningRefusedError: something is refused and nothing takes its place; no file was written.
        InputError: the inventory answers something else than the checkout asks, or the advisories are none.
    """
    inventories.check(inventory, estate.workload, estate.base_image, "the inventory")
    outputs = estate.outer_outputs()
    judge = Screening(Advisories.load(advisories), estate.base_image, Policy(threshold))
    async with connect(outputs["location"]) as google:
        facts = _Outer(google, outputs, estate.base_image)
        say("asking the outer repositories for digests and sizes")
        others = [*await facts.debs(inventory), *await file_entries(facts.files, inventory.files)]
        wheels = await facts.wheels(inventory.pypi)
        search = _Search(judge, estate.workload, estate.base_image, facts, say)
        wheels, refused, explanations = await search.settle(wheels)
        say("asking the upstream for upload times")
        wheels = await facts.dated(wheels)
    verdicts = [judge.judge(entry) for entry in [*others, *wheels]]
    stopped = [verdict for verdict in verdicts if not verdict.admitted]
    if stopped:
        raise ScreeningRefusedError(
            " ".join(explain(verdict, None) for verdict in stopped) + " No release was written.",
            [found for verdict in stopped for found in Refusal.of(verdict, None, estate.base_image)],
        )
    made = Release(
        workload=estate.workload.name,
        workload_digest=workload_digest(estate.workload),
        runtime=inventory.base_image.runtime,
        dpkg_digest=inventory.base_image.dpkg_digest,
        python=estate.base_image.python,
        entries=tuple(verdict.entry for verdict in verdicts),
    )
    changed = releases.write(made, estate.releases)
    noted = tuple(verdict for verdict in verdicts if verdict.noted)
    return Screened(made, changed, tuple(refused), tuple(explanations), noted)


async def file_entries(bucket: Registry, claimed: Sequence[File]) -> list[Entry]:
    """An entry for each file of an inventory, with the size that the outer bucket's own record has.

    Raises:
        RefusedError: the bucket does not have a file that the machine claims to have put there.
    """
    kept = {(each.filename, each.sha256): each for each in await bucket.list()} if claimed else {}
    entries = []
    for file in claimed:
        stored = kept.get((file.name, file.sha256))
        if stored is None:
            raise RefusedError(
                f"{file.name} (SHA-256 {file.sha256}) is on the outer machine, but the files bucket does not "
                "have it; start the machine again, then run dmz screen"
            )
        name, digest = stored.filename, stored.sha256
        entries.append(
            Entry(Artifact(Kind.FILE, name, "", digest, name, digest, stored.size, FILES, (REQUESTED,)))
        )
    return entries


class _Outer:
    """What the outer repositories and their upstream say."""

    def __init__(self, google: Google, outputs: Mapping[str, Any], image: BaseImage) -> None:
        project, location = outputs["project"], outputs["location"]
        self.google = google
        self.image = image
        self.remote = PythonIndex(google, project, location, outputs["pythonRepository"])
        self.remote_id: str = outputs["pythonRepository"]
        self._built_id: str = outputs["pythonBuiltRepository"]
        self._built = PythonIndex(google, project, location, self._built_id)
        self.built_registry = PythonRegistry(google, project, location, self._built_id)
        self.files = BucketRegistry(google, outputs["filesBucket"])
        self._place = (project, location)
        self._suites = outer_suites(google, outputs, image)

    async def debs(self, inventory: Inventory) -> list[Entry]:
        """An entry for each deb of the inventory, from the suites' indexes."""
        found = await self._suites.find({(deb.name, deb.version, deb.architecture) for deb in inventory.apt})
        entries = []
        for deb in inventory.apt:
            place = found.get((deb.name, deb.version, deb.architecture))
            if place is None:
                raise RefusedError(
                    f"{deb.name} {deb.version} is on the outer machine, but none of its suites has that "
                    "version now; start the machine again to install what they have, then run dmz screen"
                )
            stanza = place.stanza
            entries.append(
                Entry(
                    Artifact(
                        Kind.APT,
                        stanza.package,
                        stanza.architecture,
                        stanza.version,
                        stanza.filename,
                        stanza.sha256,
                        stanza.size,
                        place.repository,
                        (REQUESTED if deb.requested else DEPENDENCY,),
                    ),
                    source=stanza.source,
                    source_version=stanza.source_version,
                )
            )
        return entries

    async def wheels(self, claimed: Sequence[Wheel]) -> list[Entry]:
        """An entry for each wheel of the inventory, from the repository that has it."""
        by_origin: dict[bool, dict[str, IndexFile]] = {}
        for built, index in ((False, self.remote), (True, self._built)):
            wanted = [(wheel.name, wheel.filename) for wheel in claimed if wheel.built is built]
            by_origin[built] = await index.describe(wanted) if wanted else {}
        entries = []
        for wheel in claimed:
            origin = self._built_id if wheel.built else self.remote_id
            described = by_origin[wheel.built].get(wheel.filename)
            if described is None:
                raise RefusedError(
                    f"{wheel.filename} is on the outer machine, but {origin} does not offer it; "
                    "start the machine again, then run dmz screen"
                )
            if wheel.sha256 and wheel.sha256 != described.sha256:
                raise RefusedError(
                    f"{wheel.filename}: the outer machine installed sha256:{wheel.sha256}, {origin} has "
                    f"sha256:{described.sha256}; find out who changed it before you go on"
                )
            why = (*((REQUESTED,) if wheel.requested else ()), *wheel.required_by) or (DEPENDENCY,)
            entries.append(Entry(_wheel(wheel.name, wheel.version, described, origin, why)))
        return entries

    async def resolved(
        self, workload: Workload, entries: Sequence[Entry], exclude: Sequence[str]
    ) -> list[Entry]:
        """A new resolution that stays with what it can of these entries."""
        artifacts = await resolve(
            self.google,
            self.remote,
            self.remote_id,
            self.image,
            workload.python,
            overrides=workload.python_overrides,
            exclude=exclude,
            keep={entry.artifact.name: entry.artifact.version for entry in entries},
            built=[entry.artifact for entry in entries if entry.artifact.origin == self._built_id],
            built_from=self.built_registry,
        )
        return [Entry(artifact) for artifact in artifacts]

    async def dated(self, entries: Sequence[Entry]) -> list[Entry]:
        """The same entries with the upstream's upload times, as far as it tells."""
        remote = [entry for entry in entries if entry.artifact.origin == self.remote_id]
        if not remote:
            return list(entries)
        upstream = await upstream_of(self.google, *self._place, self.remote_id)
        times = await upload_times(upstream, {entry.artifact.name for entry in remote})
        known: Mapping[str, datetime] = times
        return [
            replace(entry, uploaded=known.get(entry.artifact.filename))
            if entry.artifact.origin == self.remote_id
            else entry
            for entry in entries
        ]


def _wheel(name: str, version: str, described: IndexFile, origin: str, why: tuple[str, ...]) -> Artifact:
    return Artifact(
        Kind.PYPI, name, "", version, described.filename, described.sha256, described.size or 0, origin, why
    )


class _Search:
    """Resolves again, leaving out what is refused, until everything is admitted or nothing fits."""

    def __init__(
        self, judge: Screening, workload: Workload, image: BaseImage, facts: _Outer, say: Say
    ) -> None:
        self._judge = judge
        self._workload = workload
        self._image = image
        self._facts = facts
        self._say = say

    async def settle(self, entries: list[Entry]) -> tuple[list[Entry], list[Refusal], list[str]]:
        """Entries that are all admitted; what was refused on the way; and that in words.

        Raises:
            ScreeningRefusedError: no resolution is left without a refused version.
        """
        first = entries
        excluded: dict[str, list[str]] = {}
        refused: dict[str, tuple[Verdict, Remedy | None]] = {}
        for _ in range(_ROUNDS):
            stopped = [verdict for verdict in map(self._judge.judge, entries) if not verdict.admitted]
            if not stopped:
                now = {entry.artifact.name: entry.artifact.version for entry in entries}
                for key, (verdict, _) in refused.items():
                    taken = now.get(verdict.entry.artifact.name)
                    refused[key] = (verdict, Remedy(taken, True) if taken else None)
                return entries, self._refusals(refused), self._words(refused, first, entries)
            for verdict in stopped:
                artifact = verdict.entry.artifact
                self._say(f"{artifact.name} {artifact.version} is refused, resolving again without it")
                offered = [*await self._facts.remote.versions(artifact.name), artifact.version]
                passing = self._judge.passing_versions(Kind.PYPI, artifact.name, offered)
                excluded[artifact.name] = self._judge.exclusions(artifact.name, offered)
                refused[f"{artifact.name} {artifact.version}"] = (
                    verdict,
                    remedy(artifact.version, passing, self._asked(artifact.name)),
                )
            constraints = [line for name in sorted(excluded) for line in excluded[name]]
            try:
                entries = await self._facts.resolved(self._workload, entries, constraints)
            except UnsatisfiableError as error:
                raise self._hopeless(refused, str(error)) from None
        raise self._hopeless(refused, f"{_ROUNDS} resolutions brought {_ROUNDS} other refusals")

    def _asked(self, name: str) -> list[str]:
        return [text for text in self._workload.python if canonicalize_name(Requirement(text).name) == name]

    def _refusals(self, refused: Mapping[str, tuple[Verdict, Remedy | None]]) -> list[Refusal]:
        return [
            refusal
            for verdict, found in refused.values()
            for refusal in Refusal.of(verdict, found, self._image)
        ]

    def _words(
        self,
        refused: Mapping[str, tuple[Verdict, Remedy | None]],
        before: Sequence[Entry],
        after: Sequence[Entry],
    ) -> list[str]:
        then = {entry.artifact.name: entry.artifact.version for entry in before}
        now = {entry.artifact.name: entry.artifact.version for entry in after}
        moved = [
            f"{name} {then[name]} → {now.get(name, 'not needed')}"
            for name in sorted(then)
            if now.get(name) != then[name]
        ] + [f"{name} {now[name]} is new" for name in sorted(now.keys() - then.keys())]
        words = [
            explain(verdict, found, self._asked(verdict.entry.artifact.name))
            for verdict, found in refused.values()
        ]
        return [*words, f"Taken instead: {', '.join(moved)}."] if words else []

    def _hopeless(
        self, refused: Mapping[str, tuple[Verdict, Remedy | None]], reason: str
    ) -> ScreeningRefusedError:
        words = [
            explain(verdict, found, self._asked(verdict.entry.artifact.name))
            for verdict, found in refused.values()
        ]
        return ScreeningRefusedError(
            f"{' '.join(words)} No release was written: without it, {reason}", self._refusals(refused)
        )
