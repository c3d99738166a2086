"""Screening: what may enter. Entries against advisories, with reasons and a remedy in plain words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from dmz.artifact import Artifact, Kind
from dmz.promotion import versions
from dmz.promotion.advisories import Advisories
from dmz.promotion.base_image import BaseImage
from dmz.promotion.entry import Entry
from dmz.promotion.finding import Finding, Nature, Severity
from dmz.promotion.versions import PYPI

_SAFE: Final = ".-_~:"


@dataclass(frozen=True)
class Policy:
    """What keeps an artifact out."""

    threshold: Severity
    """Findings of this severity and above; those that nobody rated count as being at it."""


@dataclass(frozen=True)
class Verdict:
    """What screening says of one entry."""

    entry: Entry
    refused_for: tuple[Finding, ...]
    """Findings at or above the threshold; without any, the entry is admitted."""
    noted: tuple[Finding, ...]
    """Findings below the threshold."""

    @property
    def admitted(self) -> bool:
        """Whether it may enter."""
        return not self.refused_for


@dataclass(frozen=True)
class Remedy:
    """The version to take instead of a refused one."""

    version: str
    allowed: bool
    """Whether what was asked for allows it, so that a new resolution finds it."""


class Screening:
    """The advisories, the base image and the policy, ready to judge."""

    def __init__(self, advisories: Advisories, image: BaseImage, policy: Policy) -> None:
        self._advisories = advisories
        self._image = image
        self._policy = policy

    def judge(self, entry: Entry) -> Verdict:
        """One entry. A file has no advisories: what speaks for it is the SHA-256 that its workload names.

        Raises:
            InputError: its version is none.
        """
        artifact = entry.artifact
        match artifact.kind:
            case Kind.PYPI:
                found = self._advisories.findings(PYPI, artifact.name, artifact.version)
            case Kind.APT:
                found = self._advisories.findings(self._image.ecosystem, entry.source, entry.source_version)
            case Kind.FILE:
                found = ()
        return Verdict(
            entry,
            tuple(each for each in found if each.refuses(self._policy.threshold)),
            tuple(each for each in found if not each.refuses(self._policy.threshold)),
        )

    def passing_versions(self, kind: Kind, name: str, candidates: Iterable[str]) -> list[str]:
        """Which versions of a distribution or a Debian source package would be admitted, in rising order.

        What is no version in the ecosystem does not pass.
        """
        ecosystem = PYPI if kind is Kind.PYPI else self._image.ecosystem
        known = {
            text: parsed for text in candidates if (parsed := versions.parse(ecosystem, text)) is not None
        }
        passing = [
            text
            for text in known
            if not any(
                each.refuses(self._policy.threshold)
                for each in self._advisories.findings(ecosystem, name, text)
            )
        ]
        return sorted(passing, key=lambda text: known[text])

    def exclusions(self, name: str, candidates: Iterable[str]) -> list[str]:
        """Constraints that keep a new resolution from a distribution's refused versions: `NAME!=VERSION`."""
        candidates = [text for text in candidates if versions.is_pep440(text)]
        passing = set(self.passing_versions(Kind.PYPI, name, candidates))
        refused = {text for text in candidates if text not in passing}
        return [f"{canonicalize_name(name)}!={text}" for text in sorted(refused, key=Version)]


def remedy(version: str, passing: Sequence[str], asked: Sequence[str]) -> Remedy | None:
    """Which version of a distribution to take instead of a refused one.

    The newest that everybody who asks for it allows; failing that, the next above the refused one, else the
    newest below it. Pre-releases only where there is nothing else.

    Args:
        version: the refused one.
        passing: versions that screening admits.
        asked: requirement strings that bind this distribution.
    """
    final = [text for text in passing if not Version(text).is_prerelease] or list(passing)
    specifiers = [Requirement(text).specifier for text in asked]
    allowed = [text for text in final if all(each.contains(text, prereleases=True) for each in specifiers)]
    if allowed:
        return Remedy(max(allowed, key=Version), True)
    above = [text for text in final if Version(text) > Version(version)]
    if above:
        return Remedy(min(above, key=Version), False)
    return Remedy(max(final, key=Version), False) if final else None


def explain(verdict: Verdict, found: Remedy | None, asked: Sequence[str] = ()) -> str:
    """A refusal as one line: the package, the advisories, and the version that would pass.

    Args:
        verdict: one that refuses.
        found: the remedy, if there is one.
        asked: the requirements that led to the refused version, to name the one to change.
    """
    artifact = verdict.entry.artifact
    reasons = "; ".join(_reason(finding) for finding in verdict.refused_for)
    text = f"{artifact.name} {artifact.version} is refused: {reasons}."
    demand = " and ".join(f"'{each}'" for each in asked)
    if found is None:
        return f"{text} No version of it passes: do without it, or wait for a fixed one."
    if found.allowed:
        return f"{text} Version {found.version} passes" + (f" and {demand} allows it." if demand else ".")
    return f"{text} Version {found.version} would pass" + (
        f", but {demand} does not allow it: change that requirement." if demand else "."
    )


def _reason(finding: Finding) -> str:
    rating = (
        "malicious"
        if finding.nature is Nature.MALWARE
        else str(finding.severity or "no severity given, so refused")
    )
    summary = f": {finding.summary.rstrip('.')}" if finding.summary else ""
    fixed = f", fixed in {' or '.join(finding.fixed)}" if finding.fixed else ", no fixed version"
    return f"{finding.label}, {rating}{summary}{fixed}"


def purl(artifact: Artifact, image: BaseImage) -> str:
    """The package URL (https://github.com/package-url/purl-spec): `pkg:pypi/protobuf@6.31.0`."""
    name, version = quote(artifact.name, safe=_SAFE), quote(artifact.version, safe=_SAFE)
    match artifact.kind:
        case Kind.PYPI:
            return f"pkg:pypi/{name}@{version}"
        case Kind.APT:
            qualifiers = f"arch={artifact.architecture}&distro={image.release}"
            return f"pkg:deb/{image.distribution}/{name}@{version}?{qualifiers}"
        case Kind.FILE:
            return f"pkg:generic/{name}?checksum=sha256:{artifact.sha256}"
