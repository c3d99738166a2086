"""Attestations of who published a file (PEP 740)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import BeforeValidator, Field

from dmz.promotion.rules.rule import Case, DistributionRule, Observation
from dmz.promotion.rules.settings import Distribution, unique


def _all(value: object) -> object:
    if isinstance(value, str):
        if value == "all":
            return None
        raise ValueError('write a list of names, or "all"')
    if value == []:
        raise ValueError('it requires nothing of anybody; write names, or "all"')
    return value


Names = Annotated[tuple[Distribution, ...], Field(strict=False), unique("name")]


class AttestationsRule(DistributionRule):
    """Whose files have to come with a publisher's attestation."""

    kind = "attestations"

    required: Annotated[Names | None, BeforeValidator(_all)]
    """Names; None stands for `all`."""

    def look(self, case: Case) -> Iterable[Observation]:
        """Whether the file says who published it."""
        publisher = case.evidence.publisher
        if publisher is not None:
            yield Observation(f"published by {publisher}")
        elif self.required is None or case.artifact.name in self.required:
            yield self.against("no attestation says who published it")
        else:
            yield Observation("no attestation, and none is required")
