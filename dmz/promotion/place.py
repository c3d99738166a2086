"""Places in a repository: where one file stands, and what goes together when a version is deleted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from dmz.artifact import Artifact, Kind
from dmz.promotion import versions
from dmz.registries.interface import Stored

Slot = tuple[Kind, str, str, str]
Unit = tuple[Kind, str, str]


def slot(item: Artifact | Stored) -> Slot:
    """The place in a repository that holds one content, and refuses another one for good.

    A Python repository tells files apart by name, an apt repository by package, version and architecture.
    In a bucket each content has a place of its own, named by the digest that it should have.
    """
    match item.kind:
        case Kind.PYPI:
            return item.kind, item.name, "", item.filename
        case Kind.APT:
            return item.kind, item.name, item.architecture, item.version
        case Kind.FILE:
            return item.kind, item.name, "", item.version


def unit(item: Artifact | Stored) -> Unit:
    """What goes when a version is deleted: all its files, of every architecture."""
    return item.kind, item.name, versions.normalised(item.kind, item.version)


Item = TypeVar("Item", Artifact, Stored)


def by_kind(items: Iterable[Item]) -> dict[Kind, list[Item]]:
    """The same in their order, by the kind of repository that has them."""
    found: dict[Kind, list[Item]] = {}
    for item in items:
        found.setdefault(item.kind, []).append(item)
    return found
