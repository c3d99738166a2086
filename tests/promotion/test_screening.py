from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dmz.artifact import Kind
from dmz.promotion.advisories import Advisories
from dmz.promotion.finding import Severity
from dmz.promotion.screening import Policy, Remedy, Screening, explain, purl, remedy
from tests.promotion.builders import deb, entry, file, image, wheel
from tests.promotion.test_advisories import HIGH, record

ADVISORIES = Path(__file__).parents[2] / "advisories"
PROTOBUF = ["4.25.9", "5.29.5", "5.29.6", "6.30.2", "6.31.0", "6.31.1", "6.33.5", "6.34.0rc1", "dev"]


def screening(path: Path = ADVISORIES, threshold: Severity = Severity.HIGH) -> Screening:
    return Screening(Advisories.load(path), image(), Policy(threshold))


def test_a_version_with_findings_is_refused_with_each_of_them() -> None:
    verdict = screening().judge(entry(wheel("protobuf", "6.31.0")))
    assert not verdict.admitted
    assert [finding.label for finding in verdict.refused_for] == [
        "CVE-2025-4565 (GHSA-8qvm-5x2c-j2w7)",
        "CVE-2026-0994 (GHSA-7gcm-g887-7qv7)",
    ]


def test_the_fixed_version_is_admitted() -> None:
    assert screening().judge(entry(wheel("protobuf", "5.29.6"))).admitted


def test_below_the_threshold_it_is_noted() -> None:
    judged = screening(threshold=Severity.CRITICAL).judge(entry(wheel("protobuf", "6.31.0")))
    assert judged.admitted
    assert len(judged.noted) == 2


def test_debs_are_judged_by_their_source_package(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(
        json.dumps(
            record([{"introduced": "0"}, {"fixed": "2-1"}], "src", "Debian:12", "DSA-1", severity=[HIGH])
        )
    )
    screen = screening(tmp_path)
    assert not screen.judge(entry(deb("lib", "5-1"), "src", "1-1")).admitted
    assert screen.judge(entry(deb("lib", "1-1"), "src", "2-1")).admitted
    assert screen.judge(entry(deb("src", "1-1"), "other", "1-1")).admitted


def test_a_file_is_vouched_for_by_its_digest() -> None:
    assert screening().judge(entry(file())).admitted


def test_passing_versions_and_exclusions() -> None:
    assert screening().passing_versions(Kind.PYPI, "Protobuf", PROTOBUF) == ["5.29.6", "6.33.5", "6.34.0rc1"]
    assert screening().exclusions("Protobuf", PROTOBUF) == [
        "protobuf!=4.25.9",
        "protobuf!=5.29.5",
        "protobuf!=6.30.2",
        "protobuf!=6.31.0",
        "protobuf!=6.31.1",
    ]
    assert screening().passing_versions(
        Kind.APT, "jq", ["1.6-2.1+deb12u2", "1.6-2.1", "1.6-2.1+deb12u1"]
    ) == [
        "1.6-2.1+deb12u1",
        "1.6-2.1+deb12u2",
    ]


PASSING = ["5.29.6", "6.33.5", "6.34.0rc1"]


@pytest.mark.parametrize(
    ("passing", "asked", "expected"),
    [
        (PASSING, ["protobuf>=5,<6.31.1"], Remedy("5.29.6", True)),
        (PASSING, ["protobuf>=5"], Remedy("6.33.5", True)),
        (PASSING, [], Remedy("6.33.5", True)),
        (PASSING, ["protobuf>=5", "protobuf<6"], Remedy("5.29.6", True)),
        (PASSING, ["protobuf>=6,<6.31.1"], Remedy("6.33.5", False)),
        (["5.29.6", "4.0"], ["protobuf>=6,<6.31.1"], Remedy("5.29.6", False)),
        (["6.34.0rc1"], ["protobuf>=6"], Remedy("6.34.0rc1", True)),
        ([], ["protobuf"], None),
    ],
)
def test_the_remedy(passing: list[str], asked: list[str], expected: Remedy | None) -> None:
    assert remedy("6.31.0", passing, asked) == expected


def test_an_explanation_names_package_advisory_and_version() -> None:
    verdict = screening().judge(entry(wheel("protobuf", "6.31.0")))
    text = explain(verdict, Remedy("5.29.6", True), ["protobuf>=5,<6.31.1"])
    assert text == (
        "protobuf 6.31.0 is refused: CVE-2025-4565 (GHSA-8qvm-5x2c-j2w7), high: Unbounded recursion when the "
        "pure-Python backend parses nested messages, fixed in 4.25.8 or 5.29.5 or 6.31.1; CVE-2026-0994 "
        "(GHSA-7gcm-g887-7qv7), high: JSON parsing does not count the depth of nested Any messages, fixed in "
        "5.29.6 or 6.33.5. Version 5.29.6 passes and 'protobuf>=5,<6.31.1' allows it."
    )


def test_an_explanation_without_a_way_out_names_what_to_change() -> None:
    verdict = screening().judge(entry(wheel("protobuf", "6.31.0")))
    text = explain(verdict, Remedy("6.33.5", False), ["protobuf>=6,<6.31.1"])
    assert text.endswith(
        "Version 6.33.5 would pass, but 'protobuf>=6,<6.31.1' does not allow it: change that requirement."
    )
    assert "No version of it passes" in explain(verdict, None)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (wheel("ml-dtypes", "1!0.5+cpu"), "pkg:pypi/ml-dtypes@1%210.5%2Bcpu"),
        (
            deb("libstdc++6", "1:2.0~rc1-1"),
            "pkg:deb/debian/libstdc%2B%2B6@1:2.0~rc1-1?arch=amd64&distro=bookworm",
        ),
        (file("a.tgz"), f"pkg:generic/a.tgz?checksum=sha256:{file('a.tgz').sha256}"),
    ],
)
def test_package_urls(made: Any, expected: str) -> None:
    assert purl(made, image()) == expected
