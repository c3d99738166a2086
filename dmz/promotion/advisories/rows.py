"""From a record to the rows of the index: what screening needs of it, by package."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from dmz.promotion.advisories.archive import Piece, Share, Source
from dmz.promotion.advisories.ecosystems import Ecosystem, recognise
from dmz.promotion.advisories.ranges import boundless, comparable
from dmz.promotion.advisories.records import Affected, Event, Range, Record, compact, decode
from dmz.promotion.advisories.severity import words_of
from dmz.promotion.advisories.stored import (
    Known,
    packed_ranges,
    packed_rating,
    packed_record,
    packed_versions,
)
from dmz.promotion.versions import normalised_name

_BATCH: Final = 500
_SUMMARY: Final = 240
"""Characters kept of what a record says, from which a line is made."""

Concern = tuple[str, str, bytes, bytes, bytes]
"""Ecosystem, package, and what a record says of it, packed: ranges, listed versions, rating."""


class Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One record, ready to be written."""

    id: str
    modified: str | None
    live: bool
    """It was not withdrawn."""
    aliased: bool
    digest: bytes
    """SHA-256 of its JSON without the space between its parts."""
    body: bytes
    concerns: tuple[Concern, ...]


class Batch(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Some records of one file."""

    source: int
    """Which file, counted from 0."""
    rows: list[Row]
    comment: bytes = b""
    """The archive's, with its last rows."""
    error: str = ""
    """What was wrong; nothing comes after it."""


def batches(sources: Sequence[Source], share: Share) -> Iterator[Batch]:
    """All records of some files, or one reader's share of them.

    Raises:
        InputError: something in there is no record.
    """
    for number, source in enumerate(sources):
        rows: list[Row] = []
        for piece in source.pieces(share):
            rows.append(_row(piece))
            if len(rows) == _BATCH:
                yield Batch(number, rows)
                rows = []
        yield Batch(number, rows, source.comment)


def _row(piece: Piece) -> Row:
    record = decode(piece.data, piece)
    digest = hashlib.sha256(compact(piece.data, piece)).digest()
    if record.withdrawn is not None:
        return Row(record.id, record.modified, False, False, digest, b"", ())
    summary = record.summary if record.summary and not record.summary.isspace() else record.details or ""
    kept = Known(
        record.id,
        record.other_names,
        record.upstream_names,
        summary[:_SUMMARY],
        tuple(record.severity or ()),
    )
    body, concerns = packed_record(kept), tuple(_concerns(record))
    return Row(record.id, record.modified, True, bool(record.aliases), digest, body, concerns)


def _concerns(record: Record) -> list[Concern]:
    found: list[Concern] = []
    of_pro: list[tuple[Ecosystem, str, Affected]] = []
    for affected in record.affected or ():
        if affected.package is None or (ours := recognise(affected.package.ecosystem)) is None:
            continue
        name = normalised_name(ours.key, affected.package.name)
        if ours.pro:
            of_pro.append((ours, name, affected))
        else:
            found.append(_concern(record, ours, name, affected))
    if of_pro:
        # What is mended for Ubuntu Pro alone is listed for Pro alone: for everybody else it stays open.
        listed = {(key, name) for key, name, *_ in found}
        found += (
            _concern(record, ours, name, affected, open_=True)
            for ours, name, affected in of_pro
            if (ours.key, name) not in listed
        )
    return found


def _concern(
    record: Record, ours: Ecosystem, name: str, affected: Affected, *, open_: bool = False
) -> Concern:
    ranges = comparable(affected.ranges or ())
    if open_:
        since = [Event(introduced=event.introduced) for each in ranges for event in each.events or ()]
        ranges = (Range("ECOSYSTEM", tuple(event for event in since if event.introduced)),)
    listed = affected.versions if affected.versions and not open_ and not boundless(ranges) else ()
    rating = tuple(affected.severity or ()), words_of(record, affected)
    return ours.key, name, packed_ranges(ranges), packed_versions(listed), packed_rating(rating)
