from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from packaging.version import Version

from dmz.artifact import Kind
from dmz.promotion import versions
from dmz.promotion.versions import PYPI, DpkgVersion
from tests.promotion.builders import pep440


def order(one: Any, other: Any) -> str:
    assert (one < other) + (one == other) + (other < one) == 1, (one, other)
    assert (one <= other) is not (other < one)
    if one == other:
        assert hash(one) == hash(other)
        return "eq"
    return "lt" if one < other else "gt"


# ---- Debian: dpkg itself is asked


class Dpkg:
    """One shell that asks `dpkg --compare-versions` as long as the tests run."""

    _SCRIPT = """
    while read -r one other; do
        said=bad
        dpkg --validate-version "$one" 2>&- && dpkg --validate-version "$other" 2>&- &&
        for relation in lt eq gt; do
            dpkg --compare-versions "$one" "$relation" "$other" 2>&-
            case $? in
                0) said=$relation; break ;;
                1) ;;
                *) break ;;
            esac
        done
        echo "$said"
    done
    """

    def __init__(self) -> None:
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", self._SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def order(self, one: str, other: str) -> str:
        assert self._shell.stdin
        assert self._shell.stdout
        self._shell.stdin.write(f"{one} {other}\n")
        return self._shell.stdout.readline().strip()

    def takes(self, text: str) -> bool:
        """Whether dpkg has nothing to say against a version."""
        return not subprocess.run(["dpkg", "--validate-version", text], capture_output=True).returncode

    def close(self) -> None:
        assert self._shell.stdin
        assert self._shell.stdout
        self._shell.stdin.close()
        assert self._shell.wait(10) == 0
        self._shell.stdout.close()


@pytest.fixture(scope="module")
def dpkg() -> Iterator[Dpkg]:
    shell = Dpkg()
    yield shell
    shell.close()


# Small alphabets, so that versions that differ in one place and equal ones in two spellings are common.
_upstream = st.text("0019aZ.+~-", max_size=6).map(lambda tail: f"1{tail}")
_revision = st.text("0019aZ.+~", min_size=1, max_size=5)
_suffix = st.sampled_from(["", "+b1", "+deb12u1", "~bpo12+1", "~deb12u1", "ubuntu0.22.04.1", "build1", "~"])
dpkg_version = st.builds(
    lambda epoch, upstream, revision, suffix: f"{epoch}{upstream}{revision}{suffix}".rstrip("-"),
    st.sampled_from(["", "", "0:", "00:", "1:", "2:"]),
    _upstream,
    st.just("") | _revision.map(lambda text: f"-{text}"),
    _suffix,
)


@st.composite
def neighbours(draw: st.DrawFn) -> tuple[str, str]:
    """Two versions of which one is the other with a character put in or taken out."""
    text = draw(dpkg_version)
    at = draw(st.integers(0, len(text)))
    put = draw(st.sampled_from(["", *"0~.+a-9:"]))
    other = text[:at] + put + text[at + (not put) :]
    return text, other or text


@settings(max_examples=400, deadline=None)
@given(pair=neighbours() | st.tuples(dpkg_version, dpkg_version))
def test_the_debian_order_is_dpkgs(dpkg: Dpkg, pair: tuple[str, str]) -> None:
    # strtol() lets dpkg take `+0:1`; by deb-version(7) an epoch is a number without a sign.
    assume(not any(text.startswith("+") for text in pair))
    good = all(map(versions.is_dpkg, pair))
    ours = order(*(versions.parse("Debian:12", text) for text in pair)) if good else "bad"
    assert ours == dpkg.order(*pair)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("1.6-2.1+deb12u1", True),
        ("2147483647:1", True),
        ("2147483648:1", False),
        ("1-", False),
        ("-1", False),
        (":1", False),
        ("1:", False),
        ("a:1", False),
        ("1:2:3-4", True),
        ("1_2", False),
        ("a1", False),
        ("1:a1", False),
        ("~1", False),
        ("\u0661", False),  # a digit elsewhere
        ("1\n", False),
        ("", False),
        ("9" * 5000, True),
        ("0:" + "9" * 5000, True),
        ("9" * 5000 + ":1", False),
    ],
)
def test_what_dpkg_takes_as_a_version(dpkg: Dpkg, text: str, good: bool) -> None:
    assert versions.is_dpkg(text) is good
    assert dpkg.takes(text) is good or text.endswith("\n")  # which dpkg trims


