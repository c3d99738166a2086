"""Withdrawing a package at once, before there is a release without it: who uses it, and what follows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from typing import Any, Final

from dmz.artifact import Artifact, Kind
from dmz.errors import InputError
from dmz.promotion import release as releases
from dmz.promotion import report as reports
from dmz.promotion.journal import Action, Event, shown
from dmz.promotion.place import unit
from dmz.promotion.plan import Plan
from dmz.promotion.release import Release
from dmz.promotion.report import Report
from dmz.promotion.transfer import Counters
from dmz.promotion.withdrawal import Wanted, Withdrawal
from dmz.registries.apt import AptRegistry
from dmz.registries.bucket import Bucket
from dmz.registries.files import BucketRegistry
from dmz.registries.google import Google, connect
from dmz.registries.interface import Registry, Stored
from dmz.registries.python import PythonRegistry
from dmz.sync.running import Running, running
from dmz.sync.withdrawn import bar, unbar, withdrawn
from dmz.workflow.claims import Say
from dmz.workflow.estate import Estate
from dmz.workflow.holdings import held_inside
from dmz.workflow.published import published

_REPORTS: Final = 20
"""Reports on a release that are read, the newest; a machine reports each time that it starts."""


@dataclass(frozen=True)
class Use:
    """Who would miss a package."""

    meant: tuple[str, ...]
    """The files that are meant, as a line each."""
    beside: tuple[str, ...]
    """Other files of the same versions: the service deletes whole versions only."""
    releases: tuple[tuple[str, str, str], ...]
    """Workload, release digest, and `inside` or `checkout`: the releases that name one of all these files."""
    needed_by: tuple[str, ...]
    """What the releases say needs it; `requested` if the workload asks for it by name."""
    installed: tuple[tuple[str, str], ...]
    """Machines whose last report has one of these files, and when that was."""
    barred: tuple[Withdrawal, ...]
    """What of it was withdrawn at once before."""


async def use(estate: Estate, wanted: Wanted, say: Say) -> Use:
    """Who uses a package; changes nothing.

    Raises:
        InputError: the inner stack is not up, or there is no such package.
        TransferError: a service failed.
    """
    outputs = estate.inner_outputs()
    async with connect(outputs["location"]) as google:
        return await _look(estate, google, outputs, wanted, say)


async def withdraw(estate: Estate, wanted: Wanted, reason: str, say: Say) -> Use:
    """Withdraw whole versions now, and refuse every release that names one of their files from now on.

    The records that refuse are written first: a sync that follows a kill does not bring back what was meant
    to go.

    Raises:
        InputError: the inner stack is not up, or there is no such package; nothing was changed.
        RefusedError: a sync is at work; nothing was changed.
        TransferError: a service failed; run it again.
    """
    outputs = estate.inner_outputs()
    async with connect(outputs["location"]) as google:
        seen = await _look(estate, google, outputs, wanted, say)
    account = estate.outer_outputs()["syncServiceAccount"]
    async with (
        connect(outputs["location"], impersonate=account) as google,
        _alone(outputs, account, say, "withdraw") as run,
    ):
        google.guard.check = run.check
        say("looking at what the inner repositories hold")
        # Once more: what was seen before may have changed until the lease was held.
        everything = await held_inside(google, outputs)
        going, named = _going(wanted, everything, await _released(estate, google, outputs))
        await run.began(Plan(withdraw=going), {each.sha256 for each in everything}, reason)
        say("refusing it for good")
        records = _records(going, named, reason, run)
        await run.check()
        await bar(Bucket(google, outputs["releaseBucket"]), records)
        await run.record(Event(Action.BARRED, tuple(_told(each) for each in records), reason))
        if going:
            say(f"withdrawing {len(going)} files")
            await run.record(Event(Action.WITHDRAWING, tuple(map(shown, going))))
            for kind, registry in _registries(google, outputs).items():
                await registry.withdraw(each for each in going if each.kind is kind)
            await run.record(Event(Action.WITHDRAWN, note=f"{len(going)} files"))
        await run.ended(Counters(withdrawn=len(going)))
    return seen


async def undo(estate: Estate, wanted: Wanted, reason: str, say: Say) -> tuple[Withdrawal, ...]:
    """Let releases have again what was withdrawn at once; the next sync of one that names it copies it.

    Raises:
        InputError: the inner stack is not up, or nothing of that name was withdrawn; nothing was changed.
        RefusedError: a sync is at work; nothing was changed.
        TransferError: a service failed; run it again.
    """
    outputs = estate.inner_outputs()
    account = estate.outer_outputs()["syncServiceAccount"]
    async with (
        connect(outputs["location"], impersonate=account) as google,
        _alone(outputs, account, say, "undo") as run,
    ):
        google.guard.check = run.check
        bucket = Bucket(google, outputs["releaseBucket"])
        say("looking at what was withdrawn")
        found = tuple(each for each in (await withdrawn(bucket)).values() if _meant(wanted, each))
        if not found:
            raise InputError(
                f"{wanted.text}: nothing of that name was withdrawn with --now; nothing was changed"
            )
        held = {each.sha256 for each in await held_inside(google, outputs)}
        await run.began(Plan(), held, reason)
        await run.check()
        await run.record(Event(Action.UNBARRED, tuple(_told(each) for each in found), reason))
        await unbar(bucket, found)
        await run.ended(Counters())
    return found


def _alone(
    outputs: Mapping[str, Any], account: str, say: Say, doing: str
) -> AbstractAsyncContextManager[Running]:
    def tell(what: object) -> None:
        say(str(what))

    return running(outputs["location"], account, outputs["releaseBucket"], {}, tell, doing=doing)


def _registries(google: Google, outputs: Mapping[str, Any]) -> dict[Kind, Registry]:
    project, location = outputs["project"], outputs["location"]
    return {
        Kind.PYPI: PythonRegistry(google, project, location, outputs["pythonRepository"]),
        Kind.APT: AptRegistry(google, project, location, outputs["aptRepository"]),
        Kind.FILE: BucketRegistry(google, outputs["releaseBucket"]),
    }


def _going(
    wanted: Wanted, everything: Iterable[Stored], named: Iterable[Artifact]
) -> tuple[tuple[Stored, ...], tuple[Artifact, ...]]:
    """Everything of the versions that are meant: what is held, and what releases name.

    Raises:
        InputError: there is nothing of that name, or two different things.
    """
    everything, named = list(everything), list(named)
    units = set(map(unit, wanted.among(everything))) | set(map(unit, wanted.among(named)))
    if not units:
        raise InputError(
            f"{wanted.text}: neither the inner repositories nor a release has it; nothing was changed. "
            "`dmz plan` shows what they have"
        )
    if len({kind for kind, _, _ in units}) > 1:
        raise InputError(f"{wanted.text} is more than one thing; write pypi/, apt/ or files/ before it")
    return (
        tuple(sorted(each for each in everything if unit(each) in units)),
        tuple(sorted(each for each in named if unit(each) in units)),
    )


def _records(
    going: Iterable[Stored], named: Iterable[Artifact], reason: str, run: Running
) -> list[Withdrawal]:
    found: dict[str, Withdrawal] = {}
    items: list[Stored | Artifact] = [*going, *named]
    for each in items:
        key = f"{each.kind}/{each.name}" + (f":{each.architecture}" if each.kind is Kind.APT else "")
        found[each.sha256] = Withdrawal(
            1, each.sha256, key, each.version, each.filename, run.who.who, reason, run.now(), run.name
        )
    return [found[digest] for digest in sorted(found)]


def _told(record: Withdrawal) -> str:
    return f"{record.key} {record.version} {record.filename} sha256:{record.sha256}"


def _meant(wanted: Wanted, record: Withdrawal) -> bool:
    kind, _, rest = record.key.partition("/")
    name, _, architecture = rest.partition(":")
    if kind not in set(Kind):
        return wanted.text == record.sha256  # a record that can't be read
    return wanted.fits(
        Stored(Kind(kind), name, architecture, record.version, record.filename, record.sha256, 0)
    )


async def _released(estate: Estate, google: Google, outputs: Mapping[str, Any]) -> list[Artifact]:
    """What the releases name: those that are published inside, and those of the checkout."""
    found = [*await published(Bucket(google, outputs["releaseBucket"])), *_checkout(estate)]
    return [artifact for release in found for artifact in release.artifacts]


def _checkout(estate: Estate) -> list[Release]:
    return releases.read_all(estate.releases) if estate.releases.is_dir() else []


async def _look(estate: Estate, google: Google, outputs: Mapping[str, Any], wanted: Wanted, say: Say) -> Use:
    say("looking at what the inner repositories hold")
    everything = await held_inside(google, outputs)
    bucket = Bucket(google, outputs["releaseBucket"])
    places = {"inside": await published(bucket), "checkout": _checkout(estate)}
    everywhere = [release for found in places.values() for release in found]
    going, named = _going(wanted, everything, [each for release in everywhere for each in release.artifacts])
    digests = {each.sha256 for each in going} | {each.sha256 for each in named}
    say("looking at what the machines reported")
    machines = await _reports(Bucket(google, outputs["reportsBucket"]), places["inside"])
    return Use(
        meant=tuple(shown(each) for each in going if wanted.fits(each)),
        beside=tuple(shown(each) for each in going if not wanted.fits(each)),
        releases=tuple(
            (release.workload, release.digest, where)
            for where, found in places.items()
            for release in found
            if any(artifact.sha256 in digests for artifact in release.artifacts)
        ),
        needed_by=tuple(sorted({reason for artifact in named for reason in artifact.why})),
        installed=tuple(
            sorted(
                (report.machine, report.created)
                for report in machines
                if any(item.sha256 in digests for item in report.held)
            )
        ),
        barred=tuple((await withdrawn(bucket, digests)).values()),
    )


async def _reports(bucket: Bucket, inside: Sequence[Release]) -> list[Report]:
    """The last report of each machine about a release that is published inside."""
    found: dict[str, Report] = {}
    for release in inside:
        listed = await bucket.list(f"reports/{release.workload}/{release.digest}/")
        for item in sorted(listed, key=lambda each: (each.updated, each.name))[-_REPORTS:]:
            with suppress(InputError):  # what says nothing that can be read says nothing of this package
                report = reports.parse(await bucket.read(item.name) or b"", item.name)
                found[report.machine] = report
    return list(found.values())
