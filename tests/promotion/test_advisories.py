from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from dmz.errors import InputError
from dmz.promotion.advisories import Advisories
from dmz.promotion.finding import Severity
from tests.promotion.builders import pep440

HIGH = {"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"}
MEDIUM_V4 = {"type": "CVSS_V4", "score": "CVSS:4.0/AV:L/AC:L/AT:P/PR:L/UI:P/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"}


def record(
    events: list[dict[str, str]] | None = None,
    name: str = "thing",
    ecosystem: str = "PyPI",
    identity: str = "GHSA-1",
    **more: Any,
) -> dict[str, Any]:
    affected: dict[str, Any] = {"package": {"ecosystem": ecosystem, "name": name}}
    if events is not None:
        affected["ranges"] = [{"type": "ECOSYSTEM", "events": events}]
    affected |= more.pop("affected", {})
    return {"id": identity, "modified": "2026-01-01T00:00:00Z", "affected": [affected]} | more


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def make(*records: dict[str, Any]) -> Advisories:
        (tmp_path / "all.json").write_text(json.dumps(records))
        return Advisories.load(tmp_path / "all.json")

    return make


def hit(advisories: Advisories, version: str, name: str = "thing", ecosystem: str = "PyPI") -> bool:
    return bool(advisories.findings(ecosystem, name, version))


@pytest.mark.parametrize(
    ("events", "inside", "outside"),
    [
        ([{"introduced": "0"}, {"fixed": "2.0"}], ["0.1", "1.9.9", "2.0rc1"], ["2.0", "2.0.post1", "3"]),
        ([{"introduced": "1.0rc1"}, {"fixed": "1.1"}], ["1.0rc1", "1.0"], ["0.9", "1.0b1", "1.1"]),
        ([{"introduced": "1"}, {"last_affected": "1.5"}], ["1", "1.5"], ["0.9", "1.5.1", "1.5.post1"]),
        ([{"introduced": "1"}], ["1", "99"], ["0.9"]),
        ([{"fixed": "2"}, {"introduced": "1"}], ["1", "1.5"], ["2", "0.9"]),
        (
            [{"introduced": "0"}, {"fixed": "1"}, {"introduced": "2"}, {"fixed": "3"}],
            ["0.5", "2", "2.9"],
            ["1", "1.5", "3"],
        ),
        ([{"introduced": "1"}, {"fixed": "2"}, {"introduced": "2"}], ["1", "2", "3"], ["0.9"]),
        ([{"introduced": "1"}, {"last_affected": "1"}], ["1", "1.0"], ["1.0.1"]),
        ([{"introduced": "0"}, {"limit": "*"}, {"fixed": "2"}], ["1"], ["2"]),
        ([{"introduced": "0"}, {"limit": "2"}], ["1"], ["2"]),
    ],
)
def test_ranges(load: Any, events: list[dict[str, str]], inside: list[str], outside: list[str]) -> None:
    advisories = load(record(events))
    assert [version for version in inside if not hit(advisories, version)] == []
    assert [version for version in outside if hit(advisories, version)] == []


