"""Attesting: after the merge, the releases of the checkout are judged once more, and what passes is signed.

Nothing is taken from the screening that made the locks. The facts about every entry come from the outer
repositories again, the policy, the waivers and the advisories are those of now, and the signature is made by
an identity that has no other power. What speaks to the repositories is the caller, as in a screening.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final

from dmz.artifact import Kind
from dmz.attestations import Held, Place, line, newest
from dmz.errors import InputError, RefusedError, TransferError
from dmz.promotion import release as releases
from dmz.promotion import statement, withdrawal
from dmz.promotion.attestation import Trust
from dmz.promotion.base_image import BaseImage, base_image, base_images
from dmz.promotion.entry import Entry
from dmz.promotion.evidence import Evidence
from dmz.promotion.lockfiles import names
from dmz.promotion.refusal import refusal
from dmz.promotion.release import Release
from dmz.promotion.rules.rule import Context
from dmz.promotion.screening import Screening
from dmz.promotion.statement import Attestation, Input, Role
from dmz.promotion.summary import Refusal
from dmz.promotion.verdict import Verdict
from dmz.registries.bucket import Bucket
from dmz.registries.google import Google, connect
from dmz.registries.kms import SigningKey
from dmz.resolution import REQUESTED
from dmz.workflow.claims import Say
from dmz.workflow.estate import Estate
from dmz.workflow.holdings import held_inside
from dmz.workflow.merged import merged
from dmz.workflow.outer import Outer
from dmz.workflow.published import published
from dmz.workflow.refused import ScreeningRefusedError
from dmz.workflow.signer import Signer
from dmz.workflow.sources import screening

_OUTPUTS: Final = {"attestationKey", "attestationPublicKey", "attestationsBucket", "attestorServiceAccount"}


@dataclass(frozen=True)
class Attested:
    """A release of the checkout with its attestation."""

    release: Release
    attestation: Attestation
    line: str
    """Its time, and the SHA-256 of the envelope."""
    made: bool
    """Whether it was made now; if not, there was one of the same inputs that still holds."""
    unseen: str = ""
    """Why nobody could look at what was withdrawn at once inside; empty: nothing of it is in the release."""

    @property
    def kept(self) -> str:
        """`3 files`, which no outer repository offered any more when this was judged; empty for none."""
        return next((each.name for each in self.attestation.inputs if each.role is Role.ARCHIVE), "")


async def attest(
    estate: Estate, say: Say, *, again: bool = False, unmerged: bool = False
) -> tuple[Attested, ...]:
    """Attest every release of the checkout, unless it is attested and nothing changed.

    Args:
        again: make new ones in any case.
        unmerged: also where the checkout has something else than git's HEAD, or is not git's at all.

    Raises:
        ScreeningRefusedError: something in a release is refused by now; nothing was signed.
        RefusedError: the checkout is not what was merged, a release names what was withdrawn at once, or a
            repository has other bytes than a lock.
        InputError: a release does not read, or nobody may act as the attestor here.
        TransferError: a service did not answer, or its answer was damaged.
    """
    found = releases.read_all(estate.releases)
    if not found:
        raise InputError(f"{estate.releases} has no release; run `dmz screen` to make one")
    commit = None if unmerged else merged(estate.folder, _paths(estate, found))
    outputs = estate.outer_outputs()
    if missing := _OUTPUTS - outputs.keys():
        raise InputError(
            f"the stack {estate.outer_name} is of an earlier version, without '{min(missing)}'; run: "
            f"pulumi up -s {estate.outer_name}"
        )
    settings, policy = estate.inner_settings, estate.policy
    trust = Trust(
        outputs["attestationPublicKey"],
        statement.verifier_id(outputs["attestorServiceAccount"]),
        policy.digest,
        policy.limits.attestation_max_age,
    )
    place = Place(settings.project, settings.location, outputs["attestationsBucket"], trust)
    location, attestor = outputs["location"], outputs["attestorServiceAccount"]
    async with connect(location) as google, connect(location, impersonate=attestor) as own:
        signer = Signer(SigningKey(own, outputs["attestationKey"]), Bucket(own, place.bucket), place)
        judge = await screening(estate, google, say)
        # Also of a release that is attested: the sync would refuse it.
        withdrawal.check(releases.union(found), judge.context.withdrawn)
        inputs = _inputs(estate, judge, commit)
        # Every release is judged before the first is signed.
        todo: list[tuple[Release, Held | None, list[Input]]] = []
        for release in found:
            held = None if again else await _held(signer, release, inputs)
            further = [] if held else await _judged(estate, google, judge, release, say)
            todo.append((release, held, further))
        return tuple(
            [
                Attested(release, held.attestation, line(held.envelope), False, judge.context.unseen)
                if held
                else await _signed(
                    signer, str(settings.policy), release, [*inputs, *further], judge.context.unseen, say
                )
                for release, held, further in todo
            ]
        )


def _paths(estate: Estate, found: Iterable[Release]) -> list[PurePosixPath]:
    """What a review decides on: the locks, the policy with the lists that it names, the waivers.

    And the stack's configuration, which says which policy counts and what the base image is.
    """
    settings, sources = estate.inner_settings, estate.policy.sources
    named = [*([sources.deny_list] if sources.deny_list else []), *sources.end_of_life]
    lists = [Path(estate.policy.folder, each) for each in named]
    lists += [file.path for rule in estate.policy.rules for file in rule.lists]
    inside = (each.resolve() for each in lists)
    return [
        *(settings.releases / name for release in found for name in names(release.workload)),
        PurePosixPath(f"Pulumi.{estate.inner_name}.yaml"),
        settings.policy,
        settings.waivers,
        *(
            PurePosixPath(each.relative_to(estate.folder.resolve()))
            for each in inside
            if each.is_relative_to(estate.folder.resolve())
        ),
    ]


def _inputs(estate: Estate, judge: Screening, commit: str | None) -> list[Input]:
    """What any verdict of this checkout rests on, besides its release."""
    folder = str(estate.inner_settings.waivers)
    return [
        Input(Role.WAIVERS, folder, judge.waivers.digest, folder),
        *(Input(Role.ADVISORIES, each.name, each.digest, as_of=each.as_of) for each in judge.sources),
        *(
            Input(Role.LIST, f"{rule.name}: {file.path.name}", file.digest)
            for rule in judge.policy.rules
            for file in rule.lists
        ),
        *([Input(Role.COMMIT, "HEAD", commit)] if commit else []),
    ]


async def _held(signer: Signer, release: Release, inputs: Sequence[Input]) -> Held | None:
    """The newest attestation, if it still holds and nothing that it rests on has changed."""
    try:
        held = await newest(signer.bucket, signer.place, release, datetime.now(UTC))
    except RefusedError:
        return None
    return held if _compared(held.attestation.inputs) == _compared(inputs) else None


def _compared(inputs: Iterable[Input]) -> set[tuple[Role, str, str]]:
    # The locks are the release's, or it would not hold; waivers in use follow from the rest; and another
    # commit with the same files says nothing new.
    return {
        (each.role, each.name, each.digest)
        for each in inputs
        if each.role in {Role.WAIVERS, Role.ADVISORIES, Role.LIST}
    }


async def _judged(
    estate: Estate, google: Google, judge: Screening, release: Release, say: Say
) -> list[Input]:
    """The waivers that a release needs to pass, and what of it only the archive has.

    Raises:
        ScreeningRefusedError: it does not.
    """
    say(f"asking the outer repositories about the release of {release.workload}")
    image = base_image(release.runtime, base_images(estate.inner_settings.base_images))
    outer = Outer(google, estate.outer_outputs(), image, say)
    # Whoever wrote the locks may have made a file older than it is.
    entries = [replace(entry, uploaded=None) for entry in release.entries]
    evidence = await outer.gather(entries, partial(_inside, estate, google))
    _check_times(release, evidence)
    await outer.confirm_builds(release)
    # What the release was made for stands in it; the workload file may have gone on since.
    asked = frozenset(
        each.name for each in release.artifacts if each.kind is Kind.PYPI and REQUESTED in each.why
    )

    def judged(previous: Iterable[Entry]) -> list[Verdict]:
        before = {entry.artifact.key: entry for entry in previous}
        context = Context(judge.context.today, asked, before)
        own = Screening(judge.policy, judge.sources, judge.waivers, image, context)
        return own.judge_all(evidence)

    say(f"judging {len(evidence)} artifacts by the policy")
    verdicts = judged(())
    if not all(verdict.admitted for verdict in verdicts):
        # What would not pass by itself may mend what is inside.
        verdicts = judged(await _published(estate, google, release.workload))
    _refuse(release, [verdict for verdict in verdicts if not verdict.admitted], image)
    return [*_waivers(estate, verdicts), *_archived(outer)]


async def _inside(estate: Estate, google: Google) -> set[tuple[str, int]]:
    try:
        outputs = estate.inner_outputs()
    except InputError:
        return set()  # it is not up, so that nothing is inside
    return {(stored.sha256, stored.size) for stored in await held_inside(google, outputs)}


async def _published(estate: Estate, google: Google, workload: str) -> tuple[Entry, ...]:
    """What the machines of a workload are pointed at; nothing if that can't be told."""
    try:
        found = await published(Bucket(google, estate.inner_outputs()["releaseBucket"]))
    except (InputError, TransferError):
        return ()
    return next((each.entries for each in found if each.workload == workload), ())


