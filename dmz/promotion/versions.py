"""How each ecosystem writes and orders versions: PEP 440 for Python, dpkg's order for Debian and Ubuntu."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, Protocol

from debian.debian_support import NativeVersion
from packaging.utils import canonicalize_version
from packaging.version import InvalidVersion, Version

from dmz.artifact import Kind

PYPI: Final = "PyPI"
"""The Python ecosystem's name in OSV records (https://ossf.github.io/osv-schema/#affectedpackage-field)."""

_SPACE: Final = re.compile(r"\s")
_DPKG: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+:~-]*")


class Ordered(Protocol):
    """A version that can be compared with others of its ecosystem."""

    def __lt__(self, other: Any, /) -> bool: ...
    def __le__(self, other: Any, /) -> bool: ...


@lru_cache(maxsize=65536)
def _parse(ecosystem: str, text: str) -> Ordered | None:
    try:
        return Version(text) if ecosystem == PYPI else _native(text)
    except (InvalidVersion, ValueError):
        return None


def _native(text: str) -> Ordered:
    if not text or not text.isascii():
        raise ValueError(text)
    # The pure Python order, whatever else is installed: the verdict must not depend on the machine.
    parsed: Ordered = NativeVersion(text)
    return parsed


def parse(ecosystem: str, text: str) -> Ordered | None:
    """The version in its ecosystem's order, or None when the ecosystem has no such version."""
    return _parse(ecosystem, text)


def is_pep440(text: str) -> bool:
    """Whether this is a version of the Python ecosystem."""
    return text.isascii() and not _SPACE.search(text) and parse(PYPI, text) is not None


def is_dpkg(text: str) -> bool:
    """Whether dpkg would take this as a version (Debian Policy 5.6.12)."""
    return _DPKG.fullmatch(text) is not None and parse("Debian", text) is not None


def normalised(kind: Kind, text: str) -> str:
    """One spelling for versions that are the same; only Python has several."""
    if kind is not Kind.PYPI:
        return text
    return canonicalize_version(text, strip_trailing_zero=False)
