"""What an index holds of a record: as much as looking a version up needs, packed."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

import msgspec

from dmz.promotion.advisories.records import Range, Score

_LARGE: Final = 1024
"""Bytes from which on something is compressed: lists of versions shrink to a tenth."""
_ZLIB: Final = b"\x78"
"""What compressed data begins with; neither MessagePack's arrays nor JSON's do."""


class Known(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is kept of a record, whichever package it is about."""

    id: str
    aliases: tuple[str, ...]
    upstream: tuple[str, ...]
    summary: str
    scores: tuple[Score, ...]


Said = tuple[int, bytes, bytes, bytes]
"""What is kept of what a record says about one package: the record's number; its ranges that can be compared
(`ranges_of`); the versions that it lists (`versions_of`); how bad it is (`rating_of`).

They stay packed until they matter: the records of a package have most of their ranges and ratings in common,
and most of them don't concern the version in question.
"""

Rating = tuple[tuple[Score, ...], tuple[str, ...]]
"""Scores, and the words of the database and the distribution."""
_UNRATED: Final[Rating] = ((), ())

_PACKER: Final = msgspec.msgpack.Encoder()
_KNOWN: Final = msgspec.msgpack.Decoder(Known)
_SAID: Final = msgspec.msgpack.Decoder(list[Said])
_RANGES: Final = msgspec.msgpack.Decoder(tuple[Range, ...])
_RATING: Final = msgspec.msgpack.Decoder(Rating)
_JSON: Final = msgspec.json.Encoder()
_LIST: Final = msgspec.json.Decoder(list[str])


def packed_record(known: Known) -> bytes:
    """A record, packed."""
    return _small(_PACKER.encode(known))


def known(body: bytes) -> Known:
    """A record from its packed form."""
    return _KNOWN.decode(plain(body))


def packed_said(said: Sequence[Said]) -> bytes:
    """What records say about one package, packed."""
    return _PACKER.encode(said)


def said_of(body: bytes) -> list[Said]:
    """What records say about one package, from its packed form."""
    return _SAID.decode(body)


def packed_ranges(ranges: Sequence[Range]) -> bytes:
    """Ranges, packed; equal ones are the same bytes."""
    return _PACKER.encode(ranges) if ranges else b""


def ranges_of(body: bytes) -> tuple[Range, ...]:
    """Ranges from their packed form."""
    return _RANGES.decode(body) if body else ()


def packed_versions(listed: Sequence[str]) -> bytes:
    """A list of versions, packed."""
    return _small(_JSON.encode(listed)) if listed else b""


def versions_of(body: bytes) -> list[str]:
    """A list of versions from its packed form."""
    return _LIST.decode(plain(body)) if body else []


def packed_rating(rating: Rating) -> bytes:
    """A rating, packed; equal ones are the same bytes."""
    return _PACKER.encode(rating) if rating != _UNRATED else b""


def rating_of(body: bytes) -> Rating:
    """A rating from its packed form."""
    return _RATING.decode(body) if body else _UNRATED


def plain(body: bytes) -> bytes:
    """What is packed without compression: of a list of versions compact JSON, or nothing."""
    return zlib.decompress(body) if body[:1] == _ZLIB else body


def _small(body: bytes) -> bytes:
    return zlib.compress(body, 1) if len(body) >= _LARGE else body
