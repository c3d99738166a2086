"""Going back to a release that git remembers, or forward again."""

from __future__ import annotations

from dataclasses import dataclass

from dmz.errors import InputError
from dmz.promotion import lockfiles
from dmz.promotion import release as releases
from dmz.promotion.release import Release
from dmz.promotion.wording import printable
from dmz.promotion.workload import workload_digest
from dmz.workflow.estate import Estate
from dmz.workflow.release_history import History, beside


@dataclass(frozen=True)
class Used:
    """A release that was put into the checkout."""

    release: Release
    commit: str
    changed: bool
    """Whether the checkout had another one."""
    other_workload: bool
    """Whether the checkout's workload file is another than the one that was screened then."""


def use(estate: Estate, text: str, workload: str | None = None) -> Used:
    """Restore a release's lock files, bill of materials and review; all of them or none.

    Args:
        text: the beginning of a release digest, or a git revision.
        workload: whose release; the stack's own unless a digest says otherwise.

    Raises:
        InputError: there is no such release, it is not whole, or what would be written over is not committed.
    """
    history = History(estate.folder, estate.releases)
    recorded = history.find(text, [workload] if workload else history.known())
    if recorded:
        commit, workload = recorded.commit, recorded.workload
    else:
        commit, workload = history.commit(text), workload or estate.workload.name
    release = history.release(commit, workload)
    if release is None:
        raise InputError(
            f"{printable(text, 80)} has no release of {printable(workload, 80)}; see `dmz release list`"
        )
    if recorded and release.digest != recorded.digest:
        raise InputError(
            f"{commit[:10]}: the release of {workload} is {release.digest}, not {recorded.digest}"
        )
    names = [*lockfiles.names(workload), *beside(workload)]
    if changed := history.uncommitted(names):
        raise InputError(
            f"{estate.releases.name}/{changed[0]} has changes that are not committed, which would be lost; "
            f"commit them, or put them aside with: git stash -u -- {estate.releases.name}"
        )
    written = releases.write(release, estate.releases, history.files(commit, beside(workload)))
    own = estate.workload
    other = own.name == workload and workload_digest(own) != release.workload_digest
    return Used(release, commit, written, other)