@given(st.text(max_size=20) | st.text("01:-~+.a", max_size=12))
def test_any_text_is_a_version_or_none(text: str) -> None:
    for ecosystem in (PYPI, "Debian:12", "Ubuntu:22.04:LTS"):
        parsed = versions.parse(ecosystem, text)
        assert parsed is None or not parsed < parsed
    versions.is_pep440(text)
    versions.is_dpkg(text)


def test_equal_debian_versions_are_one_in_a_set() -> None:
    assert len({DpkgVersion(text) for text in ("1.0-0", "0:1.0", "1.0", "1.00", "00:1.0-00")}) == 1
    assert DpkgVersion("9" * 5000) < DpkgVersion("1" + "0" * 5000)


@pytest.mark.parametrize(
    ("rising"),
    [
        # As they followed each other in the archive.
        ["1.6-2.1~deb11u1", "1.6-2.1", "1.6-2.1+b1", "1.6-2.1+deb12u1", "1.7.1-1~bpo12+1", "1.7.1-1"],
        ["1:9.2p1-2", "1:9.2p1-2+deb12u1", "1:9.2p1-2+deb12u2", "1:9.2p1-2+deb12u3", "1:9.7p1-7"],
        ["5.4.1-0.2", "5.4.1-1", "5.4.1-1+deb13u1", "5.6.0-0.1", "5.6.1+really5.4.5-1"],
        ["8.9p1-3", "8.9p1-3ubuntu0.1", "8.9p1-3ubuntu0.7", "8.9p1-3ubuntu0.10"],
    ],
)
def test_debian_versions_rise(rising: list[str]) -> None:
    parsed = [DpkgVersion(text) for text in rising]
    assert all(order(one, other) == "lt" for one, other in pairwise(parsed))


# ---- Python: the order of PEP 440, stated anew, against the library that is used

_PEP440 = re.compile(
    # Appendix B of PEP 440, with the spellings that it allows.
    r"v?(?:(?P<epoch>[0-9]+)!)?(?P<release>[0-9]+(?:\.[0-9]+)*)"
    r"(?:[-_.]?(?P<pre>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<pren>[0-9]*))?"
    r"(?P<post>-(?P<implicit>[0-9]+)|[-_.]?(?:post|rev|r)[-_.]?(?P<postn>[0-9]*))?"
    r"(?P<dev>[-_.]?dev[-_.]?(?P<devn>[0-9]*))?"
    r"(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?",
    re.IGNORECASE,
)
_INFINITY = float("inf")


def stated(text: str) -> tuple[Any, ...]:
    """A key in PEP 440's order: within a release dev, alpha, beta, candidate, final, post."""
    match = _PEP440.fullmatch(text)
    assert match, text
    release = [int(part) for part in match["release"].split(".")]
    while release and not release[-1]:
        release.pop()
    letters = {"a": 1, "alpha": 1, "b": 2, "beta": 2, "c": 3, "rc": 3, "pre": 3, "preview": 3}
    if match["pre"]:
        phase, number = letters[match["pre"].lower()], int(match["pren"] or 0)
    elif match["dev"] and not match["post"]:
        phase, number = 0, 0
    else:
        phase, number = 4, 0
    post = int(match["implicit"] or match["postn"] or 0) if match["post"] else -1
    dev = int(match["devn"] or 0) if match["dev"] else _INFINITY
    local = [
        (1, int(part), "") if part.isdigit() else (0, 0, part)
        for part in re.split(r"[-_.]", (match["local"] or "").lower())
        if part
    ]
    return int(match["epoch"] or 0), release, phase, number, post, dev, local


_spelt = st.builds(
    lambda *parts: "".join(parts),
    st.sampled_from(["", "", "0!", "1!", "v"]),
    st.lists(st.integers(0, 2), min_size=1, max_size=4).map(lambda each: ".".join(map(str, each))),
    st.sampled_from(["", "", "a1", ".alpha.1", "b", "_beta2", "rc1", "c1", "-pre1", "RC2", ".preview"]),
    st.sampled_from(["", "", ".post1", "-1", "post", "-r2", "rev1", ".POST.1"]),
    st.sampled_from(["", "", ".dev1", "dev", "-dev_2", ".DEV2"]),
    st.sampled_from(["", "", "+cpu", "+1", "+cu118", "+Cu118.1", "+ubuntu-1", "+1.a", "+a.1"]),
)


