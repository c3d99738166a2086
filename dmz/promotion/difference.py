"""What is different between two releases of a workload, package by package."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dmz.promotion.change import SHORT, Change, Nature, megabytes
from dmz.promotion.entry import Entry
from dmz.promotion.evidence import Evidence
from dmz.promotion.release import Release
from dmz.promotion.wording import printable


@dataclass(frozen=True)
class Side:
    """One of the two releases, with what is known of its entries besides."""

    release: Release | None
    """None: there was none."""
    licences: Mapping[str, str] = field(default_factory=dict)
    """By the artifact's key."""
    findings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What is known against an entry, by the artifact's key: `CVE-2025-4565 (GHSA-8qvm-5x2c-j2w7)`."""

    @classmethod
    def of(cls, release: Release, evidence: Iterable[Evidence]) -> Side:
        """A release with the licences that its evidence tells of."""
        stated = {each.entry.artifact.key: each.licence or printable(each.licence_text) for each in evidence}
        return cls(release, {key: licence for key, licence in stated.items() if licence})

    @property
    def entries(self) -> dict[str, Entry]:
        """The entries by the artifact's key."""
        return {each.artifact.key: each for each in self.release.entries} if self.release else {}


@dataclass(frozen=True)
class Difference:
    """All that is different between two releases of one workload."""

    workload: str
    before: Release | None
    after: Release | None
    changes: tuple[Change, ...]
    """The loudest first, then by key."""

    @property
    def empty(self) -> bool:
        """Whether the two are the same release."""
        return not self.changes and not self.settings

    @property
    def settings(self) -> tuple[tuple[str, str, str], ...]:
        """What differs besides the entries: what it is, before, after."""
        if self.before is None or self.after is None:
            return ()
        return tuple(
            (what, getattr(self.before, name), getattr(self.after, name))
            for what, name in (
                ("base image", "runtime"),
                ("base image's packages", "dpkg_digest"),
                ("Python", "python"),
                ("workload file", "workload_digest"),
            )
            if getattr(self.before, name) != getattr(self.after, name)
        )

    @property
    def same(self) -> int:
        """How many entries both have alike."""
        changed = {change.key for change in self.changes if change.after}
        return sum(each.key not in changed for each in self.after.artifacts) if self.after else 0

    @property
    def bytes(self) -> tuple[int, int]:
        """Size of all files before and after."""
        return _bytes(self.before), _bytes(self.after)

    def of(self, *natures: Nature) -> list[Change]:
        """The changes of these natures."""
        return [change for change in self.changes if change.nature in natures]

    @property
    def counted(self) -> str:
        """In words: `1 added, 2 changed, 27 the same`."""
        counts = Counter(change.nature for change in self.changes)
        parts = [f"{counts[nature]} {_COUNTED.get(nature, nature)}" for nature in Nature if counts[nature]]
        return ", ".join([*parts, f"{self.same} the same"])

    def lines(self) -> list[str]:
        """As a person reads it: a heading, a line for each change, and the sum."""
        one, other = self.bytes
        found = [f"{self.workload}: {_digest(self.before)} → {_digest(self.after)}"]
        found += [
            f"* {what}: {printable(before, 16)} → {printable(after, 16)}"
            for what, before, after in self.settings
        ]
        found += [f"{_MARKS[change.nature]} {change}" for change in self.changes]
        return [*found, f"{self.counted}; {megabytes(one)} → {megabytes(other)}"]

    def document(self) -> dict[str, Any]:
        """For scripts."""
        one, other = self.bytes
        return {
            "workload": self.workload,
            "before": self.before.digest if self.before else None,
            "after": self.after.digest if self.after else None,
            "settings": [
                {"what": what, "before": before, "after": after} for what, before, after in self.settings
            ],
            "changes": [change.document() for change in self.changes],
            "same": self.same,
            "bytes": {"before": one, "after": other},
        }


_COUNTED: Final[Mapping[Nature, str]] = {
    Nature.BYTES: "with OTHER BYTES under the same version",
    Nature.ORIGIN: "from another origin",
}
_MARKS: Final[Mapping[Nature, str]] = {
    Nature.BYTES: "!",
    Nature.ORIGIN: "!",
    Nature.REMOVED: "-",
    Nature.ADDED: "+",
    Nature.CHANGED: "~",
    Nature.STATED: "·",
}


def difference(before: Side, after: Side) -> Difference:
    """What is different between two releases; either may be missing, not both."""
    release = after.release or before.release
    assert release is not None
    one, other = before.entries, after.entries
    changes = (
        Change(
            key,
            one.get(key),
            other.get(key),
            before.licences.get(key) if key in one else None,
            after.licences.get(key) if key in other else None,
            before.findings.get(key, ()) if key in one else (),
            after.findings.get(key, ()) if key in other else (),
        )
        for key in one.keys() | other.keys()
        if one.get(key) != other.get(key)
    )
    return Difference(release.workload, before.release, after.release, _ordered(changes))


def _ordered(changes: Iterable[Change]) -> tuple[Change, ...]:
    rank = {nature: place for place, nature in enumerate(Nature)}
    return tuple(sorted(changes, key=lambda change: (rank[change.nature], change.key)))


def _bytes(release: Release | None) -> int:
    return sum(artifact.size for artifact in release.artifacts) if release else 0


def _digest(release: Release | None) -> str:
    return release.digest[:SHORT] if release else "nothing"
