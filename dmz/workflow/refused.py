"""What ends a screening that writes no release."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dmz.errors import RefusedError

if TYPE_CHECKING:  # every command imports this, and few the rest
    from dmz.promotion.summary import Refusal


class ScreeningRefusedError(RefusedError):
    """No release was written: something is refused and nothing takes its place."""

    def __init__(self, message: str, refusals: Sequence[Refusal]) -> None:
        super().__init__(message)
        self.refusals = tuple(refusals)
