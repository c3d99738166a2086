"""The index: records by package in one SQLite file, so that a screening reads what it needs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from dmz.promotion.advisories.stored import Known, Said, known, said_of

_MAPPED: Final = 256 << 20


class Index:
    """An index that is open for reading."""

    def __init__(self, connection: sqlite3.Connection, path: Path | None = None) -> None:
        """Args:
        path: where it is kept; None: nowhere.
        """
        self._connection = connection
        self.path = path
        self.facts: dict[str, str] = dict(connection.execute("SELECT name, value FROM fact"))
        self.ecosystems: dict[str, int] = dict(connection.execute("SELECT name, records FROM ecosystem"))
        """Records of each ecosystem."""

    def said(self, ecosystem: str, name: str) -> list[Said]:
        """What the records say of a package."""
        rows = self._connection.execute(
            "SELECT body FROM concern WHERE ecosystem = ? AND name = ?", (ecosystem, name)
        )
        return [each for (body,) in rows for each in said_of(body)]

    def known(self, numbers: Iterable[int]) -> dict[int, tuple[Known, str]]:
        """Records by number, each with the name of the group that its aliases put it into."""
        rows = self._connection.execute(
            "SELECT number, body, name FROM json_each(?) JOIN record ON number = value "
            "LEFT JOIN grouped ON grouped.record = number",
            (json.dumps(list(numbers)),),
        )
        found = ((number, known(body), group) for number, body, group in rows)
        return {number: (each, group or each.id) for number, each, group in found}


def opened(path: Path, mapped: int = _MAPPED) -> Index:
    """An index that is known to be sound.

    Args:
        mapped: bytes of it that are read where they lie, without a copy.
    """
    address = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
    connection = sqlite3.connect(address, uri=True, check_same_thread=False)
    connection.execute(f"PRAGMA mmap_size = {mapped}")
    return Index(connection, path)
