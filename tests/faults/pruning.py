"""`dmz archive prune`, with a yes to all that it would delete."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dmz.promotion import retention
from dmz.workflow.archive import prune, show
from dmz.workflow.estate import Estate
from tests.faults.world import ARCHIVIST, LOCATION


class _Outer(Estate):
    """An outer stack that is up, with this archive."""

    archive = ""

    def outer_outputs(self) -> Mapping[str, Any]:
        return {
            "side": "outer",
            "project": "outer",
            "location": LOCATION,
            "archiveBucket": self.archive,
            "archivistServiceAccount": ARCHIVIST,
        }


def prune_all(folder: Path, archive: str) -> None:
    """Delete all that no kept release names, however young; `folder`: a checkout that keeps one release."""
    estate = _Outer(folder)
    estate.archive = archive
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retention, "YOUNG", timedelta(days=-1))
        agreed = asyncio.run(show(estate, lambda _: None))
        if not agreed.nothing_to_do:
            asyncio.run(prune(estate, agreed, lambda _: None))
