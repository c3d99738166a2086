"""The release: what was admitted for one workload, kept as lock files in git, named by one digest."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final, Self

from dmz.artifact import Artifact
from dmz.errors import InputError
from dmz.promotion import lockfiles
from dmz.promotion.entry import Entry
from dmz.promotion.lockfiles import names
from dmz.promotion.place import Slot, slot
from dmz.promotion.pylock import Header
from dmz.promotion.wording import printable

_WORKLOAD: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_PYTHON: Final = re.compile(r"3\.\d{1,2}")


@dataclass(frozen=True)
class Release:
    """What may be installed for one workload, and on which base image. It may be empty."""

    workload: str
    workload_digest: str
    """Of the workload file that was screened."""
    runtime: str
    """Base image."""
    dpkg_digest: str
    """Of the base image's packages; a machine with another one refuses to install."""
    python: str
    """Major and minor version that the wheels are for, such as `3.11`."""
    entries: tuple[Entry, ...]
    """Sorted by artifact."""

    def __post_init__(self) -> None:
        for what, value, pattern in (
            ("workload", self.workload, _WORKLOAD),
            ("workload digest", self.workload_digest, _SHA256),
            ("runtime", self.runtime, _WORKLOAD),
            ("dpkg digest", self.dpkg_digest, _SHA256),
            ("Python version", self.python, _PYTHON),
        ):
            if not isinstance(value, str) or not pattern.fullmatch(value):
                raise InputError(f"release: '{printable(str(value), 80)}' is no {what}; {lockfiles.REMEDY}")
        object.__setattr__(self, "entries", tuple(sorted(self.entries, key=lambda entry: entry.artifact)))
        lockfiles.check_unique(self.entries, f"release of {self.workload}")

    @classmethod
    def parse(cls, workload: str, bodies: Mapping[str, bytes], where: str) -> Self:
        """Read the four files from their contents.

        Raises:
            InputError: they are not a release, or not whole.
        """
        header, entries = lockfiles.parse(workload, bodies, where)
        found = cls(
            header.workload,
            header.workload_digest,
            header.runtime,
            header.dpkg_digest,
            header.python,
            tuple(entries),
        )
        # They are as they would be written, or they would not have been read.
        found.__dict__["files"] = {name: bodies[name] for name in names(workload)}
        return found

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """The approved files."""
        return tuple(entry.artifact for entry in self.entries)

    @cached_property
    def files(self) -> dict[str, bytes]:
        """The four lock files by name, the checksums last."""
        header = Header(self.workload, self.workload_digest, self.runtime, self.dpkg_digest, self.python)
        return lockfiles.render(header, self.entries)

    @property
    def digest(self) -> str:
        """The name of the release: SHA-256 of its checksum file."""
        return hashlib.sha256(self.files[names(self.workload)[-1]]).hexdigest()


def named(files: Iterable[str]) -> list[str]:
    """The workloads whose lock files are among these file names, sorted."""
    patterns = [re.compile(re.escape(name).replace("WORKLOAD", "(.+)")) for name in names("WORKLOAD")]
    return sorted({match[1] for name in files for each in patterns if (match := each.fullmatch(name))})


def released(folder: Path) -> list[str]:
    """The workloads that have lock files in a folder, also incomplete ones, sorted; none if it is not there.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return named(path.name for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise InputError(f"{printable(str(folder), 120)}: no folder to read ({error.strerror})") from None


def read(folder: Path, workload: str) -> Release:
    """Read a workload's release.

    Raises:
        InputError: a file is missing or unreadable, or it is not as screening left it.
    """
    if not _WORKLOAD.fullmatch(workload):
        raise InputError(f"'{printable(workload, 80)}' is no workload name; use letters, digits and hyphens")
    bodies: dict[str, bytes] = {}
    for name in names(workload):
        try:
            bodies[name] = (folder / name).read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise InputError(
                f"{folder / name} is unreadable ({error.strerror}); {lockfiles.REMEDY}"
            ) from None
    if not bodies:
        raise InputError(f"{folder} has no release of '{workload}'; run `dmz screen` to make one")
    return Release.parse(workload, bodies, str(folder))


def read_all(folder: Path) -> list[Release]:
    """All releases of a folder, by workload.

    Raises:
        InputError: one of them cannot be read.
    """
    return [read(folder, workload) for workload in released(folder)]


def write(release: Release, folder: Path, beside: Mapping[str, bytes | None] | None = None) -> bool:
    """Write the four lock files, and what stands beside them; all of them or none.

    The files are renamed one after the other, the checksums last: after a crash in between, the release
    does not read, and says so.

    Args:
        release: what to write.
        folder: made if it is not there.
        beside: further files by name; None for one that must not be there.

    Returns:
        Whether any lock file changed.

    Raises:
        InputError: the folder cannot be written; nothing was changed.
    """
    locks = release.files
    files = {**(beside or {}), **locks}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        before = {name: _content(folder / name) for name in files}
        if before == files:
            return False
        with tempfile.TemporaryDirectory(dir=folder, prefix=".release-") as scratch:
            for name, body in files.items():
                if body is not None:
                    _write(Path(scratch, name), body)
            try:
                for name, body in files.items():
                    if body is None:
                        (folder / name).unlink(missing_ok=True)
                    else:
                        Path(scratch, name).replace(folder / name)
            except OSError:
                _restore(folder, before)
                raise
        _sync(folder)
    except OSError as error:
        raise InputError(
            f"{folder}: the release cannot be written ({error.strerror}); make the folder writable"
        ) from None
    return any(before[name] != body for name, body in locks.items())


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _write(path: Path, body: bytes) -> None:
    with path.open("xb") as out:
        out.write(body)
        out.flush()
        os.fsync(out.fileno())


def _restore(folder: Path, before: Mapping[str, bytes | None]) -> None:
    for name, body in before.items():
        if body is None:
            (folder / name).unlink(missing_ok=True)
        else:
            (folder / name).write_bytes(body)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def union(releases: Iterable[Release]) -> list[Artifact]:
    """The artifacts of all releases, each once, with everybody's reasons.

    Raises:
        InputError: two releases approve different bytes under one name, which a repository cannot hold.
    """
    found: dict[Slot, Artifact] = {}
    owner: dict[Slot, str] = {}
    for release in sorted(releases, key=lambda each: each.workload):
        for artifact in release.artifacts:
            place = slot(artifact)
            known = found.setdefault(place, artifact)
            if known.sha256 != artifact.sha256:
                raise InputError(
                    f"{artifact.filename}: the releases of {owner[place]} and {release.workload} approve "
                    "different bytes under this name; run `dmz screen` again for both"
                )
            owner.setdefault(place, release.workload)
            origin = min(known.origin, artifact.origin)
            why = tuple(sorted({*known.why, *artifact.why}))
            if (origin, why) != (known.origin, known.why):
                found[place] = replace(known, origin=origin, why=why)
    return sorted(found.values())
