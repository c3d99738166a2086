from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace

import pytest

from dmz.artifact import Artifact, Kind
from dmz.errors import TransferError
from dmz.promotion.comparison import compare
from dmz.promotion.copying import Limits, Places
from dmz.promotion.plan import Plan
from dmz.registries.interface import PAGE, Stored
from tests.promotion.builders import deb, wheel
from tests.promotion.memory import Memory

KEPT = tuple(wheel(f"kept{number}") for number in range(PAGE))
"""As many as make a listing of two pages."""


def compared(destination: Memory, *copied: Artifact, kept: tuple[Artifact, ...] = ()) -> list[str]:
    """What the comparison asks of a repository."""
    places = Places({}, {Kind.PYPI: destination, Kind.APT: destination})
    asyncio.run(compare(Plan(copy=copied, keep=kept), places, lambda _: None, Limits(listing=0.0)))
    return destination.log


def holding(*artifacts: Artifact) -> Memory:
    memory = Memory()
    for artifact in artifacts:
        memory.add(artifact, b"wheel")
    return memory


@pytest.mark.parametrize(
    ("copied", "kept", "asked"),
    [
        (1, (), ["list 1"]),
        (2, (), ["list"]),
        (2, KEPT[1:], ["list"]),
        (2, KEPT, ["list 2"]),
        (2, tuple(deb(each.name) for each in KEPT), ["list"]),
        (3, KEPT, ["list"]),
    ],
    ids=["one", "two", "beside almost a page", "beside a page", "beside others", "three"],
)
def test_few_are_asked_for_and_many_are_listed(
    copied: int, kept: tuple[Artifact, ...], asked: list[str]
) -> None:
    wanted = [wheel(f"new{number}") for number in range(copied)]
    assert compared(holding(*wanted), *wanted, kept=kept) == asked


class Blind(Memory):
    """Finds nothing by its name."""

    async def list(self, of: Collection[Artifact] | None = None) -> list[Stored]:
        found = await super().list(of)
        return found if of is None else []


def test_what_is_not_found_by_its_name_is_looked_for_in_everything() -> None:
    jax = wheel("jax")
    memory = Blind()
    memory.add(jax, b"wheel")
    assert compared(memory, jax) == ["list 1", "list"]


def test_nothing_is_there_because_it_was_asked_for() -> None:
    with pytest.raises(TransferError, match="no such file"):
        compared(Memory(), wheel("jax"))


@pytest.mark.parametrize("memory", [Memory(), Blind()], ids=["found", "not found"])
def test_other_bytes_are_seen_however_they_are_looked_for(memory: Memory) -> None:
    jax = wheel("jax")
    memory.add(replace(jax, sha256="0" * 64), b"other")
    with pytest.raises(TransferError, match=rf"approved is SHA-256 {jax.sha256}"):
        compared(memory, jax)
