"""Who holds a lease, and the steps by which one is got: the part that others may interleave with.

The sync's lease shuts out everybody else. Those of shards stand beside each other, and shut out the sync.
"""

from __future__ import annotations

import builtins
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import msgspec

from dmz.registries.bucket import Found, Object

FOLDER: Final = "lease/"
SYNC: Final = "sync"
PRUNE: Final = "prune"
"""Of the archive, in the archive's own bucket."""
SECONDS: Final = 90.0
"""For how long a lease is good without being renewed. A kill costs the next run at most this and `GRACE`; a
service that does not answer may be silent for most of it before a sync has to stop."""
GRACE: Final = 5.0
"""Seconds after its end at which a lease is taken over: the service's clock is told in whole seconds, and by
more than one machine."""
_LONGEST: Final = 600.0
"""Seconds: what a lease may say of itself at most."""
_NAME: Final = re.compile(r"sync|prune|shard-[1-9]\d{0,5}-of-[1-9]\d{0,5}")


class Objects(Protocol):
    """What a lease needs of a bucket; `Bucket` says what each does."""

    @property
    def name(self) -> str:
        """The bucket's."""
        ...

    async def list(self, prefix: str = "") -> builtins.list[Object]:
        """The objects below a prefix."""
        ...

    async def look(self, name: str) -> Found | None:
        """An object with its generation and times."""
        ...

    async def create(self, name: str, data: bytes) -> str | None:
        """Write what is not there yet."""
        ...

    async def replace(self, name: str, data: bytes, generation: str) -> str | None:
        """Write over one generation."""
        ...

    async def remove(self, name: str, generation: str) -> bool:
        """Delete one generation."""
        ...

    async def now(self) -> datetime:
        """The service's clock."""
        ...


class Holder(msgspec.Struct, frozen=True):
    """Who holds a lease, for the people who wait for it."""

    who: str
    run: str
    """Unique: by it a holder knows its own lease."""
    host: str
    releases: dict[str, str] = {}
    """Release digest by workload."""


class _Written(msgspec.Struct, frozen=True):
    """A lease as it stands in its object."""

    format: int
    holder: Holder
    since: str
    until: str
    """For people; what counts is when the object was written, and `seconds`."""
    seconds: float


_NOBODY: Final = Holder("somebody unknown", "unknown", "an unknown machine")


def rendered(holder: Holder, since: datetime, now: datetime) -> bytes:
    """What stands in the object of a lease that is written now."""
    until = now + timedelta(seconds=SECONDS)
    return msgspec.json.encode(_Written(1, holder, _stamp(since), _stamp(until), SECONDS), order="sorted")


@dataclass(frozen=True)
class Claim:
    """A lease as it was found."""

    name: str
    """Of the object."""
    holder: Holder
    until: datetime
    """By the service's clock."""
    expired: bool
    generation: str

    @classmethod
    def of(cls, name: str, found: Found) -> Claim:
        """The lease in an object; one that can't be read is somebody's all the same."""
        try:
            written = msgspec.json.decode(found.data, type=_Written)
            holder, seconds = written.holder, min(max(written.seconds, 0.0), _LONGEST)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            holder, seconds = _NOBODY, SECONDS
        until = found.updated + timedelta(seconds=seconds)
        return cls(name, holder, until, found.now > until + timedelta(seconds=GRACE), found.generation)

    @property
    def what(self) -> str:
        """`sync` or `shard 3 of 8`."""
        return self.name.removeprefix(FOLDER).removesuffix(".json").replace("-", " ")

    def __str__(self) -> str:
        """`the sync of ada@example.org, which holds the lease until 17:03:11 UTC`."""
        return f"the {self.what} of {short(self.holder.who)}, which holds the lease until {clock(self.until)}"


def shard(number: int, of: int) -> str:
    """The name of a shard's lease; counted from 1."""
    return f"shard-{number}-of-{of}"


@dataclass(frozen=True)
class Standing:
    """How a claim stands after one attempt."""

    generation: str | None
    """Of the own object; None: there is none."""
    blocker: Claim | None
    """Who has to end first; None: the lease is held."""
    killed: tuple[Claim, ...] = ()
    """Whose leases had run out, and are gone now."""


async def claim(bucket: Objects, name: str, run: str, data: bytes, own: str | None) -> Standing:
    """One attempt to get a lease, in steps between which anybody else may act.

    Whoever claims writes its own object first and looks for those that it can't stand beside after: of two
    that do so at the same time at least one sees the other. A shard then gives way; the sync stays, so that
    no new shard begins, and waits for those that run. An object that ran out is taken over or deleted on the
    condition that it is still the one that was seen, so that its holder, if it wakes, finds that out.

    Args:
        name: `sync` or `shard(...)`.
        run: of the holder, unique.
        data: what to write.
        own: generation of the object that an earlier attempt left standing.

    Raises:
        TransferError: the service failed; whether the own object is there is not known.
    """
    killed: list[Claim] = []
    if name != SYNC and (blocker := await _beside(bucket, name, killed)):
        return Standing(own, blocker, tuple(killed))  # a shard that waits does not get in the sync's way
    if own is None:
        own, blocker = await _take(bucket, place(name), run, data, killed)
        if own is None:
            return Standing(None, blocker, tuple(killed))
    blocker = await _beside(bucket, name, killed)
    if blocker is not None and name != SYNC:
        await bucket.remove(place(name), own)
        own = None
    return Standing(own, blocker, tuple(killed))


async def _take(
    bucket: Objects, name: str, run: str, data: bytes, killed: list[Claim]
) -> tuple[str | None, Claim | None]:
    """The generation of the own object, or who has the place."""
    while True:
        if generation := await bucket.create(name, data):
            return generation, None
        found = await bucket.look(name)
        if found is None:
            continue  # it was given back in between
        there = Claim.of(name, found)
        own = there.holder.run == run  # of an earlier try, whose answer was lost
        if not own and not there.expired:
            return None, there
        if generation := await bucket.replace(name, data, there.generation):
            killed += [] if own else [there]
            return generation, None


async def _beside(bucket: Objects, name: str, killed: list[Claim]) -> Claim | None:
    """Who holds a lease of the other kind."""
    if name != SYNC:
        others = [place(SYNC)]
    else:
        others = [item.name for item in await bucket.list(FOLDER) if item.name != place(SYNC)]
    for other in others:
        found = await bucket.look(other)
        if found is None:
            continue
        there = Claim.of(other, found)
        if not there.expired or not await bucket.remove(other, there.generation):
            return there
        killed.append(there)
    return None


async def running(bucket: Objects) -> list[Claim]:
    """The leases that are held now.

    Raises:
        TransferError: the bucket can't be read.
    """
    looks = [(item.name, await bucket.look(item.name)) for item in await bucket.list(FOLDER)]
    claims = [Claim.of(name, found) for name, found in looks if found]
    return [claim for claim in claims if not claim.expired]


def place(name: str) -> str:
    """The object of a lease."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"'{name}' is no name of a lease")
    return f"{FOLDER}{name}.json"


def short(text: str) -> str:
    """Foreign text, not longer than a line can take."""
    return text if len(text) <= 120 else text[:119] + "…"


def clock(moment: datetime) -> str:
    """A time of day, for people."""
    return f"{moment.astimezone(UTC):%H:%M:%S} UTC"


def _stamp(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
