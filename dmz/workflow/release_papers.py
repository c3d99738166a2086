"""What is written beside a release's lock files: the bill of materials and the review."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dmz.errors import InputError
from dmz.promotion import release as releases
from dmz.promotion import review, sbom
from dmz.promotion.difference import Side
from dmz.promotion.release import Release
from dmz.promotion.review import Review
from dmz.promotion.screening import Screening
from dmz.promotion.verdict import Verdict
from dmz.workflow.estate import Estate
from dmz.workflow.release_compare import in_git, on_disk
from dmz.workflow.release_history import History


def papers(
    estate: Estate,
    release: Release,
    verdicts: Sequence[Verdict],
    screening: Screening,
    *,
    refusals: Sequence[str] = (),
    closure: Sequence[str] = (),
    unproved: Sequence[str] = (),
) -> dict[str, bytes]:
    """The files that stand beside the lock files, by name.

    Args:
        estate: of the release's workload.
        release: what was admitted.
        verdicts: of its entries.
        screening: that gave them.
        refusals: what was refused on the way and what was taken instead, in words.
        closure: what was proved of its installation, in words.
        unproved: what was not.
    """
    bill = sbom.sbom(release, estate.workload, estate.base_image, (each.evidence for each in verdicts))
    found = Review.of(
        release,
        former(estate, release),
        verdicts,
        screening,
        refusals=refusals,
        closure=closure,
        unproved=unproved,
        bill=bill,
    )
    path = estate.releases / review.name(release.workload)
    return {sbom.name(release.workload): bill, path.name: review.body(found, _content(path))}


def former(estate: Estate, release: Release) -> Side:
    """The release that a review compares this one with: the newest other one that was committed.

    So a review stays the same when its release is committed. Where there is no git, it is the release that
    the folder has now.
    """
    workload = release.workload
    try:
        history = History(estate.folder, estate.releases)
    except InputError:
        present = workload in releases.released(estate.releases)
        side = on_disk(estate.releases, workload) if present else Side(None)
        return side if side.release != release else Side(None)
    recorded = history.former(workload, release.digest)
    return in_git(history, recorded.commit, workload) if recorded else Side(None)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if path.exists() else None
    except OSError as error:
        raise InputError(f"{path} is unreadable ({error.strerror}); make it readable") from None
