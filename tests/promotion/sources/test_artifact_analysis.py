from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from dmz.errors import TransferError
from dmz.promotion.finding import Nature, Severity
from dmz.promotion.sources.artifact_analysis import ArtifactAnalysis

ASKED = datetime(2026, 11, 22, tzinfo=UTC)


def vulnerability(
    note: str = "CVE-2020-1",
    package: str = "thing",
    version: str = "1.0",
    fixed: str = "1.1",
    **more: Any,
) -> dict[str, Any]:
    """An occurrence as the API's reference describes it."""
    return {
        "name": "projects/outer/occurrences/1",
        "resourceUri": "https://us-central1-python.pkg.dev/outer/python-built/thing/1.0",
        "noteName": f"projects/goog-vulnz/notes/{note}",
        "kind": "VULNERABILITY",
        "vulnerability": {
            "severity": "MEDIUM",
            "effectiveSeverity": "MEDIUM",
            "shortDescription": note,
            "packageIssue": [
                {
                    "affectedPackage": package,
                    "affectedVersion": {"kind": "NORMAL", "name": version, "fullName": version},
                    "fixedPackage": package,
                    "fixedVersion": {"kind": "NORMAL", "name": fixed} if fixed else {"kind": "MAXIMUM"},
                    "packageType": "PYPI",
                    **more.pop("issue", {}),
                }
            ],
            **more,
        },
    }


def discovery(state: str = "ACTIVE", resource: str = "thing") -> dict[str, Any]:
    return {
        "resourceUri": resource,
        "kind": "DISCOVERY",
        "discovery": {"continuousAnalysis": state, "lastScanTime": "2026-01-01T00:00:00Z"},
    }


def test_an_occurrence_is_a_finding() -> None:
    source = ArtifactAnalysis.of([vulnerability(package="My.Thing")], ASKED)
    [finding] = source.findings("PyPI", "my-thing", "1.0.0")
    assert (finding.id, finding.severity, finding.fixed) == ("CVE-2020-1", Severity.MEDIUM, ("1.1",))
    assert (finding.nature, finding.source) == (Nature.VULNERABILITY, "artifact-analysis")
    assert source.as_of == ASKED


def test_it_knows_versions_and_python_only() -> None:
    source = ArtifactAnalysis.of([vulnerability()], ASKED)
    assert not source.findings("PyPI", "thing", "1.1")
    assert not source.findings("PyPI", "other", "1.0")
    assert not source.findings("Debian:12", "thing", "1.0")
    assert source.findings("PyPI", "thing", "1.0+cpu")


def test_what_the_package_needs_is_known_by_its_own_name() -> None:
    source = ArtifactAnalysis.of([vulnerability(package="needed", version="3")], ASKED)
    assert source.findings("PyPI", "needed", "3")
    assert not source.findings("PyPI", "thing", "1.0")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"issue": {"effectiveSeverity": "CRITICAL"}}, Severity.CRITICAL),
        ({"issue": {"effectiveSeverity": "MINIMAL"}}, Severity.LOW),
        ({"effectiveSeverity": "SEVERITY_UNSPECIFIED", "severity": "HIGH"}, Severity.HIGH),
        ({"effectiveSeverity": "", "severity": "", "cvssScore": 9.0}, Severity.CRITICAL),
        ({"effectiveSeverity": "", "severity": "", "cvssScore": 8.9}, Severity.HIGH),
        ({"effectiveSeverity": "", "severity": "", "cvssScore": 6.9}, Severity.MEDIUM),
        ({"effectiveSeverity": "", "severity": "", "cvssScore": 0.1}, Severity.LOW),
        ({"effectiveSeverity": "", "severity": "", "cvssScore": 0.0}, None),
        ({"effectiveSeverity": "", "severity": ""}, None),
    ],
)
def test_severity(more: dict[str, Any], expected: Severity | None) -> None:
    [finding] = ArtifactAnalysis.of([vulnerability(**more)], ASKED).findings("PyPI", "thing", "1.0")
    assert finding.severity is expected


def test_one_thing_found_in_several_places_is_one_finding() -> None:
    unrated = vulnerability(effectiveSeverity="", severity="")
    high = vulnerability(effectiveSeverity="HIGH")
    for order in ([unrated, high], [high, unrated], [high, vulnerability(), high]):
        [finding] = ArtifactAnalysis.of(order, ASKED).findings("PyPI", "thing", "1.0")
        assert finding.severity is Severity.HIGH


def test_without_a_fix_none_is_named() -> None:
    [finding] = ArtifactAnalysis.of([vulnerability(fixed="")], ASKED).findings("PyPI", "thing", "1.0")
    assert finding.fixed == ()


def test_malware() -> None:
    [finding] = ArtifactAnalysis.of([vulnerability("MAL-2024-1")], ASKED).findings("PyPI", "thing", "1.0")
    assert finding.nature is Nature.MALWARE


def test_what_is_no_longer_renewed_is_named() -> None:
    source = ArtifactAnalysis.of([discovery(), discovery("INACTIVE", "old"), discovery("", "new")], ASKED)
    assert source.scanned == 3
    assert source.stale == ("old",)


def test_the_digest_is_that_of_what_was_found() -> None:
    one, two = vulnerability("CVE-1"), vulnerability("CVE-2")
    digest = ArtifactAnalysis.of([one, two], ASKED).digest
    assert digest == ArtifactAnalysis.of([two, one, discovery()], datetime.now(UTC)).digest
    assert digest != ArtifactAnalysis.of([one], ASKED).digest
    assert digest != ArtifactAnalysis.of([one, vulnerability("CVE-2", fixed="")], ASKED).digest


@pytest.mark.parametrize("bad", [{}, {"resourceUri": 1, "kind": "X"}, vulnerability(packageIssue="all")])
def test_what_is_no_occurrence_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(TransferError, match="no occurrence"):
        ArtifactAnalysis.of([bad], ASKED)
