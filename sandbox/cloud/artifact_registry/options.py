"""What is not known of the real service, and what of it is on here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Options:
    """How the data planes behave where the public documentation is silent or a test needs another answer."""

    json_index: bool = False
    """Answer PEP 691 JSON to clients that ask for it. Not confirmed of the service: off."""
    yanked: bool = True
    """Repeat upstream's yanks (PEP 592) in a remote's index. Not confirmed either, but without it a remote
    would offer what upstream took back."""
    python_index_seconds: int = 3600
    """How long a remote keeps an index page of the Python upstream before it asks again."""
    apt_index_seconds: int = 120
    """How long a remote keeps a suite's `InRelease` before it asks again."""


DEFAULT: Final = Options()
