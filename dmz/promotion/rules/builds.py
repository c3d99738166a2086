"""Wheels that were built here from source distributions: the builder is trusted besides the publisher."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

from pydantic import Field

from dmz.promotion.rules.rule import Case, DistributionRule, Observation
from dmz.promotion.rules.settings import Distribution, unique

BUILT: Final = "python-built"
"""The outer repository of what was built."""


class BuildsRule(DistributionRule):
    """Only what is named may have been built from source, and only with its provenance."""

    kind = "builds"

    allow: Annotated[tuple[Distribution, ...], Field(strict=False), unique("name")] = ()

    def look(self, case: Case) -> Iterable[Observation]:
        """How the wheel came to be."""
        entry = case.evidence.entry
        if entry.built is None:
            if case.artifact.origin == BUILT:
                yield self.against("built here, and nothing says from what")
            else:
                yield Observation("a wheel of its publisher")
        elif case.artifact.name in self.allow:
            yield Observation(f"built here from {entry.built.sdist}, which is allowed")
        else:
            yield self.against(f"built here from {entry.built.sdist}, and not on the list of what may be")
