from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dmz.errors import InputError
from dmz.promotion.evidence import Source
from dmz.promotion.finding import Nature
from dmz.promotion.sources.deny_list import DenyList

ENTRY = """
[[deny]]
ecosystem = "{ecosystem}"
name = "{name}"
versions = "{versions}"
reason = "its maintainer's account was taken over"
who = "security@example.com"
"""


def entry(name: str, versions: str = "", ecosystem: str = "PyPI") -> str:
    return ENTRY.format(name=name, versions=versions, ecosystem=ecosystem)


@pytest.fixture
def read(tmp_path: Path) -> Any:
    def make(*entries: str) -> Source:
        (tmp_path / "deny.toml").write_text("".join(entries))
        return DenyList.read(tmp_path / "deny.toml")

    return make


def test_a_refusal_can_name_who_denied_it_and_why(read: Any) -> None:
    [finding] = read(entry("Left.Pad")).findings("PyPI", "left_pad", "1.0")
    assert finding.nature is Nature.DENIED
    assert finding.source == "deny-list"
    assert finding.id == "DENIED-PyPI-left-pad"
    assert finding.summary == "denied by security@example.com: its maintainer's account was taken over"


@pytest.mark.parametrize(
    ("versions", "inside", "outside"),
    [
        ("", ["0", "1.0", "2!9", "1.0rc1", "1.0+cpu"], []),
        (">=1.0,<1.4", ["1.0", "1.3.9", "1.3rc1", "1.3+cpu"], ["0.9", "1.4", "1.0rc1", "1!1.2"]),
        ("==1.0", ["1.0", "1.0.0", "1.0+cu118"], ["1.0.1", "1.0.post1"]),
        ("!=1.0", ["0.9", "2"], ["1.0"]),
    ],
)
def test_python_versions(read: Any, versions: str, inside: list[str], outside: list[str]) -> None:
    source = read(entry("thing", versions))
    assert [text for text in inside if not source.findings("PyPI", "thing", text)] == []
    assert [text for text in outside if source.findings("PyPI", "thing", text)] == []


@pytest.mark.parametrize(
    ("versions", "inside", "outside"),
    [
        ("", ["1.0-1", "1:0~rc1"], []),
        ("<< 1.4-2", ["1.4-2~bpo12+1", "1.4-1"], ["1.4-2", "1:0.1"]),
        (">= 1:1.0-1, <= 1:2", ["1:1.0-1", "1:2", "1:2-0"], ["1:1.0-1~deb12u1", "1:2-1", "3"]),
        ("= 1.0", ["1.0", "0:1.0-0"], ["1.0-1"]),
        (">>1.0", ["1.0+b1"], ["1.0", "1.0~"]),
    ],
)
def test_debian_relations(read: Any, versions: str, inside: list[str], outside: list[str]) -> None:
    source = read(entry("thing", versions, "Debian"))
    assert [text for text in inside if not source.findings("Debian:12", "thing", text)] == []
    assert [text for text in outside if source.findings("Debian:12", "thing", text)] == []


def test_a_distribution_with_its_release_or_for_all_of_them(read: Any) -> None:
    source = read(entry("one", ecosystem="Debian:12"), entry("all", ecosystem="Debian"), entry("py"))

    def denied(ecosystem: str, name: str) -> bool:
        return bool(source.findings(ecosystem, name, "1"))

    assert denied("Debian:12", "one")
    assert denied("Debian:12", "all")
    assert denied("Debian:11", "all")
    assert not denied("Debian:11", "one")
    assert not denied("Ubuntu:22.04:LTS", "all")
    assert not denied("PyPI", "all")
    assert not denied("Debian:12", "py")


@pytest.mark.parametrize("written", ["Ubuntu:22.04", "Ubuntu:22.04:LTS"])
def test_a_release_is_the_same_with_its_lts_or_without(read: Any, written: str) -> None:
    source = read(entry("thing", ecosystem=written))
    assert source.findings("Ubuntu:22.04:LTS", "thing", "1")
    assert not source.findings("Ubuntu:24.04:LTS", "thing", "1")


def test_what_is_no_version_is_denied_by_name_only(read: Any) -> None:
    source = read(
        entry("named"), entry("some", ">=0"), entry("named", "", "Debian"), entry("some", ">= 0", "Debian")
    )
    for ecosystem in ("PyPI", "Debian:12"):
        assert source.findings(ecosystem, "named", "not a version")
        assert not source.findings(ecosystem, "some", "not a version")


def test_the_digest_is_that_of_the_content(read: Any) -> None:
    one, same, other = read(entry("a")).digest, read(entry("a")).digest, read(entry("b")).digest
    assert one == same != other
    assert read("").as_of is None
    assert not read("").findings("PyPI", "a", "1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("deny", "no TOML"),
        ("deny = 1", "'deny' is no list of tables; write [[deny]]"),
        ("[[denied]]", "unknown key 'denied'; write [[deny]]"),
        ("deny = [1]", "deny 1"),
        (entry("a") + entry("a"), "deny 2: a stands twice"),
        (entry("a").replace("who", "woh"), "unknown key 'woh'; did you mean 'who'?"),
        (entry("a").replace("reason", "#"), "'reason' is missing"),
        (entry("a").replace("security@example.com", " "), "who: it is empty"),
        (entry("a", "1.0"), "'1.0' are no versions (PEP 440)"),
        (entry("a b"), "'a b' is no distribution name"),
        (entry("A", ecosystem="Debian"), "'A' is no Debian package name"),
        (entry("ab", "< 1", "Debian"), "'< 1' is no relation; write for example '<< 1.4-2'"),
        (entry("ab", "<< 1_2", "Debian"), "'<< 1_2' is no relation"),
        (entry("ab", ecosystem="npm"), "'npm' is no ecosystem"),
    ],
)
def test_bad_lists_are_refused_in_one_line(read: Any, tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError) as refusal:
        read(text)
    assert said in str(refusal.value)
    assert str(refusal.value).startswith(str(tmp_path / "deny.toml"))


def test_a_missing_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no deny list there"):
        DenyList.read(tmp_path / "none.toml")
    with pytest.raises(InputError, match="no deny list there"):
        DenyList.read(tmp_path)
