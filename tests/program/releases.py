"""Releases to deploy."""

from __future__ import annotations

from pathlib import Path

from dmz.artifact import Artifact, Kind
from dmz.promotion import release
from dmz.promotion.entry import Entry
from dmz.promotion.release import Release

DEB = Entry(
    Artifact(Kind.APT, "git", "amd64", "1:2.39.5-0", "git_2.39.5-0_amd64.deb", "a" * 64, 7, "apt-bookworm"),
    source="git",
    source_version="1:2.39.5-0",
)
WHEEL = Entry(Artifact(Kind.PYPI, "jax", "", "0.4", "jax-0.4-py3-none-any.whl", "b" * 64, 8, "python-remote"))
ENTRIES = (DEB, WHEEL)


def write_release(
    folder: Path, *entries: Entry, workload: str = "small", runtime: str = "sandbox-debian-12"
) -> Release:
    """Write the lock files of a release with these entries into `folder`."""
    written = Release(workload, "c" * 64, runtime, "d" * 64, "3.11", entries)
    release.write(written, folder)
    return written
