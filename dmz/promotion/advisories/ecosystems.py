"""Which of OSV's ecosystems are ours, and under which one name each is kept.

See https://ossf.github.io/osv-schema/#defined-ecosystems. A distribution without its release (`Debian`) is
not ours: what such a record says of one release is false of the next.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from dmz.promotion.versions import PYPI

_DEBIAN: Final = re.compile(r"Debian:(\d{1,3}|[a-z]+)")
_UBUNTU: Final = re.compile(r"Ubuntu:(Pro:)?(\d{2}\.\d{2}|[a-z]+)(?::LTS)?")
_CODE_NAMES: Final[Mapping[str, str]] = {
    "buster": "10",
    "bullseye": "11",
    "bookworm": "12",
    "trixie": "13",
    "forky": "14",
    "bionic": "18.04",
    "focal": "20.04",
    "jammy": "22.04",
    "noble": "24.04",
    "resolute": "26.04",
}
"""The schema wants numbers; who writes records by hand writes what `sources.list` says."""


class Ecosystem(NamedTuple):
    """One of ours."""

    key: str
    """Its one name: `PyPI`, `Debian:12`, `Ubuntu:22.04`."""
    pro: bool = False
    """The record speaks of Ubuntu Pro's builds for this release (expanded security maintenance)."""

    @property
    def family(self) -> str:
        """The name that its feed has: OSV publishes all releases of a distribution together."""
        return self.key.partition(":")[0]


@lru_cache(maxsize=4096)
def recognise(text: str) -> Ecosystem | None:
    """The ecosystem that a name means; None if it is not ours.

    `Ubuntu:22.04` and `Ubuntu:22.04:LTS` are the same; its special builds (`Ubuntu:Pro:FIPS:22.04:LTS`) are
    lines of their own and not ours.
    """
    if text == PYPI:
        return Ecosystem(PYPI)
    if found := _DEBIAN.fullmatch(text):
        return Ecosystem(f"Debian:{_CODE_NAMES.get(found[1], found[1])}")
    if found := _UBUNTU.fullmatch(text):
        return Ecosystem(f"Ubuntu:{_CODE_NAMES.get(found[2], found[2])}", bool(found[1]))
    return None
