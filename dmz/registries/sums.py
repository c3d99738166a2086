"""Sums that Cloud Storage has of every object, in its record."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import google_crc32c


class Sums(NamedTuple):
    """What the service reckoned of an object's bytes. They tell what changed; whoever makes both contents can
    make them agree, so nothing is admitted by them.
    See https://cloud.google.com/storage/docs/data-validation
    """

    size: int
    """Bytes."""
    crc32c: str
    """In base64, like the other."""
    md5: str
    """Empty for an object that was composed of others."""


SUMS: Final = "size,crc32c,md5Hash"
"""Their fields in an object's record."""


def sums(record: Mapping[str, Any]) -> Sums:
    """What the record of an object says of its bytes."""
    return Sums(int(record["size"]), str(record.get("crc32c", "")), str(record.get("md5Hash", "")))


def sums_of(data: bytes) -> Sums:
    """What the service would say of these bytes."""
    md5 = hashlib.md5(data, usedforsecurity=False).digest()
    return Sums(len(data), recorded(google_crc32c.value(data)), base64.b64encode(md5).decode())


def recorded(crc32c: int) -> str:
    """A CRC32C as the service writes it."""
    return base64.b64encode(crc32c.to_bytes(4, "big")).decode()
