"""Names and versions by each ecosystem's own rules: PEP 503 and 440 for Python, dpkg's for distributions."""

from __future__ import annotations

import re
from functools import lru_cache, total_ordering
from typing import Any, Final, Protocol

from packaging.utils import canonicalize_name, canonicalize_version
from packaging.version import InvalidVersion, Version

from dmz.artifact import Kind

PYPI: Final = "PyPI"
"""The Python ecosystem's name in OSV records (https://ossf.github.io/osv-schema/#affectedpackage-field)."""

_SPACE: Final = re.compile(r"\s")
_NUMBER: Final = re.compile(r"[0-9]+")
_UPSTREAM: Final = re.compile(r"[0-9A-Za-z.+:~-]+")
_REVISION: Final = re.compile(r"[0-9A-Za-z.+~]+")
_LARGEST: Final = (10, "2147483647")
"""Epoch, as `_digits` has it: dpkg keeps it in an int."""
_PIECES: Final = re.compile(r"([^0-9]*)([0-9]*)")
_BACKPORT: Final = re.compile(r"~bpo([0-9]{1,3})\+[0-9]+(?:\+[0-9A-Za-z.+~]+)?$")
_STABLE: Final = re.compile(r"[+~]deb([0-9]{1,3})u[0-9]+$")
_SIGNED: Final = re.compile(r"(linux)-signed-[a-z0-9-]+")

_Piece = tuple[tuple[int, ...], tuple[int, str]]
_Key = tuple[tuple[int, str], tuple[_Piece, ...], tuple[_Piece, ...]]


class Ordered(Protocol):
    """A version that can be compared with others of its ecosystem; equal ones have equal hashes."""

    def __lt__(self, other: Any, /) -> bool: ...
    def __le__(self, other: Any, /) -> bool: ...


@total_ordering
class DpkgVersion:
    """A Debian version in dpkg's order (deb-version(7), Debian Policy 5.6.12).

    An own order, because in python-debian's equal versions differ in their hash (`1` and `0:1`), so that a
    set misses them; it takes an empty revision or a huge epoch, which dpkg refuses; and it fails on a number
    of more than 4300 digits, which dpkg compares.
    """

    __slots__ = ("_ordered", "_parts", "text")

    def __init__(self, text: str) -> None:
        """Parse a version.

        Raises:
            ValueError: dpkg would refuse it.
        """
        head, colon, tail = text.partition(":")
        epoch, rest = (head, tail) if colon else ("0", text)
        upstream, hyphen, revision = rest.rpartition("-")
        if not hyphen:
            upstream, revision = rest, "0"  # deb-version(7): the absence of one is equivalent to 0
        if not (_NUMBER.fullmatch(epoch) and _UPSTREAM.fullmatch(upstream) and _REVISION.fullmatch(revision)):
            raise ValueError(text)
        if _digits(epoch) > _LARGEST:
            raise ValueError(text)
        self.text: Final = text
        self._parts: Final = epoch, upstream, revision
        self._ordered: _Key | None = None

    @property
    def _key(self) -> _Key:
        """What orders it; most versions are never compared."""
        if self._ordered is None:
            epoch, upstream, revision = self._parts
            self._ordered = _digits(epoch), _key(upstream), _key(revision)
        return self._ordered

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DpkgVersion) and self._key == other._key

    def __lt__(self, other: DpkgVersion) -> bool:
        return self._key < other._key

    def __le__(self, other: DpkgVersion) -> bool:
        return self._key <= other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"DpkgVersion({self.text!r})"


def _key(part: str) -> tuple[_Piece, ...]:
    """What orders an upstream version or a revision as a tuple.

    dpkg compares by turns a stretch without digits, letter by letter, and a number. In a stretch the order
    is `~`, the end, letters, everything else; so each ends in the end's rank, as does the whole.
    """
    pieces = _PIECES.findall(part)[:-1]  # the last one is empty
    return (*(((*map(_rank, stretch), 0), _digits(number)) for stretch, number in pieces), ((0,), (0, "")))


def _rank(character: str) -> int:
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256


def _digits(number: str) -> tuple[int, str]:
    """What orders numbers of any length, for which int() would refuse."""
    significant = number.lstrip("0")
    return len(significant), significant


@lru_cache(maxsize=65536)
def _python(text: str) -> Version | None:
    try:
        return Version(text)
    except (InvalidVersion, ValueError):
        return None


@lru_cache(maxsize=65536)
def _dpkg(text: str) -> DpkgVersion | None:
    try:
        return DpkgVersion(text)
    except ValueError:
        return None


def parse(ecosystem: str, text: str) -> Ordered | None:
    """The version in its ecosystem's order, or None when the ecosystem has no such version."""
    return _python(text) if ecosystem == PYPI else _dpkg(text)


def public(version: Ordered) -> Ordered:
    """The version that a Python local version is a build of: `2.1.0` for `2.1.0+cu118`.

    A local version has the public one's code (PEP 440, "Local version identifiers"), and so its faults: what
    is said of `2.1.0` by name, or of everything up to it, is said of `2.1.0+cu118` too, as `==2.1.0` and
    `<=2.1.0` match it. Other versions are returned as they are.
    """
    return Version(version.public) if isinstance(version, Version) and version.local else version


def backported(ecosystem: str, text: str) -> tuple[str, str] | None:
    """Where a backport comes from: its ecosystem and its version there, or None if it is no backport.

    `1.2-3~bpo12+1` is a rebuild of the next release's `1.2-3` for Debian 12, `1.2-3+deb13u1~bpo12+1` of an
    update of Debian 13. The fixes of Debian 12, which are made for older versions, say nothing of either;
    those of Debian 13 do.
    """
    found = _BACKPORT.search(text)
    if not ecosystem.startswith("Debian:") or not found:
        return None
    original = text[: found.start()]
    update = _STABLE.search(original)
    return f"Debian:{update[1] if update else int(found[1]) + 1}", original


def unsigned(ecosystem: str, source: str, text: str) -> tuple[str, str]:
    """The source package and version that advisories name for Debian's signed kernels.

    Those are built from a package of their own, `linux-signed-amd64` 6.1.76+1 for `linux` 6.1.76-1, because
    the archive signs what another build made. Others are returned as they are.
    """
    found = _SIGNED.fullmatch(source) if ecosystem.startswith("Debian:") else None
    if not found:
        return source, text
    upstream, plus, revision = text.partition("+")
    return found[1], f"{upstream}-{revision}" if plus else text


def normalised_name(ecosystem: str, name: str) -> str:
    """One spelling for names that are the same; only Python has several (PEP 503)."""
    return canonicalize_name(name) if ecosystem == PYPI else name


def is_pep440(text: str) -> bool:
    """Whether this is a version of the Python ecosystem."""
    return text.isascii() and not _SPACE.search(text) and _python(text) is not None


def is_dpkg(text: str) -> bool:
    """Whether dpkg takes this as a version without a complaint, as `dpkg --validate-version` says."""
    # Old archives have versions that begin with a letter: those compare, and nobody makes them any more.
    return _dpkg(text) is not None and text[text.find(":") + 1].isdigit()


def normalised(kind: Kind, text: str) -> str:
    """One spelling for versions that are the same; only Python has several."""
    if kind is not Kind.PYPI:
        return text
    return canonicalize_version(text, strip_trailing_zero=False)
