from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from dmz.errors import InputError
from dmz.promotion.advisories.age import age
from dmz.promotion.advisories.database import Database
from dmz.promotion.advisories.listed import Listed, Sought
from dmz.promotion.advisories.stored import packed_versions
from dmz.promotion.evidence import Source
from dmz.promotion.finding import Nature, Severity
from dmz.promotion.versions import DpkgVersion, parse
from tests.promotion.advisories.records import ALL, packed, record
from tests.promotion.builders import debian_versions, pep440

HIGH = {"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"}
MEDIUM_V4 = {"type": "CVSS_V4", "score": "CVSS:4.0/AV:L/AC:L/AT:P/PR:L/UI:P/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"}


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def make(*records: dict[str, Any]) -> Database:
        (tmp_path / "all.json").write_text(json.dumps(records))
        return Database.open(tmp_path / "all.json")

    return make


def hit(database: Database, version: str, name: str = "thing", ecosystem: str = "PyPI") -> bool:
    return bool(database.findings(ecosystem, name, version))


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
        # Below any limit is inside; a range that doesn't say since when begins at the beginning.
        ([{"introduced": "0"}, {"limit": "2"}, {"limit": "5"}], ["1", "2", "4.9"], ["5"]),
        ([{"introduced": "1"}, {"limit": "2"}, {"introduced": "3"}], ["1"], ["0.9", "2", "3"]),
        ([{"fixed": "2"}], ["1"], ["2"]),
        ([{"last_affected": "2"}], ["0.1", "2"], ["2.1"]),
        ([{"limit": "2"}], ["1"], ["2"]),
        # What is said of a version is said of its local builds.
        ([{"introduced": "0"}, {"last_affected": "2"}], ["2+cu118", "1+x"], ["2.1", "2.1+cu118"]),
        ([{"introduced": "0"}, {"fixed": "2"}], ["1+cu118"], ["2+cu118"]),
        ([{"introduced": "0"}, {"fixed": "1!1"}], ["2", "1!0.9"], ["1!1"]),
        ([{"introduced": "1.0.dev3"}, {"fixed": "1.0.post1"}], ["1.0.dev3", "1.0a1", "1.0"], ["1.0.dev2"]),
    ],
)
def test_ranges(load: Any, events: list[dict[str, str]], inside: list[str], outside: list[str]) -> None:
    database = load(record(events))
    assert [version for version in inside if not hit(database, version)] == []
    assert [version for version in outside if hit(database, version)] == []


