"""Advisories: OSV records, and which of them concern a version (https://ossf.github.io/osv-schema/)."""

from dmz.promotion.advisories.database import Database, cache_folder

__all__ = ["Database", "cache_folder"]
