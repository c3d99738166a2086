"""Shards: one copy shared out among several tasks, without a word between them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

from dmz.artifact import Artifact
from dmz.errors import InputError
from dmz.promotion.place import unit
from dmz.promotion.plan import Plan
from dmz.promotion.wording import printable

MOST: Final = 900
"""Tasks: with so many each has twenty of the 18,000 writes that a region grants in a minute. Of a smaller
share a task could not keep a whole one in reserve, and all together might ask for more than the quota."""

_FORM: Final = re.compile(r"([0-9]{1,5})/([0-9]{1,5})", re.ASCII)
_DIGITS: Final = 16
"""Hexadecimal digits of the SHA-256 that decide: 64 bits, so that no shard is larger by their remainder."""


@dataclass(frozen=True)
class Shard:
    """One of `count` parts of everything, `index` from 1.

    An artifact's SHA-256 alone says in which it is: not the order of the artifacts, not the other ones, not
    the machine, and not Python's hash seed. The same bytes are in one shard, however many names they have,
    so that two tasks never write one object of the archive.

    Another count puts artifacts into other shards, and nothing is lost by it: what is in its place is known
    from the destination's listing, and no shard remembers anything. But tasks that run at the same time
    must have the same count, or some artifacts would be copied twice and others by none of them.
    """

    index: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count <= MOST:
            raise InputError(
                f"shard {self.index}/{self.count}: there is no such shard; write I/N with I from 1 to N, and "
                f"N at most {MOST}"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """A shard as test runners write it: `1/4` to `4/4`.

        Raises:
            InputError: it is not of that form, or there is no such shard.
        """
        match = _FORM.fullmatch(text)
        if not match:
            raise InputError(f"shard '{printable(text, 40)}': write I/N, such as 1/4 for the first of four")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @property
    def share(self) -> float:
        """Its part of what all tasks may ask of a service together."""
        return 1 / self.count

    def has(self, artifact: Artifact) -> bool:
        """Whether it is this shard's to copy."""
        return int(artifact.sha256[:_DIGITS], 16) % self.count == self.index - 1

    def part(self, plan: Plan) -> Plan:
        """What of a plan is this shard's to do: to copy, and to keep.

        Nothing is cleared or withdrawn by a shard, and nothing copied that is `contested`.
        """
        waiting = set(self.contested(plan))
        return Plan(
            copy=tuple(each for each in plan.copy if self.has(each) and each not in waiting),
            keep=tuple(each for each in plan.keep if self.has(each)),
        )

    def contested(self, plan: Plan) -> tuple[Artifact, ...]:
        """What of the shard has to wait until its version is cleared of what nobody approved."""
        clearing = {unit(stored) for stored in plan.clear}
        if not clearing:
            return ()
        return tuple(each for each in plan.copy if self.has(each) and unit(each) in clearing)


WHOLE: Final = Shard()
