"""Whether the checkout is what was merged: what is signed has been reviewed, and that is what is in git.

Files are compared with HEAD by git's own digest of their bytes (gitformat-loose(5)): no filter, no ignored
file, no flag of the index, no replacement (git-replace(1)) and no variable of the environment hides a change.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from dmz.errors import InputError, RefusedError
from dmz.promotion.wording import printable


def merged(checkout: Path, paths: Sequence[PurePosixPath]) -> str:
    """The commit that has these files and folders as they are here.

    Args:
        paths: relative to the checkout; what is neither here nor in the commit is the same in both.

    Raises:
        RefusedError: HEAD has them otherwise, nothing is committed, or this is no checkout of git's.
        InputError: git is missing, or does not answer.
    """
    if not any((folder / ".git").exists() for folder in (checkout, *checkout.parents)):
        raise RefusedError(
            f"{checkout} is no checkout of git's, and only what was merged is attested; check out the commit "
            "that was merged (git clone), and attest there"
        )
    head = _git(checkout, "rev-list", "--max-count=1", "HEAD", "--")
    if head is None:
        raise RefusedError(f"{checkout}: nothing is committed yet; attest what was merged")
    commit = head.decode().strip()
    known = _committed(checkout, commit, paths)
    present = dict(_present(checkout, paths, "sha256" if len(commit) == 64 else "sha1"))
    different = sorted(name for name in {*known, *present} if known.get(name) != present.get(name))
    if different:
        more = f" and {len(different) - 1} more" if len(different) > 1 else ""
        raise RefusedError(
            f"{printable(different[0])}{more}: not as commit {commit[:12]} has it, and only what was merged "
            "is attested; commit it and have it merged, or put it back (git checkout -- FILE)"
        )
    return commit


def _committed(checkout: Path, commit: str, paths: Iterable[PurePosixPath]) -> dict[str, str]:
    """Digest by path of the blobs below some paths."""
    listed = _git(checkout, "ls-tree", "-r", "-z", commit, "--", *map(str, paths))
    if listed is None:
        raise InputError(f"{checkout}: git can't read commit {commit[:12]}; fetch it again")
    entries = (each.split("\t", 1) for each in listed.decode(errors="surrogateescape").split("\0") if each)
    return {name: about.split(" ")[2] for about, name in entries}


def _present(checkout: Path, paths: Iterable[PurePosixPath], algorithm: str) -> Iterable[tuple[str, str]]:
    """The same of the files that are here."""
    for path in paths:
        place = checkout / path
        files = (each for each in place.rglob("*") if each.is_file()) if place.is_dir() else (place,)
        for file in files:
            if file.is_file():
                body = file.read_bytes()
                # As git names a blob; for SHA-1 that is a name, and what is signed is SHA-256.
                digest = hashlib.new(algorithm, b"blob %d\0" % len(body) + body, usedforsecurity=False)
                yield file.relative_to(checkout).as_posix(), digest.hexdigest()


def _git(checkout: Path, *arguments: str) -> bytes | None:
    """What git answers; None if it can't.

    Raises:
        InputError: it is not there, or not allowed to look.
    """
    options = ("--no-optional-locks", "--no-replace-objects", "--literal-pathspecs", "-C", str(checkout))
    # As in a hook of git's, a variable may name another repository than the checkout's.
    env = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", *options, *arguments], capture_output=True, check=False, env=env | {"LC_ALL": "C"}
        )
    except FileNotFoundError:
        raise InputError("git is not installed; it tells what was merged: install it") from None
    if b"dubious ownership" in done.stderr:
        raise InputError(
            f"{checkout}: git does not trust a checkout of somebody else's; "
            f"git config --global --add safe.directory {checkout}"
        )
    return None if done.returncode else done.stdout
