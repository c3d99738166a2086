"""Where attestations are kept, and what the newest one of a release says.

In outer's bucket only the attestor creates, and nobody replaces. The newest attestation of a release, by the
bucket's own clock, is the one that counts: an older one that would still pass does not step in for it. Its
copy beside the release inside is what the sealed machine reads.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from dmz.errors import RefusedError
from dmz.promotion import dsse, statement
from dmz.promotion.attestation import Expected, Trust, verify
from dmz.promotion.dsse import Envelope
from dmz.promotion.release import Release
from dmz.promotion.statement import Attestation
from dmz.promotion.wording import printable
from dmz.registries.bucket import Bucket
from dmz.registries.google import connect
from dmz.registries.retry import Retry

NOT_YET: Final = "not attested yet"
UNSEEN: Final = "can't be seen from here"

_PATIENCE: Final = 20.0
"""Seconds that a preview looks for attestations: it must not hang on them."""


@dataclass(frozen=True)
class Place:
    """One inner side, and where the attestations for it are."""

    project: str
    location: str
    bucket: str
    """Outer's, of attestations."""
    trust: Trust

    def expected(self, release: Release, now: datetime) -> Expected:
        """What the attestation of a release has to say for this inner side."""
        return Expected(
            self.trust,
            statement.resource_uri(self.project, self.location, release.workload),
            release.digest,
            statement.lock_digests(release.files),
            now,
        )

    def folder(self, release: Release) -> str:
        """The prefix of a release's attestations in outer's bucket."""
        return f"attestations/{self.project}/{release.workload}/{release.digest}/"

    def new_name(self, release: Release, now: datetime) -> str:
        """The name of a new attestation; its time is for people, the bucket says which is the newest."""
        return f"{self.folder(release)}{now.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}.dsse.json"


@dataclass(frozen=True)
class Held:
    """An attestation that holds, with its bytes."""

    envelope: bytes
    attestation: Attestation


def inside(digest: str) -> str:
    """The name of a release's attestation in inner's release bucket, beside the lock files."""
    return f"releases/{digest}/attestation.dsse.json"


def line(envelope: bytes) -> str:
    """An attestation as one line that changes when it does: its time, and the SHA-256 of the envelope."""
    try:
        time = dsse.load(Envelope.parse(envelope).payload)["predicate"]["timeVerified"]
    except (ValueError, KeyError, TypeError):
        time = None
    when = time if statement.parse_moment(time) else "unreadable"
    return f"{when} sha256:{hashlib.sha256(envelope).hexdigest()}"


async def newest(bucket: Bucket, place: Place, release: Release, now: datetime) -> Held:
    """The newest attestation of a release, verified.

    Raises:
        RefusedError: there is none, or it does not hold.
        TransferError: the bucket can't be read.
    """
    where = f"the release of {release.workload} ({release.digest[:16]}…)"
    found = await bucket.list(place.folder(release))
    if not found:
        raise RefusedError(
            f"{where} is {NOT_YET}; after the merge, a member of dmz:attestors runs: dmz attest"
        )
    # Not by name: one that was made by a clock ahead of time would stand in the way of all that follow.
    last = max(found, key=lambda each: (each.created, each.name))
    # What is too large is not read whole to find that out.
    envelope = (await bucket.read(last.name) or b"") if last.size <= dsse.LIMIT else b""
    try:
        return Held(envelope, verify(envelope, place.expected(release, now)))
    except RefusedError as error:
        raise RefusedError(f"{where}: {error} (gs://{bucket.name}/{last.name})") from None


@dataclass(frozen=True)
class Seen:
    """What a look at the attestations found, for people who decide before they count."""

    lines: Mapping[str, str]
    """By workload, for the releases that are attested."""
    complaints: tuple[str, ...]
    """Why the others are not, or why nothing can be seen."""
    permitted: bool
    """Whether there could be a look at all."""


async def look(place: Place, releases: Iterable[Release], reader: str) -> Seen:
    """Whether releases are attested, as `reader` (a service account) sees it. Never raises.

    A preview says so before the merge, in jobs that may be allowed next to nothing.
    """
    lines: dict[str, str] = {}
    complaints: list[str] = []
    try:
        async with (
            asyncio.timeout(_PATIENCE),
            connect(place.location, impersonate=reader, retry=Retry(attempts=2)) as google,
        ):
            bucket = Bucket(google, place.bucket)
            for release in releases:
                try:
                    held = await newest(bucket, place, release, datetime.now(UTC))
                    lines[release.workload] = line(held.envelope)
                except RefusedError as error:
                    complaints.append(str(error))
    except Exception as error:
        # Whatever it is: who previews may lack the permission, the network, or a login.
        why = printable(str(error) or type(error).__name__)
        return Seen({}, (f"whether the releases are attested {UNSEEN}: {why}",), False)
    return Seen(lines, tuple(complaints), True)
