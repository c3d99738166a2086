"""What an archive says of the feed that it came from: the moment whose knowledge it has.

It stands in the archive's comment, so that the records and their age are one file and change together.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec

from dmz.promotion.advisories.records import moment

LISTING: Final = "modified_id.csv"
"""The member with what the feed listed when the archive was brought up to date."""


class Stamp(msgspec.Struct, frozen=True, tag="advisories", tag_field="dmz"):
    """The comment of an archive that was fetched."""

    feed: str
    """The bucket that it came from."""
    as_of: str
    """When the feed last changed before it was fetched, by the feed's clock; RFC 3339, UTC."""
    fetched: str
    """When it was fetched, by the clock of who did; RFC 3339, UTC."""

    @property
    def moment(self) -> datetime | None:
        """The moment whose knowledge the archive has."""
        return moment(self.as_of)


def stamped(comment: bytes) -> Stamp | None:
    """The stamp in an archive's comment; None if it was fetched by other means."""
    try:
        found = msgspec.json.decode(comment, type=Stamp)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return found if found.moment else None


def utc(moment: datetime) -> str:
    """A moment as it is written down: RFC 3339, UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