@settings(max_examples=1500)
@given(one=_spelt | pep440, other=_spelt | pep440)
def test_the_python_order_is_pep440s(one: str, other: str) -> None:
    parsed = versions.parse(PYPI, one), versions.parse(PYPI, other)
    assert order(*parsed) == order_of_keys(stated(one), stated(other))
    assert (versions.normalised(Kind.PYPI, one) == versions.normalised(Kind.PYPI, other)) <= (
        order(*parsed) == "eq"
    )


def order_of_keys(one: tuple[Any, ...], other: tuple[Any, ...]) -> str:
    return "eq" if one == other else "lt" if one < other else "gt"


@pytest.mark.parametrize("text", ["", "1.0-1x", "2019-09-12 or so", "1.0 ", "1\u0660", "one", "1" * 5000])
def test_what_is_no_python_version(text: str) -> None:
    assert not versions.is_pep440(text)


def test_a_local_version_is_a_build_of_its_public_one() -> None:
    assert versions.public(Version("2.1.0+cu118")) == Version("2.1.0")
    assert versions.public(Version("1!2.0rc1.post2.dev3+x.1")) == Version("1!2.0rc1.post2.dev3")
    plain, debian = Version("2.1.0"), DpkgVersion("2.1+dfsg-1")
    assert versions.public(plain) is plain
    assert versions.public(debian) is debian


@pytest.mark.parametrize(
    ("ecosystem", "text", "expected"),
    [
        ("Debian:12", "8.5.0-2~bpo12+1", ("Debian:13", "8.5.0-2")),
        ("Debian:12", "1:2.0-1+deb13u1~bpo12+2", ("Debian:13", "1:2.0-1+deb13u1")),
        ("Debian:12", "8.5.0-2~bpo12+1+b2", ("Debian:13", "8.5.0-2")),
        ("Debian:11", "6.1-1~bpo11+1", ("Debian:12", "6.1-1")),
        ("Debian:12", "6.1-1~bpo11+1", ("Debian:12", "6.1-1")),
        ("Debian:12", "8.14.1-2+deb13u2~bpo13+1", ("Debian:13", "8.14.1-2+deb13u2")),
        ("Debian:12", "3.0-1~deb13u2~bpo12+1", ("Debian:13", "3.0-1~deb13u2")),
        ("Debian:12", "1.0~bpo12+1-1", None),
        ("Debian:12", "1.6-2.1+deb12u1", None),
        ("Ubuntu:22.04:LTS", "6.1-1~bpo22.04.1~ppa1", None),
        (PYPI, "1.0", None),
    ],
)
def test_a_backport_is_judged_as_what_it_was_made_of(
    ecosystem: str, text: str, expected: tuple[str, str] | None
) -> None:
    assert versions.backported(ecosystem, text) == expected


@pytest.mark.parametrize(
    ("ecosystem", "source", "text", "expected"),
    [
        ("Debian:12", "linux-signed-amd64", "6.1.76+1", ("linux", "6.1.76-1")),
        ("Debian:12", "linux-signed-arm64", "6.12.43+1~bpo12+1", ("linux", "6.12.43-1~bpo12+1")),
        ("Debian:12", "linux-signed-amd64", "6.1.76-1", ("linux", "6.1.76-1")),
        ("Debian:12", "linux", "6.1.76-1", ("linux", "6.1.76-1")),
        ("Debian:12", "linux-signed", "1+2", ("linux-signed", "1+2")),
        ("PyPI", "linux-signed-amd64", "6.1.76+1", ("linux-signed-amd64", "6.1.76+1")),
    ],
)
def test_a_signed_kernel_is_judged_as_what_was_signed(
    ecosystem: str, source: str, text: str, expected: tuple[str, str]
) -> None:
    assert versions.unsigned(ecosystem, source, text) == expected


def test_names_are_normalised_in_python_only() -> None:
    assert versions.normalised_name(PYPI, "Zope.Interface_x--y") == "zope-interface-x-y"
    assert versions.normalised_name("Debian:12", "gtk+3.0") == "gtk+3.0"
