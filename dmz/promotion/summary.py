"""The run's report for people and scripts: `report.json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from dmz.artifact import Kind
from dmz.promotion.base_image import BaseImage
from dmz.promotion.evidence import Source
from dmz.promotion.probes import Observed, Probe
from dmz.promotion.purl import purl
from dmz.promotion.refusal import Remedy
from dmz.promotion.transfer import Counters
from dmz.promotion.verdict import Verdict


@dataclass(frozen=True, order=True)
class Refusal:
    """One reason that kept one artifact out."""

    purl: str
    advisory: str
    """Its best known name: the CVE, where there is one; `policy:RULE` for a rule about something else."""
    fixed: tuple[str, ...]
    """Versions that mend it, as the advisory says."""
    remedy: str | None
    """The version that passes everything; None when there is none."""
    rule: str = ""
    """The policy's name of the rule that refused it."""
    words: str = ""
    """What the rule saw."""

    def document(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "purl": self.purl,
            "rule": self.rule,
            "advisory": self.advisory,
            "words": self.words,
            "fixed": list(self.fixed),
            "remedy": self.remedy,
        }

    @classmethod
    def of(cls, verdict: Verdict, remedy: Remedy | None, image: BaseImage) -> list[Refusal]:
        """One for each reason of a verdict."""
        name = purl(verdict.entry.artifact, image)
        version = remedy.version if remedy else None
        return [
            cls(name, each.id, each.finding.fixed if each.finding else (), version, each.rule, each.words)
            for each in verdict.refusals
        ]


@dataclass(frozen=True)
class Summary:
    """What a run did and found."""

    workload: str
    release_digest: str
    engine: Literal["cli", "embedded"]
    discovered: Mapping[str, int]
    installed: Mapping[str, int]
    refused: Sequence[Refusal]
    network_sealed: bool
    perimeter_sealed: bool
    """Whether a service perimeter is enforced; without one, the stack is NOT SEALED."""
    sync: Counters
    outer_probes: Sequence[Probe]
    inner_probes: Sequence[Probe]
    verified: bool
    seconds: Mapping[str, float] = field(default_factory=dict)
    """By step."""
    policy: str = ""
    """SHA-256 of the policy's file."""
    sources: Sequence[Source] = ()
    """What was asked for findings."""
    remarks: Mapping[str, int] = field(default_factory=dict)
    """What stays of what was admitted: how many waived, noted, warned of, on trial."""

    @property
    def open_ways(self) -> tuple[str, ...]:
        """What is not sealed, each in words; empty when there is no way out at all."""
        found = []
        if not self.network_sealed:
            found.append("NOT SEALED: a way out of the network is open, or nothing shows that it is closed")
        if not self.perimeter_sealed:
            found.append("NOT SEALED: no service perimeter")
        return tuple(found)

    def document(self) -> dict[str, Any]:
        """The content of `report.json`."""
        return {
            "workload": self.workload,
            "release_digest": self.release_digest,
            "engine": self.engine,
            "discovered": dict(self.discovered),
            "installed": dict(self.installed),
            "policy": self.policy,
            "sources": {
                each.name: {"as_of": each.as_of and f"{each.as_of:%Y-%m-%dT%H:%M:%SZ}", "sha256": each.digest}
                for each in self.sources
            },
            "refused": [
                each.document() for each in sorted(self.refused, key=lambda each: (each.purl, each.advisory))
            ],
            "remarks": dict(self.remarks),
            "sealed": {"network": self.network_sealed, "perimeter": self.perimeter_sealed},
            "open": list(self.open_ways),
            "sync": {
                "copied": self.sync.copied,
                "kept": self.sync.kept,
                "withdrawn": self.sync.withdrawn,
                "bytes": self.sync.bytes,
                "seconds": round(self.sync.seconds, 3),
            },
            "probes": [
                *(_row(probe, "outer", Observed.REACHED) for probe in self.outer_probes),
                *(_row(probe, "inner", Observed.BLOCKED) for probe in self.inner_probes),
            ],
            "verified": self.verified,
            "seconds": {step: round(value, 3) for step, value in self.seconds.items()},
        }


def _row(probe: Probe, machine: str, expected: Observed) -> dict[str, str]:
    return {"name": probe.name, "from": machine, "expected": str(expected), "observed": str(probe.observed)}


def counts(kinds: Iterable[Kind]) -> dict[str, int]:
    """How many debs, distributions and files: `{"apt": n, "pypi": n, "files": n}`."""
    found = Counter(kinds)
    return {str(kind): found[kind] for kind in (Kind.APT, Kind.PYPI, Kind.FILE)}
