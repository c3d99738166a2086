"""Retention: which releases the archive keeps, and so which files may go.

A sync writes down a release before it copies any file of it, so that no file is ever in the archive without a
record that names it. Records are only added; how old one is, the archive's own clock says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from dmz.errors import InputError
from dmz.promotion.release import Release
from dmz.promotion.wording import printable

RECORDS: Final = "releases/"
"""Prefix of the objects `releases/<project>/<location>/<workload>/<UTC stamp>-<release digest>.json`."""
YOUNG: Final = timedelta(days=1)
"""What came later than this long ago is never deleted: a sync may be at work with it."""

_VERSION: Final = 1
_PART: Final = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_NAME: Final = re.compile(
    rf"{RECORDS}(?P<project>{_PART})/(?P<location>{_PART})/(?P<workload>{_PART})/"
    r"[0-9]{8}T[0-9]{6}\.[0-9]{6}Z-(?P<digest>[0-9a-f]{64})\.json"
)


@dataclass(frozen=True, order=True)
class Stack:
    """One workload of one inner stack: of each, a number of releases is kept."""

    project: str
    location: str
    workload: str

    def __str__(self) -> str:
        return f"{self.workload} in {self.project}/{self.location}"


@dataclass(frozen=True)
class Gone:
    """An inner stack that is gone for good, or one workload of it, as somebody named it."""

    text: str
    project: str
    location: str
    """Empty: wherever it was."""
    workload: str
    """Empty: all of them."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `PROJECT`, `PROJECT/LOCATION` or `PROJECT/LOCATION/WORKLOAD`.

        Raises:
            InputError: it is none of these.
        """
        parts = text.split("/")
        if len(parts) > 3 or not all(re.fullmatch(_PART, part) for part in parts):
            raise InputError(
                f"'{printable(text, 120)}' names no inner stack; write PROJECT, PROJECT/LOCATION or "
                "PROJECT/LOCATION/WORKLOAD as `dmz archive show` has them"
            )
        return cls(text, *(*parts, "", "")[:3])

    def fits(self, stack: Stack) -> bool:
        """Whether it is meant."""
        return (
            self.project == stack.project
            and self.location in ("", stack.location)
            and self.workload in ("", stack.workload)
        )


@dataclass(frozen=True)
class Record:
    """That a release was about to go into an inner stack: the name of the object says so much."""

    stack: Stack
    digest: str
    """Of the release."""
    created: datetime
    """By the archive's clock, UTC."""
    name: str
    """Of the object."""

    @classmethod
    def of(cls, name: str, created: datetime) -> Self:
        """Read an object's name.

        Raises:
            InputError: it is no record's.
        """
        found = _NAME.fullmatch(name)
        if found is None:
            raise InputError(f"{printable(name, 300)} is not called like a record of a release; {_REMEDY}")
        stack = Stack(found["project"], found["location"], found["workload"])
        return cls(stack, found["digest"], created, name)

    def parse(self, body: bytes) -> Release:
        """The release, whose lock files are the content: by its digest nobody can have changed it.

        Raises:
            InputError: that can't be told, or it is another release than its name says.
        """
        try:
            document = json.loads(body)
            version, locks = document["version"], document["locks"]
            bodies = {str(name): text.encode() for name, text in locks.items()} if version == _VERSION else {}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise InputError(f"{self.name} can't be read as a record of a release; {_REMEDY}") from None
        if version != _VERSION:
            raise InputError(
                f"{self.name} is of version {printable(str(version), 20)}, known is {_VERSION}; use the dmz "
                "that wrote it"
            )
        try:
            release = Release.parse(self.stack.workload, bodies, self.name)
        except InputError as error:
            raise InputError(f"{error}; {_REMEDY}") from None
        if release.digest != self.digest:
            raise InputError(f"{self.name} has another release than its name says; {_REMEDY}")
        return release


_REMEDY: Final = (
    "nothing is pruned before somebody looked at it: who may act as the archivist deletes it; the next sync "
    "writes a new one if its release is still in use"
)


def folder_of(stack: Stack) -> str:
    """The prefix of a stack's records."""
    return f"{RECORDS}{stack.project}/{stack.location}/{stack.workload}/"


def name_of(stack: Stack, digest: str, now: datetime) -> str:
    """The name of a new record; its time is for people, the archive says which is the newest."""
    return f"{folder_of(stack)}{now.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}-{digest}.json"


def render(release: Release) -> bytes:
    """The content of a record: the same release gives the same bytes."""
    locks = {name: body.decode() for name, body in release.files.items()}
    return json.dumps({"version": _VERSION, "locks": locks}, sort_keys=True).encode()


def newest_of(records: Iterable[Record]) -> list[Record]:
    """The same records, the newest first; the name decides between two of one moment."""
    return sorted(records, key=lambda each: (each.created, each.name), reverse=True)


@dataclass(frozen=True)
class Retention:
    """What is kept, and what the rest is."""

    kept: tuple[Record, ...]
    """The newest record of each release that is kept, the newest release first in its stack."""
    old: tuple[Record, ...]
    """All other records, by name."""

    @property
    def stacks(self) -> dict[Stack, list[Record]]:
        """The kept releases by stack, the newest first."""
        found: dict[Stack, list[Record]] = {}
        for record in self.kept:
            found.setdefault(record.stack, []).append(record)
        return found


def retain(records: Iterable[Record], newest: int, forgotten: Collection[Record] = ()) -> Retention:
    """Keep the newest releases of each stack; one that was there several times counts with its last time.

    Args:
        newest: how many, at least 1.
        forgotten: records that keep nothing, however new they are.
    """
    if newest < 1:
        raise ValueError(newest)
    kept: dict[Stack, dict[str, Record]] = {}
    old: list[Record] = []
    for record in newest_of(records):
        if record in forgotten:
            old.append(record)
            continue
        releases = kept.setdefault(record.stack, {})
        if record.digest in releases or len(releases) >= newest:
            old.append(record)
        else:
            releases[record.digest] = record
    return Retention(
        tuple(record for _, releases in sorted(kept.items()) for record in releases.values()),
        tuple(sorted(old, key=lambda each: each.name)),
    )


def expendable(created: Mapping[str, datetime], needed: Collection[str], now: datetime) -> list[str]:
    """The SHA-256 of what may go: what no kept release names, and is not young.

    Args:
        created: when each file came into the archive, by its SHA-256; UTC.
        needed: the SHA-256 of every file that a kept release names.
    """
    return sorted(sha256 for sha256, when in created.items() if sha256 not in needed and now - when >= YOUNG)
