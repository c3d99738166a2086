"""The copy of one artifact after the other: from where it is to be had, to where it has to be."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

from dmz.artifact import Artifact, Kind
from dmz.errors import DmzError, InputError, TransferError
from dmz.promotion.journal import NOWHERE, Action, Event, Record, described
from dmz.promotion.lanes import lanes
from dmz.promotion.place import Slot, slot
from dmz.promotion.progress import Progress
from dmz.promotion.stream import ShortError, UnapprovedError, Writer, approved, split
from dmz.promotion.window import Window
from dmz.registries.interface import Archive, Registry


@dataclass(frozen=True)
class Limits:
    """How hard the services are driven, and how patiently."""

    concurrency: int = 32
    """Transfers at the same time, at most; `Window` says how many."""
    attempts: int = 6
    """Tries for each artifact; wrong bytes have only one."""
    first_delay: float = 0.5
    """Seconds before the second try; doubles with each further one, less a random part of up to a half."""
    longest_delay: float = 30.0
    """Seconds, however often it was tried; a service may ask for more."""
    listing: float = 120.0
    """Seconds for which a destination's listing may lag behind what it took."""


DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True)
class Places:
    """Where artifacts come from and where they go."""

    sources: Mapping[str, Registry]
    """Outer repositories by id."""
    destinations: Mapping[Kind, Registry]
    """Inner repositories by kind."""
    archive: Archive | None = None
    """Keeps what is admitted, and has it where the sources may have forgotten it. None: nothing is kept."""

    async def archived(self) -> set[str]:
        """The SHA-256 of what the archive has; nothing where nothing is kept.

        Raises:
            TransferError: the archive can't be read.
        """
        return await self.archive.list() if self.archive is not None else set()

    def check(self, artifacts: Iterable[Artifact], archived: set[str]) -> None:
        """Whether there is a way for each of the artifacts.

        Raises:
            InputError: a repository is not among those given; nothing was changed.
        """
        for artifact in artifacts:
            if artifact.kind not in self.destinations:
                raise InputError(
                    f"inner has no repository for {artifact.kind}; run `pulumi up` on the inner stack"
                )
            if artifact.origin not in self.sources and artifact.sha256 not in archived:
                raise InputError(
                    f"{artifact.key}: outer has no repository '{artifact.origin}', and the archive does not "
                    "have it; run `pulumi up` on the outer stack, or `dmz screen` again"
                )


