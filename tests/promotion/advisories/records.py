"""Records, archives and damage for tests of the advisories."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

MODIFIED = "2026-01-01T00:00:00Z"


def record(
    events: list[dict[str, str]] | None = None,
    name: str = "thing",
    ecosystem: str = "PyPI",
    identity: str = "GHSA-1",
    **more: Any,
) -> dict[str, Any]:
    """A record about one package; `affected` adds to what it says of the package."""
    affected: dict[str, Any] = {"package": {"ecosystem": ecosystem, "name": name}}
    if events is not None:
        affected["ranges"] = [{"type": "ECOSYSTEM", "events": events}]
    affected |= more.pop("affected", {})
    return {"id": identity, "modified": MODIFIED, "affected": [affected]} | more


def packed(*records: dict[str, Any], comment: bytes = b"", method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive as the databases are published: `<id>.json` for each record."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for each in records:
            archive.writestr(f"{each['id']}.json", json.dumps(each))
        archive.comment = comment
    return buffer.getvalue()


ALL: list[dict[str, str]] = [{"introduced": "0"}]
"""Events of a range with every version."""
