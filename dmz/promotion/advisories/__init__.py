"""Advisories: OSV records, and which of them concern a version (https://ossf.github.io/osv-schema/)."""
