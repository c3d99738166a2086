"""Where this program keeps what it can make or fetch again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$DMZ_CACHE`, else a folder below the user's cache folder (XDG Base Directory Specification, which
    takes only absolute paths)."""
    if named := os.environ.get("DMZ_CACHE"):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "package-dmz"
