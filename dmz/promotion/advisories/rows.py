"""From a record to the rows of the index: what screening needs of it, by package."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from dmz.promotion.advisories.archive import Piece, Share, Source
from dmz.promotion.advisories.coverage import boundless, comparable
from dmz.promotion.advisories.ecosystems import Ecosystem, recognise
from dmz.promotion.advisories.records import Affected, Event, Range, Record, Score, compact, decode
from dmz.promotion.advisories.severity import words_of
from dmz.promotion.versions import normalised_name

_BATCH: Final = 500
_PACKED: Final = 1024
"""Bytes from which a row is compressed: lists of versions shrink to a tenth."""
_ZLIB: Final = b"\x78"
"""What compressed data begins with; MessagePack's arrays don't."""
_SUMMARY: Final = 240
"""Characters kept of what a record says, from which a line is made."""


class Known(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is kept of a record, whichever package it is about."""

    id: str
    aliases: tuple[str, ...]
    upstream: tuple[str, ...]
    summary: str
    scores: tuple[Score, ...]


class Said(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is kept of what a record says about one package."""

    ranges: tuple[Range, ...]
    """Those that can be compared."""
    versions: bytes
    """A JSON list of those that are listed, or nothing."""
    scores: tuple[Score, ...]
    words: tuple[str, ...]


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
    concerns: tuple[tuple[str, str, bytes], ...]
    """Ecosystem, package, and what it says of it."""


class Batch(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Some records of one file."""

    source: int
    """Which file, counted from 0."""
    rows: list[Row]
    comment: bytes = b""
    """The archive's, with its last rows."""
    error: str = ""
    """What was wrong; nothing comes after it."""


_ENCODER: Final = msgspec.msgpack.Encoder()
_KNOWN: Final = msgspec.msgpack.Decoder(Known)
_SAID: Final = msgspec.msgpack.Decoder(Said)
_JSON: Final = msgspec.json.Encoder()


def known(body: bytes) -> Known:
    """What was kept of a record."""
    return _KNOWN.decode(zlib.decompress(body) if body[:1] == _ZLIB else body)


def said(body: bytes) -> Said:
    """What was kept of what a record says about a package."""
    return _SAID.decode(zlib.decompress(body) if body[:1] == _ZLIB else body)


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
    concerns = tuple((key, name, _pack(each)) for key, name, each in _said(record))
    return Row(record.id, record.modified, True, bool(record.aliases), digest, _pack(kept), concerns)


def _pack(value: Known | Said) -> bytes:
    body = _ENCODER.encode(value)
    return zlib.compress(body, 1) if len(body) >= _PACKED else body


def _said(record: Record) -> list[tuple[str, str, Said]]:
    found: list[tuple[str, str, Said]] = []
    of_pro: list[tuple[Ecosystem, str, Affected]] = []
    for affected in record.affected or ():
        if affected.package is None or (ours := recognise(affected.package.ecosystem)) is None:
            continue
        name = normalised_name(ours.key, affected.package.name)
        if ours.pro:
            of_pro.append((ours, name, affected))
        else:
            found.append((ours.key, name, _kept(record, affected)))
    if of_pro:
        # What is mended for Ubuntu Pro alone is listed for Pro alone: for everybody else it stays open.
        listed = {(key, name) for key, name, _ in found}
        found += (
            (ours.key, name, _kept(record, affected, open_=True))
            for ours, name, affected in of_pro
            if (ours.key, name) not in listed
        )
    return found


def _kept(record: Record, affected: Affected, *, open_: bool = False) -> Said:
    ranges = comparable(affected.ranges or ())
    if open_:
        since = [Event(introduced=event.introduced) for each in ranges for event in each.events or ()]
        ranges = (Range("ECOSYSTEM", tuple(event for event in since if event.introduced)),)
    listed = affected.versions if affected.versions and not open_ and not boundless(ranges) else None
    return Said(
        ranges,
        _JSON.encode(listed) if listed else b"",
        tuple(affected.severity or ()),
        words_of(record, affected),
    )
