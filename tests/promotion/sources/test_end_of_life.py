from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from dmz.errors import InputError
from dmz.promotion.evidence import Source
from dmz.promotion.finding import Finding, Nature
from dmz.promotion.sources.end_of_life import EndOfLife

TODAY = date(2026, 11, 22)

# As debian-security-support ships them for Debian 12: a comment, columns by spaces or tabs, a pattern.
ENDED = """
# List of packages whose security support ends before the distribution EOL

wpewebkit\t2.38.6-1\t\t2023-05-09\thttps://bugs.debian.org/1035794
intel-mediasdk\t22.5.4-1\t\t2024-11-21  \tabandoned upstream
php-horde.*\t0\t\t\t2025-03-22\tincompatible with PHP8
suricata        1:6.0.10-1              2026-04-30
libstdc++-thing 1 2027-01-01 not over yet
"""
LIMITED = """
# List of packages where security support is limited

binutils        Only suitable for trusted content
golang.*        See the release notes
vte
"""
OWN = """
[[package]]
ecosystem = "PyPI"
name = "Old.Thing"
versions = "<2"
ended = 2024-01-31
reason = "line 1 has ended"
source = "https://example.com/policy"

[[package]]
ecosystem = "Debian:11"
name = "thing"
ended = 2024-01-31

[[platform]]
of = "Python"
version = "3.9"
ended = 2025-10-31
source = "https://devguide.python.org/versions/"

[[platform]]
of = "Debian"
version = "10"
ended = 2024-06-30

[[platform]]
of = "Ubuntu"
version = "20.04"
ended = 2025-05-31
"""


@pytest.fixture
def read(tmp_path: Path) -> Any:
    def make(
        ecosystem: str = "Debian:12", today: date = TODAY, python: str = "3.11", **files: str
    ) -> EndOfLife:
        paths = []
        for name, text in files.items():
            path = tmp_path / name.replace("__", ".").replace("_", "-")
            path.write_text(text)
            paths.append(path)
        return EndOfLife.read(paths, ecosystem, python, today)

    return make


def known(source: Source, ecosystem: str, name: str, version: str = "1") -> list[str]:
    return [finding.id for finding in source.findings(ecosystem, name, version)]


def test_debians_list_of_what_ended(read: Any) -> None:
    source = read(security_support_ended__deb12=ENDED)
    [finding] = source.findings("Debian:12", "intel-mediasdk", "23.1-1")
    assert finding == Finding(
        id="END-OF-LIFE-intel-mediasdk",
        aliases=(),
        summary="support ended on 2024-11-21, at version 22.5.4-1: abandoned upstream",
        severity=None,
        fixed=(),
        nature=Nature.UNSUPPORTED,
        source="end-of-life",
    )
    [finding] = source.findings("Debian:12", "suricata", "1:6.0.10-1")
    assert finding.summary == "support ended on 2026-04-30, at version 1:6.0.10-1"
    assert known(source, "Debian:12", "php-horde-core") == ["END-OF-LIFE-php-horde-core"]
    assert not known(source, "Debian:12", "my-php-horde")
    assert not known(source, "Debian:12", "wpewebki")
    assert not known(source, "Debian:11", "suricata")
    assert not known(source, "PyPI", "suricata")


def test_one_list_under_two_names_says_it_once(read: Any) -> None:
    source = read(security_support_ended__deb12=ENDED, security_support_ended=ENDED)
    assert known(source, "Debian:12", "suricata") == ["END-OF-LIFE-suricata"]


def test_what_ends_later_has_not_ended(read: Any) -> None:
    assert not known(read(security_support_ended__deb12=ENDED), "Debian:12", "libstdc++-thing")
    on_the_day = read(today=date(2027, 1, 1), security_support_ended__deb12=ENDED)
    assert known(on_the_day, "Debian:12", "libstdc++-thing")


def test_debians_list_of_what_is_limited(read: Any) -> None:
    source = read(security_support_limited=LIMITED)
    [finding] = source.findings("Debian:12", "binutils", "2.40-2")
    assert finding.id == "LIMITED-binutils"
    assert finding.summary == "security support is limited: Only suitable for trusted content"
    assert [each.summary for each in source.findings("Debian:12", "vte", "1")] == [
        "security support is limited"
    ]
    assert known(source, "Debian:12", "golang-github-thing") == ["LIMITED-golang-github-thing"]
    assert not known(source, "Debian:11", "binutils")


