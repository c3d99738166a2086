"""Advisories: OSV records, and which of them concern a version (https://ossf.github.io/osv-schema/)."""

from dmz.promotion.advisories.database import Database, cache_folder

Advisories = Database
"""The former name."""

__all__ = ["Advisories", "Database", "cache_folder"]
