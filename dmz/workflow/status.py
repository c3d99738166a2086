"""What is inside, screened again by what is known today."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

from dmz.attestations import Place, inside
from dmz.errors import DmzError, InputError, RefusedError
from dmz.promotion import release as releases
from dmz.promotion.advisories.age import age
from dmz.promotion.attestation import Trust, verify
from dmz.promotion.base_image import BaseImage, base_image, base_images
from dmz.promotion.evidence import Evidence, Source
from dmz.promotion.release import Release
from dmz.promotion.screening import Screening
from dmz.promotion.standing import Standing, context, stand
from dmz.promotion.statement import verifier_id
from dmz.registries.bucket import Bucket
from dmz.registries.google import Google, connect
from dmz.workflow.claims import Say
from dmz.workflow.estate import Estate
from dmz.workflow.outer import Outer
from dmz.workflow.published import published
from dmz.workflow.sources import local_sources, sources, with_withdrawn


@dataclass(frozen=True)
class Status:
    """How the releases stand."""

    standings: tuple[Standing, ...]
    """One for each workload."""
    attested: Mapping[str, str]
    """What its attestation says of its age, or what is wrong with it, by workload; offline nobody looks."""
    sources: tuple[Source, ...]
    """What was asked, with its age."""
    today: datetime
    inside: bool
    """Whether this is what is published inside; else what the checkout has."""
    notes: tuple[str, ...]
    """What could not be looked at, a line each."""
    unattested: frozenset[str] = frozenset()
    """Workloads whose attestation is missing or does not hold: their machines would install nothing now."""

    @property
    def holds(self) -> bool:
        """Whether nothing of it would be refused today."""
        return all(each.holds for each in self.standings)

    def lines(self) -> list[str]:
        """As a person reads it."""
        found: list[str] = []
        for each in self.standings:
            name, release = each.release.workload, each.release
            found.append(
                f"{name}: release {release.digest[:12]} {'inside' if self.inside else 'in the checkout'}, "
                f"{len(release.entries)} artifacts"
                + ("" if each.holds else f", {len(each.refused)} would be REFUSED NOW")
            )
            found += [f"  {line}" for line in each.lines()]
            if name in self.attested:
                found.append(f"  {self.attested[name]}")
        for source in self.sources:
            if source.as_of:
                found.append(f"{source.name} {age(source.as_of, self.today)}")
        found += [f"note: {note}" for note in self.notes]
        if not self.holds:
            which = " (--workload FILE for each)" if len(self.standings) > 1 else ""
            found.append(f"`dmz mend`{which} looks for the smallest change that passes, for a pull request.")
        return found


async def status(estate: Estate, say: Say, *, offline: bool = False, today: datetime | None = None) -> Status:
    """Screen again what is inside, by today's policy, sources and waivers.

    Args:
        offline: judge the checkout's lock files by what lies on this machine, without any service: by the
            rules about findings alone.
        today: the moment to judge for; None: now.

    Raises:
        InputError: there is no release, or the policy, a waiver or a source is no good.
        RefusedError: a source is older than the policy allows.
    """
    now = today or datetime.now(UTC)
    async with AsyncExitStack() as stack:
        google = None
        if not offline:
            outputs = estate.inner_outputs()
            google = await stack.enter_async_context(connect(outputs["location"]))
        return await _Look(estate, google, now, say).status()


class _Look:
    """One look; without `google` by what lies on this machine."""

    def __init__(self, estate: Estate, google: Google | None, now: datetime, say: Say) -> None:
        self._estate = estate
        self._google = google
        self._now = now
        self._say = say
        self._notes: list[str] = []
        self._sources: dict[str, list[Source]] = {}

    async def status(self) -> Status:
        found = await self._releases()
        attested: dict[str, str] = {}
        unattested: set[str] = set()
        if self._google:
            self._say("reading the attestations inside")
            for each in found:
                try:
                    attested[each.workload] = await self._attested(self._google, each)
                except RefusedError as error:
                    attested[each.workload] = str(error)
                    unattested.add(each.workload)
        standings = [await self._standing(release) for release in found]
        return Status(
            tuple(standings),
            attested,
            tuple(next(iter(self._sources.values()), ())),
            self._now,
            self._google is not None,
            tuple(self._notes),
            frozenset(unattested),
        )

    async def _releases(self) -> list[Release]:
        if self._google is None:
            found = releases.read_all(self._estate.releases)
            where = f"{self._estate.releases} has no release; run `dmz screen` to make one"
        else:
            self._say("reading what is published inside")
            outputs = self._estate.inner_outputs()
            found = await published(Bucket(self._google, outputs["releaseBucket"]))
            where = "nothing is published inside yet; run: pulumi up -s " + self._estate.inner_name
        if not found:
            raise InputError(where)
        return found

    async def _standing(self, release: Release) -> Standing:
        estate = self._estate
        image = base_image(release.runtime, base_images(estate.inner_settings.base_images))
        if release.runtime not in self._sources:
            self._sources[release.runtime] = await self._open(image, len(release.entries))
        known = context(release, self._now)
        if self._google:
            known = await with_withdrawn(known, estate, self._google, self._say)
            if known.unseen:
                self._notes.append(f"what was withdrawn at once was not looked at: {known.unseen}")
        judge = Screening(estate.policy, self._sources[release.runtime], estate.waivers, image, known)
        return stand(release, judge, await self._known(release, image))

    async def _open(self, image: BaseImage, expected: int) -> list[Source]:
        if self._google:
            return await sources(self._estate, image, self._google, self._now, self._say, expected)
        policy = self._estate.policy
        if policy.sources.artifact_analysis:
            self._notes.append("Artifact Analysis was not asked (--offline)")
        return local_sources(policy, image, self._now, self._say, expected)

    async def _known(self, release: Release, image: BaseImage) -> list[Evidence] | None:
        """The facts of today, or None where they can't be had: then rules about findings are what is left."""
        if self._google is None:
            return None
        try:
            outer = Outer(self._google, self._estate.outer_outputs(), image, self._say)
            return await outer.gather(release.entries)
        except DmzError as error:
            self._notes.append(
                f"{release.workload}: the outer repositories don't tell of all that is inside, so only rules "
                f"about findings were judged: {error}"
            )
            return None

    async def _attested(self, google: Google, release: Release) -> str:
        """What the attestation inside says of its age.

        Raises:
            RefusedError: there is none, or it does not hold.
        """
        estate, inner = self._estate, self._estate.inner_outputs()
        outer = estate.outer_outputs()
        trust = Trust(
            outer["attestationPublicKey"],
            verifier_id(outer["attestorServiceAccount"]),
            estate.policy.digest,
            estate.policy.limits.attestation_max_age,
        )
        place = Place(inner["project"], inner["location"], outer["attestationsBucket"], trust)
        envelope = await Bucket(google, inner["releaseBucket"]).read(inside(release.digest))
        if envelope is None:
            raise RefusedError("not attested")
        at = verify(envelope, place.expected(release, self._now)).time_verified
        return f"attested on {at:%Y-%m-%d}, holds until {at + trust.max_age:%Y-%m-%d}"