def _check_times(release: Release, evidence: Iterable[Evidence]) -> None:
    """Whether the locks have the upload times that upstream has, where it has any.

    Raises:
        RefusedError: a lock has another one.
    """
    for entry, found in zip(release.entries, evidence, strict=True):
        said, known = entry.uploaded, found.entry.uploaded
        if said and known and said != known:
            raise RefusedError(
                f"{entry.artifact.filename}: the lock has {said:%Y-%m-%d %H:%M:%S} UTC as its upload time, "
                f"upstream has {known:%Y-%m-%d %H:%M:%S} UTC; screen again: dmz screen"
            )


def _refuse(release: Release, stopped: Sequence[Verdict], image: BaseImage) -> None:
    if stopped:
        raise ScreeningRefusedError(
            f"the release of {release.workload} is not attested: "
            + " ".join(map(refusal, stopped))
            + " Screen again: dmz screen.",
            [found for verdict in stopped for found in Refusal.of(verdict, None, image)],
        )


def _waivers(estate: Estate, verdicts: Iterable[Verdict]) -> list[Input]:
    folder = estate.inner_settings.waivers
    used = {each.waiver for verdict in verdicts for each in verdict.seen if each.waiver and each.waived}
    return [
        Input(
            Role.WAIVER,
            f"{', '.join(sorted(each.names))} of {each.purl}",
            statement.sha256((estate.folder / folder / each.where).read_bytes()),
            str(folder / each.where),
            until=each.until,
        )
        for each in sorted(used)
    ]


def _archived(outer: Outer) -> list[Input]:
    if not outer.kept:
        return []
    # One line for all: by this digest of digests anybody finds out whether it was these.
    digests = "".join(f"{sha256}\n" for sha256 in sorted({each.sha256 for each in outer.kept}))
    where = f"gs://{outer.outputs['archiveBucket']}"
    return [Input(Role.ARCHIVE, f"{len(outer.kept)} files", statement.sha256(digests.encode()), where)]


async def _signed(
    signer: Signer, policy: str, release: Release, inputs: Sequence[Input], unseen: str, say: Say
) -> Attested:
    say(f"signing the release of {release.workload}")
    made, envelope = await signer.sign(policy, release, inputs)
    return Attested(release, made, line(envelope), True, unseen)
