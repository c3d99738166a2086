"""The releases that git remembers: which there were, when, by whom; and any of them again.

Only reads, by git's plumbing commands (git-rev-parse(1), git-log(1), git-cat-file(1), git-ls-tree(1),
git-status(1)). Blobs are read as they were committed: no filter, no end-of-line conversion.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dmz.errors import InputError
from dmz.promotion import lockfiles, review, sbom
from dmz.promotion import release as releases
from dmz.promotion.release import Release
from dmz.promotion.wording import printable

_DIGEST: Final = re.compile(r"[0-9a-f]{7,64}")
_UNIT: Final = "\x1f"


@dataclass(frozen=True)
class Recorded:
    """A release as a commit has it."""

    workload: str
    digest: str
    """SHA-256 of the checksum file, which names the release."""
    commit: str
    date: str
    """When the commit was authored; ISO 8601 with its zone."""
    author: str
    subject: str
    """The first line of the commit's message."""

    def __str__(self) -> str:
        return (
            f"{self.digest[:12]}  {self.date[:10]}  {self.commit[:10]}  {self.workload}  "
            f"{printable(self.author, 40)}: {printable(self.subject, 60)}"
        )


def beside(workload: str) -> tuple[str, str]:
    """The files that stand beside a workload's lock files: bill of materials and review."""
    return sbom.name(workload), review.name(workload)


class History:
    """The git history of a checkout's folder of releases."""

    def __init__(self, checkout: Path, folder: Path) -> None:
        """Args:
            checkout: where `Pulumi.yaml` is.
            folder: of the lock files, inside the checkout.

        Raises:
            InputError: the checkout is not in a git repository, or git is not there.
        """
        self._checkout = checkout
        self._folder = folder.relative_to(checkout).as_posix()
        self._run("rev-parse", "--show-prefix")

    @property
    def shallow(self) -> bool:
        """Whether the clone's history is cut, so that earlier releases are not in it."""
        return self._run("rev-parse", "--is-shallow-repository").strip() == b"true"

    def commit(self, revision: str) -> str:
        """The commit that a revision names.

        Raises:
            InputError: there is none.
        """
        found = self._try("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        if found is None:
            cut = " (this clone is shallow: `git fetch --unshallow` brings the rest)" if self.shallow else ""
            raise InputError(
                f"'{printable(revision, 80)}' is no release digest in this history (7 digits or more), no "
                f"git revision and no folder; `dmz release list` shows what there is{cut}"
            )
        return found.decode().strip()

    def workloads(self, commit: str) -> list[str]:
        """The workloads that have a release in a commit, sorted."""
        listed = self._run("ls-tree", "-z", "--name-only", commit, "--", f"{self._folder}/")
        present = [Path(name).name for name in listed.decode(errors="replace").split("\0") if name]
        return releases.named(present)

    def release(self, commit: str, workload: str) -> Release | None:
        """A workload's release as a commit has it; None if there is none.

        Raises:
            InputError: it is there and does not read.
        """
        names = lockfiles.names(workload)
        bodies = {name: body for name, body in self.files(commit, names).items() if body is not None}
        return Release.parse(workload, bodies, commit[:10]) if bodies else None

    def files(self, commit: str, names: Iterable[str]) -> dict[str, bytes | None]:
        """Files of the folder as a commit has them; None for one that it does not have."""
        names = list(names)
        return dict(
            zip(names, self._blobs([f"{commit}:./{self._folder}/{name}" for name in names]), strict=True)
        )

    def log(self, workload: str) -> list[Recorded]:
        """A workload's releases in the history of HEAD, the newest first; one that came back stands twice."""
        checksums = lockfiles.names(workload)[-1]
        # What stands beside the locks may be written anew for the same release: its newest commit counts.
        paths = [f"{self._folder}/{name}" for name in (checksums, *beside(workload))]
        found = self._try("log", "-z", f"--format=%H{_UNIT}%aI{_UNIT}%an{_UNIT}%s", "HEAD", "--", *paths)
        rows = [row.split(_UNIT) for row in (found or b"").decode(errors="replace").split("\0") if row]
        bodies = self._blobs([f"{row[0]}:./{self._folder}/{checksums}" for row in rows])
        recorded: list[Recorded] = []
        for (commit, date, author, subject), body in zip(rows, bodies, strict=True):
            digest = hashlib.sha256(body).hexdigest() if body is not None else ""
            if digest and not (recorded and recorded[-1].digest == digest):
                recorded.append(Recorded(workload, digest, commit, date, author, subject))
        return recorded

    def known(self) -> list[str]:
        """The workloads that have, or once had, a release in the history of HEAD, sorted."""
        found = self._try("log", "-z", "--format=", "--name-only", "--no-renames", "HEAD", "--", self._folder)
        present = {Path(name.strip()).name for name in (found or b"").decode(errors="replace").split("\0")}
        return releases.named(present)

    def find(self, digest: str, workloads: Sequence[str]) -> Recorded | None:
        """The newest commit that has the release of this digest; None if no digest begins like this.

        Raises:
            InputError: several do.
        """
        if not _DIGEST.fullmatch(digest):
            return None
        found = {
            each.digest: each
            for workload in workloads
            for each in reversed(self.log(workload))
            if each.digest.startswith(digest)
        }
        if len(found) > 1:
            raise InputError(f"'{digest}' begins {len(found)} release digests; give more digits")
        return next(iter(found.values()), None)

    def former(self, workload: str, digest: str) -> Recorded | None:
        """The newest committed release of a workload that is another than the one of this digest."""
        return next((each for each in self.log(workload) if each.digest != digest), None)

    def uncommitted(self, names: Iterable[str]) -> list[str]:
        """Which of these files of the folder are not as HEAD has them, or not in it."""
        paths = [f"{self._folder}/{name}" for name in names]
        options = ("--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--ignored")
        listed = self._run("status", *options, "--", *paths)
        return sorted(Path(row[3:]).name for row in listed.decode(errors="replace").split("\0") if row)

    def _blobs(self, specs: Sequence[str]) -> list[bytes | None]:
        if not specs:
            return []
        output = self._run("cat-file", "--batch", stdin="\n".join(specs).encode() + b"\n")
        found: list[bytes | None] = []
        at = 0
        for _ in specs:
            end = output.index(b"\n", at)
            head, at = output[at:end].split(b" "), end + 1
            if len(head) == 3 and head[1] == b"blob":
                found.append(output[at : at + int(head[2])])
            else:
                found.append(None)
            if len(head) == 3 and head[2].isdigit():
                at += int(head[2]) + 1
        return found

    def _run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        done = self._git(arguments, stdin)
        if done.returncode:
            said = printable(done.stderr.decode(errors="replace"), 200) or f"exit code {done.returncode}"
            raise InputError(f"{self._checkout}: git {arguments[0]}: {said}; releases of the past are in git")
        return done.stdout

    def _try(self, *arguments: str) -> bytes | None:
        done = self._git(arguments, b"")
        return None if done.returncode else done.stdout

    def _git(self, arguments: Sequence[str], stdin: bytes) -> subprocess.CompletedProcess[bytes]:
        command = ["git", "--no-optional-locks", "--literal-pathspecs", "-C", str(self._checkout), *arguments]
        try:
            return subprocess.run(command, input=stdin, capture_output=True, check=False)
        except FileNotFoundError:
            raise InputError("git is not installed; releases of the past are in git: install it") from None
