"""What a review says, before it is text."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self

from dmz.promotion.difference import Difference, Side, difference
from dmz.promotion.evidence import Source
from dmz.promotion.release import Release
from dmz.promotion.remarks import Remark, remarks
from dmz.promotion.screening import Screening
from dmz.promotion.standing import findings, stand
from dmz.promotion.verdict import Verdict
from dmz.promotion.waivers import Waiver


@dataclass(frozen=True)
class Review:
    """All that a review says."""

    difference: Difference
    """From the former release to this one; nothing before it for a first one."""
    today: datetime
    """The moment of the screening."""
    policy: str
    """Name of the policy's file."""
    policy_digest: str
    waivers_digest: str
    sbom_digest: str
    """SHA-256 of the bill of materials beside the lock files."""
    sources: Sequence[Source] = ()
    """What was asked for findings."""
    published: Mapping[str, datetime | None] = field(default_factory=dict)
    """When the upstream got an entry, by the artifact's key."""
    refusals: Sequence[str] = ()
    """What was refused on the way and what was taken instead, in words."""
    remarks: Sequence[Remark] = ()
    unused: Sequence[Waiver] = ()
    """Waivers that nothing in the release needs."""
    closure: Sequence[str] = ()
    """What was proved of its installation, a sentence each."""
    unproved: Sequence[str] = ()
    """What was not, with the reason."""

    @classmethod
    def of(
        cls,
        release: Release,
        former: Side,
        verdicts: Sequence[Verdict],
        screening: Screening,
        *,
        refusals: Sequence[str],
        closure: Sequence[str],
        unproved: Sequence[str] = (),
        bill: bytes,
    ) -> Self:
        """The review of a release that a screening admitted.

        Args:
            release: the release.
            former: the one before it.
            verdicts: of the release's entries.
            screening: that gave them.
            refusals: what was refused on the way and what was taken instead, in words.
            closure: what was proved of its installation, in words.
            unproved: what was not.
            bill: the bill of materials.
        """
        evidence = [verdict.evidence for verdict in verdicts]
        before = stand(former.release, screening).verdicts if former.release else ()
        return cls(
            difference=difference(
                replace(former, findings=findings(before)),
                replace(Side.of(release, evidence), findings=findings(verdicts)),
            ),
            today=screening.context.today,
            policy=screening.policy.path.name,
            policy_digest=screening.policy.digest,
            waivers_digest=screening.waivers.digest,
            sbom_digest=hashlib.sha256(bill).hexdigest(),
            sources=screening.sources,
            published={each.entry.artifact.key: each.published for each in evidence},
            refusals=refusals,
            remarks=remarks(verdicts),
            unused=screening.unused(verdicts),
            closure=closure,
            unproved=unproved,
        )