@given(introduced=pep440.filter(lambda text: text != "0"), fixed=pep440, version=pep440)
def test_one_range_is_half_open(introduced: str, fixed: str, version: str, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("osv") / "one.json"
    path.write_text(json.dumps(record([{"fixed": fixed}, {"introduced": introduced}])))
    first, last, asked = Version(introduced), Version(fixed), Version(version)
    expected = first <= asked < last if first < last else first <= asked
    assert hit(Advisories.load(path), version) is expected


def test_listed_versions_count_beside_ranges_and_in_any_spelling(load: Any) -> None:
    advisories = load(
        record([{"introduced": "5"}, {"fixed": "6"}], affected={"versions": ["1.0.0", "2.0-beta1"]})
    )
    assert [v for v in ("1.0", "2.0b1", "5.5") if not hit(advisories, v)] == []
    assert not hit(advisories, "2.0")


def test_names_are_normalised_in_python_only(load: Any) -> None:
    advisories = load(
        record([{"introduced": "0"}], name="My.Thing"),
        record([{"introduced": "0"}], name="Thing", ecosystem="Debian:12", identity="DSA-1"),
    )
    assert hit(advisories, "1", "my-thing")
    assert not hit(advisories, "1", "thing", "Debian:12")


def test_debian_records_follow_dpkgs_order_and_their_release(load: Any) -> None:
    advisories = load(
        record([{"introduced": "0"}, {"fixed": "1:2.0-1+deb12u1"}], ecosystem="Debian:12"),
        record([{"introduced": "0"}], ecosystem="Debian", identity="OLD"),
    )
    for version in ("1:2.0-1", "1:2.0~rc1-1", "9.0", "1:2.0-1+deb12u1~bpo1"):
        assert hit(advisories, version, ecosystem="Debian:12"), version
    for version in ("1:2.0-1+deb12u1", "1:2.0-1+deb12u2", "1:2.0-2", "2:1"):
        assert not hit(advisories, version, ecosystem="Debian:12"), version
    assert not hit(advisories, "1", ecosystem="Debian:11")
    assert not hit(advisories, "1", ecosystem="Ubuntu:22.04:LTS")


def test_what_cannot_be_compared_concerns_every_version(load: Any) -> None:
    assert hit(load(record()), "1")
    assert hit(load(record([{"introduced": "0"}, {"fixed": "2019-09-12 or so"}])), "99")
    git = {"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}
    assert hit(load(record(affected=git)), "1")
    assert not hit(load(record(affected=git | {"versions": ["2"]})), "1")


def test_withdrawn_records_say_nothing(load: Any) -> None:
    assert not hit(load(record([{"introduced": "0"}], withdrawn="2026-01-01T00:00:00Z")), "1")


def test_aliases_are_one_finding(load: Any) -> None:
    events = [{"introduced": "0"}, {"fixed": "2"}]
    advisories = load(
        record(events, identity="GHSA-1", aliases=["CVE-1"], severity=[MEDIUM_V4]),
        record(events, identity="PYSEC-1", aliases=["CVE-1"], severity=[HIGH]),
        record([{"introduced": "0"}, {"fixed": "3"}], identity="CVE-1"),
        record(events, identity="GHSA-2", aliases=["CVE-2"], summary="Another."),
    )
    one, two = advisories.findings("PyPI", "thing", "1")
    assert (one.id, one.aliases) == ("CVE-1", ("GHSA-1", "PYSEC-1"))
    assert one.severity is Severity.HIGH
    assert one.fixed == ("2", "3")
    assert (two.label, two.summary) == ("CVE-2 (GHSA-2)", "Another.")


def test_aliases_join_by_way_of_a_record_that_does_not_match(load: Any) -> None:
    advisories = load(
        record([{"introduced": "0"}], identity="GHSA-1", aliases=["CVE-1"]),
        record([{"introduced": "0"}], identity="PYSEC-1", aliases=["CVE-2"]),
        record([{"introduced": "9"}], identity="GHSA-9", aliases=["CVE-1", "CVE-2"]),
    )
    assert len(advisories.findings("PyPI", "thing", "1")) == 1


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"severity": [HIGH]}, Severity.HIGH),
        ({"severity": [MEDIUM_V4]}, Severity.MEDIUM),
        ({"severity": [MEDIUM_V4, HIGH]}, Severity.HIGH),
        ({"severity": [HIGH], "database_specific": {"severity": "LOW"}}, Severity.HIGH),
        ({"affected": {"severity": [HIGH]}}, Severity.HIGH),
        ({"database_specific": {"severity": "MODERATE"}}, Severity.MEDIUM),
        ({"severity": [{"type": "Ubuntu", "score": "low"}]}, Severity.LOW),
        ({"affected": {"ecosystem_specific": {"urgency": "unimportant"}}}, Severity.LOW),
        ({"affected": {"ecosystem_specific": {"urgency": "not yet assigned"}}}, None),
        ({"severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:X"}]}, None),
        ({"severity": [{"type": "CVSS_V9", "score": "10"}]}, None),
        ({}, None),
    ],
)
def test_severity(load: Any, fields: dict[str, Any], expected: Severity | None) -> None:
    [finding] = load(record([{"introduced": "0"}], **fields)).findings("PyPI", "thing", "1")
    assert finding.severity is expected
    assert finding.refuses(Severity.HIGH) is (expected is None or expected >= Severity.HIGH)
    assert finding.refuses(Severity.LOW)


def test_malware_is_refused_whatever_its_rating(load: Any) -> None:
    advisories = load(
        record([{"introduced": "0"}], identity="MAL-2026-1", database_specific={"severity": "LOW"})
    )
    [finding] = advisories.findings("PyPI", "thing", "1")
    assert finding.severity is Severity.LOW
    assert finding.refuses(Severity.CRITICAL)


def test_a_folder_is_read_with_the_folders_below(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.json").write_text(json.dumps(record([{"introduced": "0"}])))
    (tmp_path / "two.json").write_text(json.dumps([record([{"introduced": "0"}], identity="B", name="b")]))
    (tmp_path / "README.md").write_text("no record")
    advisories = Advisories.load(tmp_path)
    assert advisories.count == 2
    assert hit(advisories, "1")
    assert hit(advisories, "1", "b")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "no JSON"),
        ("[1]", "no OSV record"),
        ('{"affected": []}', "'id' is missing"),
        ('{"id": "X", "affected": "all"}', "no OSV record (affected"),
        ('[{"id": "X"}, {"id": "X"}]', "X stands in"),
        ("[]", "no advisory in there"),
    ],
)
def test_what_is_no_advisory_is_refused_with_its_file(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "x.json").write_text(content)
    for path in (tmp_path, tmp_path / "x.json"):
        with pytest.raises(InputError) as refusal:
            Advisories.load(path)
        assert said in str(refusal.value)
        assert str(tmp_path) in str(refusal.value)


def test_no_advisories_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such advisories"):
        Advisories.load(tmp_path / "none")
    with pytest.raises(InputError, match="no advisory in there"):
        Advisories.load(tmp_path)


def test_what_is_no_version_is_refused(load: Any) -> None:
    with pytest.raises(InputError, match="'one' is no version"):
        load(record()).findings("PyPI", "thing", "one")


@given(st.sampled_from(["none", "LOW", "Medium", "high", "critical"]))
def test_severities_are_named(word: str) -> None:
    assert str(Severity.parse(word)) == word.lower()


def test_an_unknown_severity_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="use one of none, low, medium, high, critical"):
        Severity.parse("awful")