class Copier:
    """Copies artifacts, many at a time, each until it is where it has to be."""

    def __init__(
        self,
        places: Places,
        archived: set[str],
        progress: Progress,
        limits: Limits = DEFAULT_LIMITS,
        record: Record = NOWHERE,
    ) -> None:
        """`archived`: SHA-256 of what the archive has; grows with what is put there."""
        self._places = places
        self._archived = archived
        self._progress = progress
        self._limits = limits
        self._record = record
        self._window = Window(limits.concurrency)
        self._done: list[Artifact] = []
        """Copied, and not recorded yet."""
        self._damaged: set[str] = set()
        """SHA-256 of what the archive keeps with other bytes."""
        self._looking = asyncio.Lock()
        self._seen: dict[Kind, tuple[float, frozenset[tuple[Slot, str]]]] = {}
        """What the destinations listed, and when that was begun: where many fail at once, one listing serves
        all of them."""

    async def copy(self, artifacts: Iterable[Artifact]) -> None:
        """Copy into the destinations, and into the archive what it lacks.

        Raises:
            TransferError: one could not be copied; others may have been, each of them an approved one.
        """
        await self._all(artifacts, inside=False)

    async def archive(self, artifacts: Iterable[Artifact]) -> None:
        """Put into the archive what it lacks of artifacts that the destinations hold.

        Raises:
            TransferError: as `copy`.
        """
        await self._all(filter(self._lacks, artifacts), inside=True)

    def _lacks(self, artifact: Artifact) -> bool:
        return self._places.archive is not None and artifact.sha256 not in self._archived

    async def _all(self, artifacts: Iterable[Artifact], *, inside: bool) -> None:
        async def work(lane: Iterator[Artifact]) -> None:
            # A worker for each place, and not a task for each artifact: there may be a million.
            for artifact in lane:
                await self._persist(artifact, inside=inside)
                if not inside:
                    self._progress.finished()
                    await self._tell()

        try:
            async with asyncio.TaskGroup() as tasks:
                for lane in lanes(artifacts, self._limits.concurrency):
                    tasks.create_task(work(lane))
        except BaseExceptionGroup as group:
            await self._tell()  # what was done when the others were called off
            known, other = group.split(DmzError)
            if other or known is None:
                raise
            raise min(_leaves(known), key=str) from None

    async def _tell(self) -> None:
        done, self._done = self._done, []
        if done:
            await self._record(Event(Action.COPIED, tuple(map(described, done))))

    async def _persist(self, artifact: Artifact, *, inside: bool) -> None:
        """Try until it is done, or it makes no sense any more."""
        todo = {"archive"} if inside else {"inner", "archive"} if self._lacks(artifact) else {"inner"}
        attempt = 0
        while True:
            attempt += 1
            async with self._window.place():
                kept, sent = not inside and self._kept(artifact), _Sent(self._progress)
                try:
                    await self._once(artifact, todo, sent, inside=inside)
                except (UnapprovedError, ShortError) as error:
                    sent.forget()
                    if kept:
                        await self._pass_over(artifact)
                        attempt = 0  # its source has all tries
                        continue
                    if isinstance(error, UnapprovedError) or attempt == self._limits.attempts:
                        raise
                    failed: TransferError = error
                except TransferError as error:
                    sent.forget()
                    if error.busy:
                        self._window.complained(error.wait)
                    if attempt == self._limits.attempts:
                        raise
                    failed = error
                else:
                    self._window.succeeded()
                    return
            if attempt > 1 and "inner" in todo and await self._arrived(artifact):
                todo.discard("inner")  # it was taken, and only the answer was lost
                self._done.append(artifact)
                if not todo:
                    return
            await asyncio.sleep(max(failed.wait, self._delay(attempt)))

    def _kept(self, artifact: Artifact) -> bool:
        """Whether the archive serves it."""
        return (
            self._places.archive is not None
            and artifact.sha256 in self._archived
            and artifact.sha256 not in self._damaged
        )

    async def _pass_over(self, artifact: Artifact) -> None:
        """Leave what the archive has with other bytes, as no sync can replace that: its source has it."""
        if artifact.sha256 in self._damaged:
            return
        where = f"{artifact.key} {artifact.filename}: the archive's sha256/{artifact.sha256} is damaged"
        if artifact.origin not in self._places.sources:
            raise UnapprovedError(
                f"{where}, and outer has no repository '{artifact.origin}' to take it from; delete it with "
                "`dmz archive prune --verify`, and screen a release without it"
            )
        self._damaged.add(artifact.sha256)
        note = (
            f"{where}, so {artifact.origin} is asked; `dmz archive prune --verify` deletes it, and the next "
            "sync archives it anew"
        )
        await self._record(Event(Action.DAMAGED, (described(artifact),), note))

    def _delay(self, attempt: int) -> float:
        limits = self._limits
        backoff = min(limits.longest_delay, limits.first_delay * 2.0 ** (attempt - 1))
        return backoff * random.uniform(0.5, 1)  # noqa: S311 - jitter is no secret

    async def _arrived(self, artifact: Artifact) -> bool:
        failed = time.monotonic()
        async with self._looking:
            looked, held = self._seen.get(artifact.kind, (float("-inf"), frozenset()))
            if looked < failed:
                looked = time.monotonic()
                listed = await self._places.destinations[artifact.kind].list()
                held = frozenset((slot(each), each.sha256) for each in listed)
                self._seen[artifact.kind] = looked, held
        return (slot(artifact), artifact.sha256) in held

    async def _once(self, artifact: Artifact, todo: set[str], sent: _Sent, *, inside: bool) -> None:
        source, name = self._source(artifact, inside=inside)
        writers: list[Writer] = []
        if "inner" in todo:
            writers.append(self._into_inner(artifact, todo))
        if "archive" in todo:
            writers.append(self._into_archive(artifact, todo))
        async with source as chunks:
            await split(approved(artifact, sent.counted(chunks), name), writers)

    def _source(
        self, artifact: Artifact, *, inside: bool
    ) -> tuple[AbstractAsyncContextManager[Iterator[bytes]], str]:
        places = self._places
        if inside:
            return places.destinations[artifact.kind].open(artifact), "the inner repository"
        if places.archive is not None and self._kept(artifact):
            return places.archive.open(artifact), "the archive"
        return places.sources[artifact.origin].open(artifact), artifact.origin

    def _into_inner(self, artifact: Artifact, todo: set[str]) -> Writer:
        async def write(chunks: Iterator[bytes]) -> None:
            await self._places.destinations[artifact.kind].put(artifact, chunks)
            todo.discard("inner")
            self._done.append(artifact)

        return write

    def _into_archive(self, artifact: Artifact, todo: set[str]) -> Writer:
        async def write(chunks: Iterator[bytes]) -> None:
            assert self._places.archive is not None  # only then it is to do
            await self._places.archive.put(artifact, chunks)
            self._archived.add(artifact.sha256)
            todo.discard("archive")

        return write


class _Sent:
    """What one attempt sent, taken back when it broke off."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bytes = 0
        self._forgotten = False

    def counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            yield chunk
            if not self._forgotten:  # its thread may go on for a moment after it broke off
                self._bytes += len(chunk)
                self._progress.sent(len(chunk))

    def forget(self) -> None:
        self._forgotten = True
        self._progress.sent(-self._bytes)


def _leaves(group: BaseExceptionGroup[DmzError]) -> list[DmzError]:
    found: list[DmzError] = []
    for each in group.exceptions:
        found += _leaves(each) if isinstance(each, BaseExceptionGroup) else [each]
    return found