def test_a_list_without_a_release_is_the_images_if_that_is_debian(read: Any) -> None:
    ubuntu = read("Ubuntu:22.04:LTS", security_support_limited=LIMITED)
    assert not known(ubuntu, "Ubuntu:22.04:LTS", "binutils")
    named = read("Ubuntu:22.04:LTS", security_support_limited__deb11=LIMITED)
    assert known(named, "Debian:11", "binutils")


def test_the_own_form(read: Any) -> None:
    source = read(own__toml=OWN)
    [finding] = source.findings("PyPI", "old-thing", "1.9")
    assert finding.id == "END-OF-LIFE-old-thing"
    assert finding.summary == "support ended on 2024-01-31, line 1 has ended (https://example.com/policy)"
    assert not known(source, "PyPI", "old-thing", "2.0")
    assert known(source, "Debian:11", "thing")
    assert not known(source, "Debian:12", "thing")


def test_a_release_that_ended_ends_its_packages(read: Any) -> None:
    source = read(own__toml=OWN)
    assert known(source, "Debian:10", "anything") == ["END-OF-LIFE-Debian-10"]
    assert known(source, "Ubuntu:20.04:LTS", "anything") == ["END-OF-LIFE-Ubuntu-20.04"]
    assert not known(source, "Debian:11", "anything")
    assert not known(source, "Ubuntu:22.04:LTS", "anything")


def test_an_interpreter_that_ended_ends_what_runs_on_it(read: Any) -> None:
    [finding] = read(python="3.9", own__toml=OWN).findings("PyPI", "anything", "1")
    assert finding.id == "END-OF-LIFE-Python-3.9"
    assert finding.summary.startswith("support ended on 2025-10-31, Python 3.9 as a whole (https://")
    assert not known(read(python="3.10", own__toml=OWN), "PyPI", "anything")
    assert not known(read(python="3.9", today=date(2025, 10, 30), own__toml=OWN), "PyPI", "anything")
    assert not known(read(python="3.9", own__toml=OWN), "Debian:12", "anything")


def test_several_lists_have_one_digest(read: Any) -> None:
    both = read(security_support_ended__deb12=ENDED, own__toml=OWN)
    turned = read(own__toml=OWN, security_support_ended__deb12=ENDED)
    changed = read(own__toml=OWN, security_support_ended__deb12=ENDED + "\n")
    assert both.digest == turned.digest != changed.digest
    assert both.as_of is None


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("security_support_ended__deb12", "thing 1", ":1: a column is missing"),
        ("security_support_ended__deb12", "\n# x\nthing 1 2024", ":3: Invalid isoformat string: '2024'"),
        ("security_support_ended__deb12", "Th[ng 1 2024-01-01", "'Th[ng' is no source package"),
        ("security_support_limited", "*", "'*' is no source package"),
        ("list__txt", "", "no end-of-life list by its name"),
        ("own__toml", "[[package]]\nname = 1", "'ecosystem' is missing"),
        ("own__toml", "[[release]]", "unknown key 'release'; write [[package]] or [[platform]]"),
        ("own__toml", OWN.replace("2025-10-31", '"soon"'), "platform 1: ended"),
        ("own__toml", OWN.replace('"Python"', '"Perl"'), "platform 1: of"),
        ("own__toml", OWN.replace('"3.9"', '"3.9 "'), "platform 1: version"),
    ],
)
def test_bad_lists_are_refused_in_one_line(
    read: Any, tmp_path: Path, name: str, text: str, said: str
) -> None:
    with pytest.raises(InputError) as refusal:
        read(**{name: text})
    assert said in str(refusal.value)
    assert str(refusal.value).startswith(str(tmp_path))


def test_a_missing_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no end-of-life list there"):
        EndOfLife.read([tmp_path / "none.toml"], "Debian:12", "3.11", TODAY)


def test_no_lists_know_nothing() -> None:
    assert not known(EndOfLife.read([], "Debian:12", "3.11", TODAY), "Debian:12", "thing")
