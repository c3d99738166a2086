"""A file that grows by whole lines: a line is there, or it is not, also when the disk is full."""

from __future__ import annotations

import os
from pathlib import Path


class Lines:
    """Appends to one file, which nobody else writes."""

    def __init__(self, path: Path) -> None:
        """Append to `path`, which is made (0600) when it isn't there."""
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def append(self, line: str) -> None:
        """Add a line; it ends in a line feed.

        Raises:
            OSError: there is no room for it, and nothing of it is there.
        """
        end = os.fstat(self._handle).st_size
        rest = memoryview(line.encode())
        try:
            while rest:
                rest = rest[os.write(self._handle, rest) :]
        except OSError:
            os.ftruncate(self._handle, end)
            raise

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)