@given(introduced=pep440.filter(lambda text: text != "0"), fixed=pep440, version=pep440)
def test_one_range_is_half_open(introduced: str, fixed: str, version: str, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("osv") / "one.json"
    path.write_text(json.dumps(record([{"fixed": fixed}, {"introduced": introduced}])))
    first, last, asked = Version(introduced), Version(fixed), Version(version)
    expected = first <= asked < last if first < last else first <= asked
    assert hit(Database.open(path), version) is expected


def has(ecosystem: str, listed: list[str], version: str) -> bool:
    asked = parse(ecosystem, version)
    assert asked is not None
    return Listed(ecosystem, packed_versions(listed)).has(Sought.of(asked, version))


def test_listed_versions_count_beside_ranges_and_in_any_spelling(load: Any) -> None:
    database = load(
        record([{"introduced": "5"}, {"fixed": "6"}], affected={"versions": ["1.0.0", "2.0-beta1"]})
    )
    assert [v for v in ("1.0", "2.0b1", "5.5") if not hit(database, v)] == []
    assert hit(database, "1.0+local")
    assert not hit(database, "2.0")
    assert not hit(database, "1.0.post1")


@pytest.mark.parametrize("indent", [None, 4])
def test_lists_of_several_records(tmp_path: Path, indent: int | None) -> None:
    lists: list[list[str]] = [[], ["1.0"], ["2", "3"], []]
    records = [
        record(identity=f"GHSA-{number}", affected={"versions": listed, "ranges": [{"type": "GIT"}]})
        for number, listed in enumerate(lists)
    ]
    text = json.dumps(records, indent=indent).replace("[]", "[ ]")
    (tmp_path / "all.json").write_text(text)
    found = Database.open(tmp_path).findings("PyPI", "thing", "3.0")
    assert [each.id for each in found] == ["GHSA-0", "GHSA-2", "GHSA-3"], "nothing to compare is everything"


@pytest.mark.parametrize("listed", ["1.0", ["1", 2], {}])
def test_a_list_of_anything_else_is_refused(load: Any, listed: Any) -> None:
    with pytest.raises(InputError, match=r"\$\.affected\[0\]\.versions"):
        load(record(affected={"versions": listed}))


@given(version=pep440, others=st.lists(pep440, max_size=5), odd=st.sampled_from(["", "é1", '"1"', "\\1"]))
def test_every_spelling_in_a_list_is_found(version: str, others: list[str], odd: str) -> None:
    local = f"{version}+x"
    for spelling in (f"v{version}", version, local):
        named = Version(spelling) == Version(version)
        for listed in ([odd, *others, spelling, odd], [spelling]):
            there = named or any(parse("PyPI", each) == Version(version) for each in listed)
            assert has("PyPI", listed, version) == there
            assert has("PyPI", listed, local), "what is said of a version is said of its local builds"
    assert has("PyPI", [*others, odd], version) == any(
        parse("PyPI", each) == Version(version) for each in others
    )


@given(version=debian_versions, others=st.lists(debian_versions, max_size=5))
def test_every_spelling_of_a_debian_version_is_found(version: str, others: list[str]) -> None:
    for spelling in (version, version if ":" in version else f"00:{version}", version.replace("1", "01")):
        for listed in ([*others, spelling], [spelling], others):
            there = any(parse("Debian:12", each) == DpkgVersion(version) for each in listed)
            assert has("Debian:12", listed, version) == there


def test_names_are_normalised_in_python_only(load: Any) -> None:
    database = load(
        record(ALL, name="My.Thing"),
        record(ALL, name="Thing", ecosystem="Debian:12", identity="DSA-1"),
    )
    assert hit(database, "1", "my-thing")
    assert not hit(database, "1", "thing", "Debian:12")


def test_debian_records_follow_dpkgs_order_and_their_release(load: Any) -> None:
    database = load(
        record([{"introduced": "0"}, {"fixed": "1:2.0-1+deb12u1"}], ecosystem="Debian:12"),
        record(ALL, ecosystem="Debian", identity="OLD"),
    )
    for version in ("1:2.0-1", "1:2.0~rc1-1", "9.0", "1:2.0-1+deb12u1~bpo1"):
        assert hit(database, version, ecosystem="Debian:12"), version
    for version in ("1:2.0-1+deb12u1", "1:2.0-1+deb12u2", "1:2.0-2", "2:1"):
        assert not hit(database, version, ecosystem="Debian:12"), version
    assert not hit(database, "1", ecosystem="Debian:11")
    assert not hit(database, "1", ecosystem="Ubuntu:22.04:LTS")


def test_what_cannot_be_compared_concerns_every_version(load: Any) -> None:
    assert hit(load(record()), "1")
    assert hit(load(record([{"introduced": "0"}, {"fixed": "2019-09-12 or so"}])), "99")
    # … also beside something that can.
    bad = {"introduced": "0"}, {"fixed": "2019-09-12 or so"}
    assert hit(load(record([*bad], affected={"versions": ["1"]})), "99")
    sound = {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2"}]}
    assert hit(load(record(affected={"ranges": [sound, {"type": "ECOSYSTEM", "events": [*bad]}]})), "99")
    git = {"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}
    assert hit(load(record(affected=git)), "1")
    assert not hit(load(record(affected=git | {"versions": ["2"]})), "1")


def test_ranges_of_commits_leave_ranges_of_versions_as_they_are(load: Any) -> None:
    ranges = [
        {"type": "GIT", "repo": "https://example.com/x", "events": [{"introduced": "0"}]},
        {"type": "SEMVER", "events": [{"introduced": "1.0.0-beta.1"}, {"fixed": "1.0.0"}]},
    ]
    database = load(record(affected={"ranges": ranges}))
    assert hit(database, "1.0.0b2")
    assert not hit(database, "1.0.0")


def test_withdrawn_records_say_nothing(load: Any) -> None:
    database = load(record(ALL, withdrawn="2026-01-01T00:00:00Z"), record(ALL, identity="B", name="b"))
    assert not hit(database, "1")
    assert hit(database, "1", "b")
    assert database.count == 1


def test_ubuntus_release_has_one_name(load: Any) -> None:
    database = load(
        record(ALL, ecosystem="Ubuntu:22.04:LTS", identity="A"),
        record(ALL, ecosystem="Ubuntu:23.10", identity="B"),
    )
    for ecosystem in ("Ubuntu:22.04:LTS", "Ubuntu:22.04", "Ubuntu:jammy", "Ubuntu:23.10"):
        assert hit(database, "1", ecosystem=ecosystem), ecosystem
        assert database.covers(ecosystem)
    for ecosystem in ("Ubuntu:24.04:LTS", "Ubuntu", "Debian:12", "npm"):
        assert not hit(database, "1", ecosystem=ecosystem), ecosystem
        assert not database.covers(ecosystem)
    assert database.ecosystems == {"Ubuntu:22.04": 1, "Ubuntu:23.10": 1}


def test_what_is_mended_in_ubuntu_pro_alone_stays_open_for_the_others(load: Any) -> None:
    fixed = [{"introduced": "0"}, {"fixed": "1-1ubuntu0.1~esm1"}]
    pro, plain, fips = "Ubuntu:Pro:22.04:LTS", "Ubuntu:22.04:LTS", "Ubuntu:Pro:FIPS:22.04:LTS"
    only_pro = record(fixed, ecosystem=pro, identity="A", affected={"versions": ["1-1"]})
    both = record(fixed, ecosystem=pro, identity="B", name="both")
    both["affected"] += record([{"introduced": "0"}, {"fixed": "1-1"}], ecosystem=plain, name="both")[
        "affected"
    ]
    database = load(only_pro, both, record(ALL, ecosystem=fips, identity="C", name="fips"))
    [finding] = database.findings(plain, "thing", "1-1ubuntu0.1")
    assert finding.fixed == ()
    assert not hit(database, "1-1", "both", plain)
    assert not hit(database, "1-1", "fips", plain)


def test_a_backport_is_judged_as_the_release_that_it_comes_from(load: Any) -> None:
    twelve, thirteen = (
        record(ALL, ecosystem="Debian:12", identity="A"),
        record([{"introduced": "0"}, {"fixed": "2-1"}], ecosystem="Debian:13", identity="B"),
    )
    database = load(twelve, thirteen)
    assert not hit(database, "2-1~bpo12+1", ecosystem="Debian:12")
    assert hit(database, "1.9-1~bpo12+1", ecosystem="Debian:12")
    assert hit(load(twelve), "2-1~bpo12+1", ecosystem="Debian:12")


def test_what_a_version_mends(load: Any) -> None:
    database = load(
        record([{"introduced": "0"}, {"fixed": "2.0"}], aliases=["CVE-1"]), record(ALL, identity="B")
    )
    assert [found.id for found in database.mends("PyPI", "Thing", "2")] == ["GHSA-1"]
    assert database.mends("PyPI", "thing", "2.1") == ()
    again = load(record([{"introduced": "0"}, {"fixed": "2"}, {"introduced": "2"}]))
    assert again.mends("PyPI", "thing", "2") == ()


def test_aliases_are_one_finding(load: Any) -> None:
    events = [{"introduced": "0"}, {"fixed": "2"}]
    database = load(
        record(events, identity="GHSA-1", aliases=["CVE-1"], severity=[MEDIUM_V4]),
        record(events, identity="PYSEC-1", aliases=["CVE-1"], severity=[HIGH]),
        record([{"introduced": "0"}, {"fixed": "3"}], identity="CVE-1"),
        record(events, identity="GHSA-2", aliases=["CVE-2"], summary="Another."),
    )
    one, two = database.findings("PyPI", "thing", "1")
    assert (one.id, one.aliases) == ("CVE-1", ("GHSA-1", "PYSEC-1"))
    assert one.severity is Severity.HIGH
    assert one.fixed == ("2", "3")
    assert (two.label, two.summary) == ("CVE-2 (GHSA-2)", "Another.")


def test_aliases_join_by_way_of_a_record_that_does_not_match(load: Any) -> None:
    database = load(
        record(ALL, identity="GHSA-1"),
        record(ALL, identity="PYSEC-1"),
        record([{"introduced": "9"}], identity="CVE-1", aliases=["GHSA-1", "PYSEC-1"]),
    )
    assert len(database.findings("PyPI", "thing", "1")) == 1


def test_two_vulnerabilities_never_become_one(load: Any) -> None:
    # An advisory that is about both is no bridge between them, and says nothing that they don't.
    database = load(
        record(ALL, identity="GHSA-1", aliases=["CVE-1"]),
        record(ALL, identity="PYSEC-1", aliases=["CVE-2"]),
        record(ALL, identity="GHSA-9", aliases=["CVE-1", "CVE-2", "GHSA-1", "PYSEC-1"]),
    )
    one, two = database.findings("PyPI", "thing", "1")
    assert set(one.names) == {"GHSA-1", "CVE-1"}
    assert set(two.names) == {"PYSEC-1", "CVE-2"}


def test_a_vulnerability_that_a_record_names_twice_is_one(load: Any) -> None:
    database = load(record(ALL, identity="USN-1", aliases=["CVE-1"], upstream=["CVE-1"]))
    assert [found.label for found in database.findings("PyPI", "thing", "1")] == ["CVE-1 (USN-1)"]


def test_a_notice_about_several_that_nobody_rated_stays_if_it_is_rated(load: Any) -> None:
    ones = [record(ALL, identity=f"CVE-{number}") for number in (1, 2)]
    notice = record(ALL, identity="USN-1", upstream=["CVE-1", "CVE-2"], severity=[HIGH])
    assert [found.id for found in load(*ones, notice).findings("PyPI", "thing", "1")] == [
        *("CVE-1", "CVE-2", "USN-1")
    ]


@pytest.mark.parametrize(
    "notice",
    [{"severity": [HIGH], "upstream": ["CVE-1", "CVE-2"]}, {"upstream": ["CVE-1", "CVE-2", "CVE-3"]}],
    ids=["worse", "more"],
)
def test_a_notice_about_several_stays_if_it_says_more(load: Any, notice: dict[str, Any]) -> None:
    def one(number: int) -> dict[str, Any]:
        urgency = {"ecosystem_specific": {"urgency": "low"}}
        return record(
            ALL,
            ecosystem="Debian:12",
            identity=f"DEBIAN-CVE-{number}",
            upstream=[f"CVE-{number}"],
            affected=urgency,
        )

    database = load(one(1), one(2), record(ALL, ecosystem="Debian:12", identity="DSA-1", **notice))
    labels = [found.label for found in database.findings("Debian:12", "thing", "1")]
    assert labels == ["CVE-1 (DEBIAN-CVE-1)", "CVE-2 (DEBIAN-CVE-2)", "DSA-1"]
    without = load(
        one(1), one(2), record(ALL, ecosystem="Debian:12", identity="DSA-1", upstream=["CVE-1", "CVE-2"])
    )
    assert [found.label for found in without.findings("Debian:12", "thing", "1")] == labels[:2]


def test_whoever_accepts_one_of_several_has_not_accepted_the_others(load: Any) -> None:
    database = load(record(ALL, ecosystem="Ubuntu:22.04:LTS", identity="USN-1", upstream=["CVE-1", "CVE-2"]))
    [finding] = database.findings("Ubuntu:22.04:LTS", "thing", "1")
    assert finding.names == ("USN-1",)


def test_a_distributions_records_of_one_vulnerability_are_one_finding(load: Any) -> None:
    database = load(
        record(ALL, ecosystem="Debian:12", identity="DEBIAN-CVE-1", upstream=["CVE-1"]),
        record(ALL, ecosystem="Debian:12", identity="DSA-1", upstream=["CVE-1"], severity=[HIGH]),
        record(ALL, ecosystem="Debian:12", identity="CVE-1-related", related=["CVE-1"]),
    )
    first, second = database.findings("Debian:12", "thing", "1")
    assert first.label == "CVE-1 (DEBIAN-CVE-1)"
    assert first.aliases == ("CVE-1", "DSA-1")
    assert first.severity is Severity.HIGH
    assert second.id == "CVE-1-related"


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
    [finding] = load(record(ALL, **fields)).findings("PyPI", "thing", "1")
    assert finding.severity is expected


def test_malware_is_refused_whatever_its_rating(load: Any) -> None:
    database = load(record(ALL, identity="MAL-2026-1", database_specific={"severity": "LOW"}))
    [finding] = database.findings("PyPI", "thing", "1")
    assert finding.severity is Severity.LOW
    assert finding.nature is Nature.MALWARE


def test_a_folder_is_read_with_the_folders_below(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.json").write_text(json.dumps(record(ALL)))
    (tmp_path / "two.json").write_text(json.dumps([record(ALL, identity="B", name="b")]))
    (tmp_path / "README.md").write_text("no record")
    database = Database.open(tmp_path)
    assert database.count == 2
    assert hit(database, "1")
    assert hit(database, "1", "b")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "no JSON"),
        ("[{]", "no JSON"),
        ("[1]", "no OSV record"),
        ('{"affected": []}', "missing required field `id`"),
        ('{"id": "X", "affected": "all"}', "`$.affected`"),
        ('{"id": "two words"}', "no OSV record"),
        ("[" * 100_000, "no JSON"),
        ("[]", "no advisory in there"),
    ],
)
def test_what_is_no_advisory_is_refused_with_its_file(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "x.json").write_text(content)
    for path in (tmp_path, tmp_path / "x.json"):
        with pytest.raises(InputError) as refusal:
            Database.open(path)
        assert said in str(refusal.value)
        assert str(tmp_path) in str(refusal.value)


class TestTwice:
    """Two records of one id: the one that was modified later holds."""

    old = record([{"introduced": "0"}, {"fixed": "2"}], aliases=["CVE-1"])
    new = record([{"introduced": "0"}, {"fixed": "3"}], modified="2026-01-01T00:00:00.5Z")

    @pytest.mark.parametrize("swap", [False, True])
    def test_the_later_one_holds(self, load: Any, swap: bool) -> None:
        database = load(*((self.new, self.old) if swap else (self.old, self.new)))
        assert (database.count, database.ecosystems) == (1, {"PyPI": 1})
        assert database.digest == load(self.new).digest
        assert hit(database, "2.5")
        assert not database.mends("PyPI", "thing", "2"), "nothing is left of the earlier one"

    def test_also_if_it_is_withdrawn(self, load: Any) -> None:
        database = load(
            self.old, self.new | {"withdrawn": "2026-01-01T00:00:00Z"}, record(ALL, identity="B", name="b")
        )
        assert database.count == 1
        assert not hit(database, "1")

    def test_the_same_twice_is_once(self, load: Any) -> None:
        assert load(self.old, self.old).count == 1

    @pytest.mark.parametrize("modified", [None, "2026-01-01T00:00:00Z", "yesterday"])
    def test_where_nothing_says_which_holds_neither_does(self, load: Any, modified: str | None) -> None:
        with pytest.raises(InputError, match="GHSA-1 stands there twice, with different content"):
            load(*(each | {"modified": modified} for each in (self.old, self.new)))


class TestAge:
    def test_without_the_feeds_word_it_is_the_newest_records(self, load: Any) -> None:
        database = load(record(ALL), record(ALL, identity="B", modified="2026-03-01T01:00:00+01:00"))
        assert database.as_of == datetime(2026, 3, 1, tzinfo=UTC)
        assert not database.fetched

    def test_a_record_from_the_future_makes_nothing_younger(self, load: Any) -> None:
        database = load(record(ALL), record(ALL, identity="B", modified="2126-01-01T00:00:00Z"))
        assert database.as_of == datetime(2026, 1, 1, tzinfo=UTC)

    def test_no_record_says(self, load: Any) -> None:
        assert load(record(ALL, modified=None)).as_of is None

    @pytest.mark.parametrize(
        ("hours", "said"),
        [
            (0.001, "just now"),
            (0.5, "30 minutes ago"),
            (3.9, "3 hours ago"),
            (24, "1 day ago"),
            (-1, "in the future: check this machine's clock"),
        ],
    )
    def test_words(self, hours: float, said: str) -> None:
        moment = datetime(2026, 11, 22, 10, tzinfo=UTC)
        assert age(moment, moment + timedelta(hours=hours)) == f"as of 2026-11-22 10:00 UTC, {said}"


def test_the_digest_is_of_the_content(load: Any, tmp_path: Path) -> None:
    one, two = record(ALL), record(ALL, identity="B", name="b")
    digest = load(one, two).digest
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "1.json").write_text(json.dumps(two, indent=4))
    (folder / "2.json").write_text(json.dumps([one]))
    assert Database.open(folder).digest == digest
    (folder / "1.json").unlink()
    (folder / "some.zip").write_bytes(packed(two))
    assert Database.open(folder).digest == digest
    (folder / "3.json").write_text(json.dumps(record(ALL, identity="C", withdrawn="2026-01-01T00:00:00Z")))
    assert Database.open(folder).digest == digest
    assert load(one, two | {"summary": "x"}).digest != digest
    assert load(one).digest != digest


def test_it_is_a_source(load: Any) -> None:
    source: Source = load(record(ALL))
    assert source.name == "osv"
    assert source.findings("PyPI", "thing", "1", "0" * 64)[0].source == "osv"


def test_no_advisories_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such advisories"):
        Database.open(tmp_path / "none")
    with pytest.raises(InputError, match="no advisory in there"):
        Database.open(tmp_path)


def test_what_is_no_version_is_refused(load: Any) -> None:
    with pytest.raises(InputError, match="'one' is no version"):
        load(record()).findings("PyPI", "thing", "one")


@given(st.sampled_from(["none", "LOW", "Medium", "high", "critical"]))
def test_severities_are_named(word: str) -> None:
    assert str(Severity.parse(word)) == word.lower()


def test_an_unknown_severity_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="use one of none, low, medium, high, critical"):
        Severity.parse("awful")
