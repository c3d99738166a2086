"""Evidence: what is known of an artifact apart from its bytes, and what the rules of a policy look at.

Every fact comes from the repositories and their upstreams, never from the machine that asked for the
artifact. A fact that could not be had is None, which each rule treats as the policy says; none is guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from dmz.promotion.entry import Entry
from dmz.promotion.finding import Finding


class Status(StrEnum):
    """What a project's index says of the project (PEP 792)."""

    ACTIVE = "active"
    ARCHIVED = "archived"
    DEPRECATED = "deprecated"
    QUARANTINED = "quarantined"


@dataclass(frozen=True)
class Publisher:
    """Who published a file, as its attestation says (PEP 740)."""

    kind: str
    """`GitHub`, `GitLab`, `Google` …"""
    identity: str
    """Repository and workflow, or account."""

    def __str__(self) -> str:
        return f"{self.kind} {self.identity}"


@dataclass(frozen=True)
class Evidence:
    """One entry with the facts about it."""

    entry: Entry
    published: datetime | None = None
    """When the upstream got this file (PEP 700), or the sdist that it was built from, or the version entered
    the suite; UTC."""
    licence: str | None = None
    """SPDX expression, from the metadata's License-Expression or what it says of old; None: not known."""
    licence_text: str = ""
    """What the metadata says of the licence where that is no SPDX expression, for a person."""
    status: Status | None = None
    """Of the project; None: its index does not say."""
    yanked: str | None = None
    """The reason why its publisher took the file back (PEP 592), may be empty; None: it is not yanked, or not
    known."""
    deleted: bool = False
    """Whether upstream answers and does not offer this file, or the sdist that it was built from, any more:
    nobody says whether its publisher took it back, the index removed it, or somebody only tidied up."""
    last_upload: datetime | None = None
    """When the project published anything for the last time; UTC."""
    publisher: Publisher | None = None
    """Of this file, by its attestation."""
    former_publisher: Publisher | None = None
    """Of the newest earlier version that has an attestation."""
    upstreams: tuple[str, ...] | None = None
    """Ids of all outer repositories that offer a package of this name; None: not asked."""


class Source(Protocol):
    """Something that knows of problems: an advisory database, a scanner, a list."""

    @property
    def name(self) -> str:
        """Its name in the policy and in findings."""
        ...

    @property
    def as_of(self) -> datetime | None:
        """The moment whose knowledge it has; UTC. None: it does not age, like a list in the checkout."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 that names its content: the same content has the same one."""
        ...

    def findings(self, ecosystem: str, name: str, version: str, sha256: str = "") -> Sequence[Finding]:
        """What is known against a version.

        Args:
            ecosystem: `PyPI`, or a distribution with its release: `Debian:12`, `Ubuntu:22.04:LTS`.
            name: of the distribution, or of the Debian *source* package.
            version: of the distribution, or of the source package.
            sha256: of the file, for sources that know files; empty for a version that was not fetched yet.
        """
        ...
