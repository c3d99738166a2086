"""A change: one package that is not in two releases alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from dmz.artifact import Artifact, Kind
from dmz.promotion import versions
from dmz.promotion.entry import Entry
from dmz.promotion.versions import PYPI
from dmz.promotion.wording import printable

_DEBIAN: Final = "Debian"
_LICENCE: Final = 80
"""Characters of a licence that a line shows."""
SHORT: Final = 12
"""Digits of a digest that a person is shown."""


class Nature(StrEnum):
    """How an entry differs; the first that fits, the loudest first."""

    BYTES = "other bytes"
    """The same version, and other bytes: somebody changed what was published, or it was built again."""
    ORIGIN = "other origin"
    """The same bytes from another repository."""
    REMOVED = "removed"
    ADDED = "added"
    CHANGED = "changed"
    """Another version."""
    STATED = "stated otherwise"
    """The same bytes from the same place; reasons, upload time or source package are other ones."""


@dataclass(frozen=True)
class Change:
    """One package that is not on both sides alike."""

    key: str
    """`pypi/NAME`, `apt/NAME:ARCH` or `files/NAME`."""
    before: Entry | None
    after: Entry | None
    licence_before: str | None = None
    """None: not known, or nothing was there."""
    licence_after: str | None = None
    findings_before: tuple[str, ...] = ()
    findings_after: tuple[str, ...] = ()

    @property
    def nature(self) -> Nature:
        """How it differs."""
        if self.before is None:
            return Nature.ADDED
        if self.after is None:
            return Nature.REMOVED
        one, other = self.before.artifact, self.after.artifact
        if one.version != other.version:
            return Nature.CHANGED
        # A new build of a source may have another file name: it is the version that says what it is.
        if one.sha256 != other.sha256 or one.filename != other.filename:
            return Nature.BYTES
        return Nature.ORIGIN if one.origin != other.origin else Nature.STATED

    @property
    def older(self) -> bool:
        """Whether the version goes down."""
        if self.before is None or self.after is None:
            return False
        one, other = (_parsed(each.artifact) for each in (self.before, self.after))
        return one is not None and other is not None and other < one

    @property
    def size(self) -> int:
        """Bytes more than before; negative for fewer."""
        return (self.after.artifact.size if self.after else 0) - (
            self.before.artifact.size if self.before else 0
        )

    @property
    def mended(self) -> tuple[str, ...]:
        """Findings that are gone."""
        return tuple(each for each in self.findings_before if each not in self.findings_after)

    @property
    def brought(self) -> tuple[str, ...]:
        """Findings that came."""
        return tuple(each for each in self.findings_after if each not in self.findings_before)

    @property
    def other_licence(self) -> bool:
        """Whether both licences are known and differ."""
        return None not in (self.licence_before, self.licence_after) and (
            self.licence_before != self.licence_after
        )

    def document(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "key": self.key,
            "change": str(self.nature),
            "older": self.older,
            "before": _side(self.before, self.licence_before, self.findings_before),
            "after": _side(self.after, self.licence_after, self.findings_after),
        }

    def __str__(self) -> str:
        """One line for a person, without the mark."""
        return printable("; ".join([f"{self.key} {self._what()}", *self._more()]), 800)

    def _what(self) -> str:
        one = self.before.artifact if self.before else None
        other = self.after.artifact if self.after else None
        if one is None or other is None:
            artifact = other or one
            assert artifact is not None
            return f"{_version(artifact)} ({megabytes(artifact.size)}, from {artifact.origin})"
        match self.nature:
            case Nature.BYTES:
                return (
                    f"{_version(one)}: OTHER BYTES under the same version, "
                    f"{one.filename} sha256:{one.sha256[:SHORT]} → {other.filename} "
                    f"sha256:{other.sha256[:SHORT]}"
                )
            case Nature.ORIGIN:
                return f"{_version(one)}: the same bytes, from {one.origin} → {other.origin}"
            case Nature.CHANGED:
                down = ", an OLDER version" if self.older else ""
                return f"{_version(one)} → {_version(other)}{down} ({megabytes(self.size, sign=True)})"
            case _:
                return f"{_version(one)}: the same bytes, {self._stated()}"

    def _stated(self) -> str:
        assert self.before is not None
        assert self.after is not None
        one, other = self.before.artifact.why, self.after.artifact.why
        if one != other:
            return f"needed by {', '.join(one) or 'nobody'} → {', '.join(other) or 'nobody'}"
        return "other upload time or source"

    def _more(self) -> Iterable[str]:
        if self.other_licence:
            yield f"licence {_short(self.licence_before)} → {_short(self.licence_after)}"
        elif self.nature is Nature.ADDED and self.licence_after:
            yield f"licence {_short(self.licence_after)}"
        if self.mended:
            yield f"no longer: {', '.join(self.mended)}"
        if self.brought:
            yield f"now: {', '.join(self.brought)}"


def megabytes(size: int, *, sign: bool = False) -> str:
    """A size as a person reads it, in units of 1000."""
    number, unit = float(size), "B"
    for larger in ("kB", "MB", "GB"):
        if abs(number) < 999.5:
            break
        number, unit = number / 1000, larger
    digits = 0 if unit == "B" else 1
    return f"{number:{'+' if sign else ''}.{digits}f} {unit}"


def _version(artifact: Artifact) -> str:
    return f"sha256:{artifact.sha256[:SHORT]}" if artifact.kind is Kind.FILE else artifact.version


def _short(licence: str | None) -> str:
    """Some metadata have the whole text of the licence there."""
    return printable(licence or "", _LICENCE)


def _parsed(artifact: Artifact) -> versions.Ordered | None:
    if artifact.kind is Kind.FILE:
        return None
    return versions.parse(PYPI if artifact.kind is Kind.PYPI else _DEBIAN, artifact.version)


def _side(entry: Entry | None, licence: str | None, findings: tuple[str, ...]) -> dict[str, Any] | None:
    if entry is None:
        return None
    artifact = entry.artifact
    return {
        "version": artifact.version,
        "file": artifact.filename,
        "sha256": artifact.sha256,
        "size": artifact.size,
        "origin": artifact.origin,
        "why": list(artifact.why),
        "licence": licence,
        "findings": list(findings),
    }
