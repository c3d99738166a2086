"""Property tests here depend on no clock and leave nothing behind."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("promotion", deadline=None, database=None, max_examples=60)
settings.load_profile("promotion")
