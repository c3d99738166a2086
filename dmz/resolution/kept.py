"""Core metadata that were read before, by the SHA-256 of their wheel, which never means another wheel."""

from __future__ import annotations

import logging
import secrets
from pathlib import Path
from typing import Final

from dmz.cache import cache_folder

_LOG: Final = logging.getLogger(__name__)


class Kept:
    """Metadata that are one repository's word, kept apart from all others'."""

    def __init__(self, whose: str, cache: Path | None = None) -> None:
        """Args:
        whose: names the folder.
        cache: the folder for all; None for the user's.
        """
        self._folder = (cache or cache_folder() / "metadata") / whose
        self._fresh: dict[str, bytes] = {}

    def get(self, sha256: str) -> bytes | None:
        """What is kept of a wheel; None if nothing is."""
        try:
            return self._place(sha256).read_bytes()
        except OSError:
            return None

    def put(self, sha256: str, data: bytes) -> None:
        """Have it kept by the next `write`."""
        self._fresh[sha256] = data

    def write(self) -> None:
        """Keep it for next time; a folder that cannot be written is no reason to stop."""
        part = secrets.token_hex(8)
        try:
            for folder in {sha256[:2] for sha256 in self._fresh}:
                (self._folder / folder).mkdir(parents=True, exist_ok=True)
            for sha256, data in self._fresh.items():
                fresh = self._place(f"{sha256}.{part}")
                fresh.write_bytes(data)
                fresh.replace(self._place(sha256))
        except OSError as error:
            _LOG.info("metadata are not kept: %s", error.strerror)
        self._fresh.clear()

    def _place(self, sha256: str) -> Path:
        return self._folder / f"{sha256[:2]}/{sha256}"
