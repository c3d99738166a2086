"""The OSV record, as far as screening looks at it (https://ossf.github.io/osv-schema/, version 1.7.5).

Databases add fields of their own, so what is not used is not looked at. What is used has the schema's types,
or the record is refused: half a record would be half a screening.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Protocol

import msgspec

from dmz.errors import InputError
from dmz.promotion.wording import printable

_NAME: Final = re.compile(r"[!-~]{1,128}")


class Event(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A version at which something changes."""

    introduced: str | None = None
    fixed: str | None = None
    last_affected: str | None = None
    limit: str | None = None


class Range(msgspec.Struct, frozen=True, gc=False):
    """A line of versions."""

    type: str
    """`ECOSYSTEM`, `SEMVER` or `GIT`."""
    events: tuple[Event, ...] | None = None


class Score(msgspec.Struct, frozen=True, gc=False):
    """One rating."""

    type: str
    """`CVSS_V2`, `CVSS_V3`, `CVSS_V4`, `Ubuntu`."""
    score: str


class Package(msgspec.Struct, frozen=True, gc=False):
    """What is affected."""

    ecosystem: str
    name: str


class Specific(msgspec.Struct, frozen=True, gc=False):
    """The words about severity in what ecosystems and databases add."""

    severity: Any = None
    urgency: Any = None


class Affected(msgspec.Struct, frozen=True, gc=False):
    """What a record says of one package."""

    package: Package | None = None
    ranges: list[Range] | None = None
    versions: list[str] | None = None
    severity: list[Score] | None = None
    ecosystem_specific: Specific | None = None
    database_specific: Specific | None = None


class Record(msgspec.Struct, frozen=True, gc=False):
    """One advisory."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,128}$")]
    modified: str | None = None
    withdrawn: str | None = None
    aliases: list[str] | None = None
    upstream: list[str] | None = None
    summary: str | None = None
    details: str | None = None
    severity: list[Score] | None = None
    affected: list[Affected] | None = None
    database_specific: Specific | None = None

    @property
    def moment(self) -> datetime | None:
        """When it was last modified; None where that can't be told."""
        return moment(self.modified or "")

    @property
    def other_names(self) -> tuple[str, ...]:
        """Its aliases; what could not be shown in a line is no name."""
        return tuple(filter(_NAME.fullmatch, self.aliases)) if self.aliases else ()

    @property
    def upstream_names(self) -> tuple[str, ...]:
        """The vulnerabilities that it passes on from upstream."""
        return tuple(filter(_NAME.fullmatch, self.upstream)) if self.upstream else ()


class Place(Protocol):
    """Where a record lies."""

    @property
    def where(self) -> str:
        """Names it in errors."""
        ...


_RECORD: Final = msgspec.json.Decoder(Record)
_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])


def decode(data: bytes | msgspec.Raw, place: Place) -> Record:
    """Parse one record.

    Args:
        place: where it lies.

    Raises:
        InputError: it is no OSV record.
    """
    try:
        return _RECORD.decode(data)
    except msgspec.ValidationError as error:
        said = printable(str(error))
        raise InputError(f"{place.where}: no OSV record ({said}); correct or remove it") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _no_json(place.where, error) from None


def split(data: bytes, where: str) -> Iterator[msgspec.Raw]:
    """The records of a JSON file: one, or a list of them.

    Raises:
        InputError: it is no JSON.
    """
    try:
        found = _LIST.decode(data) if data.lstrip(b" \t\r\n")[:1] == b"[" else [msgspec.Raw(data)]
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _no_json(where, error) from None
    yield from found


def compact(data: bytes, place: Place) -> bytes:
    """The same JSON without the space between its parts, which is the packer's choice.

    Raises:
        InputError: it is no JSON.
    """
    try:
        return msgspec.json.format(data, indent=-1)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _no_json(place.where, error) from None


def _no_json(where: str, error: Exception) -> InputError:
    return InputError(f"{where}: no JSON ({printable(str(error))}); correct or remove it")


def moment(text: str) -> datetime | None:
    """A timestamp of RFC 3339 in UTC; None if it is none."""
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
