"""What Artifact Analysis found in Python packages of Artifact Registry: its occurrences, as a source.

It scans Python packages when they are pushed, apt packages not at all, and renews its results as long as a
package is pulled once in 30 days. See
https://cloud.google.com/artifact-analysis/docs/package-scanning-overview and, for the fields,
https://cloud.google.com/artifact-analysis/docs/reference/rest/v1/projects.occurrences
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from packaging.utils import canonicalize_version
from pydantic import BaseModel, ConfigDict, ValidationError

from dmz.errors import TransferError
from dmz.promotion import versions
from dmz.promotion.finding import Finding, Nature, Severity
from dmz.promotion.versions import PYPI
from dmz.promotion.wording import printable, problem

_SEVERITIES: Final[Mapping[str, Severity]] = {
    "MINIMAL": Severity.LOW,
    "LOW": Severity.LOW,
    "MEDIUM": Severity.MEDIUM,
    "HIGH": Severity.HIGH,
    "CRITICAL": Severity.CRITICAL,
}
_SCORES: Final = (
    (9.0, Severity.CRITICAL),
    (7.0, Severity.HIGH),
    (4.0, Severity.MEDIUM),
    (0.1, Severity.LOW),
    (0.0, Severity.NONE),
)
"""Lowest CVSS score of each rank; the same in versions 3.1 and 4.0."""


class _Lenient(BaseModel):
    # The service adds fields; only what is used is looked at.
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class _Version(_Lenient):
    kind: str = ""
    fullName: str = ""  # noqa: N815 - as the service spells it
    name: str = ""

    @property
    def text(self) -> str:
        """Empty for the sentinels that stand for "every" and "none"."""
        return (self.fullName or self.name) if self.kind in ("NORMAL", "") else ""


class _Issue(_Lenient):
    affectedPackage: str = ""  # noqa: N815
    affectedVersion: _Version = _Version()  # noqa: N815
    fixedVersion: _Version = _Version()  # noqa: N815
    effectiveSeverity: str = ""  # noqa: N815


class _Vulnerability(_Lenient):
    packageIssue: list[_Issue] = []  # noqa: N815
    effectiveSeverity: str = ""  # noqa: N815
    severity: str = ""
    cvssScore: float | None = None  # noqa: N815
    shortDescription: str = ""  # noqa: N815


class _Discovery(_Lenient):
    continuousAnalysis: str = ""  # noqa: N815


class _Occurrence(_Lenient):
    resourceUri: str  # noqa: N815
    kind: str
    noteName: str = ""  # noqa: N815
    vulnerability: _Vulnerability | None = None
    discovery: _Discovery | None = None


@dataclass(frozen=True)
class ArtifactAnalysis:
    """The occurrences of some repositories, at the moment when they were asked for."""

    _findings: Mapping[tuple[str, str], Sequence[Finding]]
    """By normalised name and version of the affected package: a scan also looks at what a package needs."""
    as_of: datetime
    """When the service was asked. It renews what it knows by itself, except for `stale`."""
    digest: str
    """SHA-256 over what was found."""
    scanned: int
    """Packages that it ever looked at."""
    stale: tuple[str, ...]
    """Resources whose results it no longer renews: nobody pulled them for 30 days."""
    name = "artifact-analysis"

    @classmethod
    def of(cls, occurrences: Iterable[Mapping[str, Any]], asked: datetime) -> ArtifactAnalysis:
        """Parse occurrences of the kinds VULNERABILITY and DISCOVERY, in the service's own form.

        Args:
            asked: when; UTC.

        Raises:
            TransferError: something is no occurrence.
        """
        findings: dict[tuple[str, str], dict[str, Finding]] = {}
        scanned: dict[str, bool] = {}
        for each in occurrences:
            occurrence = _parse(each)
            if occurrence.discovery:
                scanned[occurrence.resourceUri] = occurrence.discovery.continuousAnalysis == "INACTIVE"
            for issue in occurrence.vulnerability.packageIssue if occurrence.vulnerability else ():
                key = _key(issue.affectedPackage, issue.affectedVersion.text)
                found = _finding(occurrence, issue)
                known = findings.setdefault(key, {})
                known[found.id] = _worse(known.get(found.id), found)
        ordered = {key: tuple(known[name] for name in sorted(known)) for key, known in findings.items()}
        content = json.dumps(
            [[key, [repr(each) for each in found]] for key, found in sorted(ordered.items())]
        )
        return cls(
            ordered,
            asked,
            hashlib.sha256(content.encode()).hexdigest(),
            len(scanned),
            tuple(sorted(resource for resource, stale in scanned.items() if stale)),
        )

    def findings(self, ecosystem: str, name: str, version: str, sha256: str = "") -> tuple[Finding, ...]:
        """What the service said of this version of a Python package; it knows nothing of others."""
        return tuple(self._findings.get(_key(name, version), ())) if ecosystem == PYPI else ()


def _parse(occurrence: Mapping[str, Any]) -> _Occurrence:
    try:
        return _Occurrence.model_validate(occurrence)
    except ValidationError as error:
        raise TransferError(
            f"Artifact Analysis answered with what is no occurrence ({problem(error)}); take it out of the "
            "policy's sources until that is understood"
        ) from None


def _key(name: str, version: str) -> tuple[str, str]:
    parsed = versions.parse(PYPI, version)
    text = version if parsed is None else str(versions.public(parsed))
    return versions.normalised_name(PYPI, name), canonicalize_version(text)


def _finding(occurrence: _Occurrence, issue: _Issue) -> Finding:
    vulnerability = occurrence.vulnerability or _Vulnerability()
    words = (issue.effectiveSeverity, vulnerability.effectiveSeverity, vulnerability.severity)
    rated = next((_SEVERITIES[word] for word in words if word in _SEVERITIES), None)
    if rated is None and vulnerability.cvssScore:  # 0.0 stands for "not set" too
        rated = next((rank for least, rank in _SCORES if vulnerability.cvssScore >= least), None)
    identity = printable(occurrence.noteName.rpartition("/")[2], 80)
    return Finding(
        id=identity,
        aliases=(),
        summary=printable(vulnerability.shortDescription, 160),
        severity=rated,
        fixed=(issue.fixedVersion.text,) if issue.fixedVersion.text else (),
        nature=Nature.MALWARE if identity.startswith("MAL-") else Nature.VULNERABILITY,
        source=ArtifactAnalysis.name,
    )


def _worse(one: Finding | None, other: Finding) -> Finding:
    """Of two sayings about one thing: an unrated one does not hide a rating."""
    if one is None or one.severity is None:
        return other
    return other if other.severity is not None and other.severity > one.severity else one
