"""`dmz withdraw --now`, against an inner side of these tests."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dmz.promotion.withdrawal import Wanted
from dmz.sync.inputs import Inputs
from dmz.workflow.estate import Estate
from dmz.workflow.withdraw import withdraw
from tests.faults.world import LOCATION, SYNC


class _Up(Estate):
    """A checkout whose stacks are up."""

    project = ""

    @property
    def releases(self) -> Path:
        return self.folder / "none"

    def inner_outputs(self) -> Mapping[str, Any]:
        return {
            "side": "inner",
            "project": self.project,
            "location": LOCATION,
            "pythonRepository": "python",
            "aptRepository": "apt",
            "releaseBucket": f"{self.project}-release",
            "reportsBucket": f"{self.project}-reports",
        }

    def outer_outputs(self) -> Mapping[str, Any]:
        return {"side": "outer", "syncServiceAccount": SYNC}


def withdraw_now(inputs: Inputs, _: frozenset[str], text: str) -> None:
    """Withdraw what `text` names."""
    estate = _Up(Path())
    estate.project = inputs.project
    asyncio.run(withdraw(estate, Wanted.parse(text), "CVE-2026-1", lambda _: None))
