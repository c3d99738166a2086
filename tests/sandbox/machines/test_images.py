"""Where base images come from, and which there are."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest

from sandbox.cloud.errors import ApiError
from sandbox.machines.aptsources import KEYRING, Mirror, NoMirrorError, debian_mirror
from sandbox.machines.images import RUNTIMES, Images, recipe

DEB822 = """\
# the comment of a mirror
Types: deb deb-src
URIs: http://mirror.invalid/debian/
Suites: {suite} {suite}-updates
Components: main contrib
Signed-By: /usr/share/keyrings/own.gpg

Types: deb
URIs: http://mirror.invalid/debian-security
Suites: {suite}-security
Components: main
"""

EMBEDDED = """\
Types: deb
URIs: http://mirror.invalid/debian
Suites: trixie
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBF
 -----END PGP PUBLIC KEY BLOCK-----
"""


@pytest.mark.parametrize("suite", ["bookworm", "trixie", "stable"])
def test_the_mirror_of_a_newer_host_serves_as_well(tmp_path: Path, suite: str) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d/debian.sources").write_text(DEB822.format(suite=suite))
    assert debian_mirror(tmp_path, {}) == Mirror(
        "http://mirror.invalid/debian", "/usr/share/keyrings/own.gpg"
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("deb http://a.invalid/debian bookworm main", Mirror("http://a.invalid/debian", str(KEYRING))),
        (
            "deb [ arch=amd64 signed-by=/k.gpg ] http://a.invalid/debian/ trixie main non-free # x",
            Mirror("http://a.invalid/debian", "/k.gpg"),
        ),
    ],
)
def test_one_line_sources(tmp_path: Path, line: str, expected: Mirror) -> None:
    others = (
        "# deb http://off.invalid/debian bookworm main\ndeb-src http://src.invalid/debian bookworm main\n"
    )
    (tmp_path / "sources.list").write_text(f"{others}\n{line}\n")
    assert debian_mirror(tmp_path, {}) == expected


def test_a_key_inside_the_source(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d/debian.sources").write_text(EMBEDDED)
    key = debian_mirror(tmp_path, {}).keyring
    assert key.splitlines() == [
        "-----BEGIN PGP PUBLIC KEY BLOCK-----",
        "",
        "mQINBF",
        "-----END PGP PUBLIC KEY BLOCK-----",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "deb http://a.invalid/ubuntu jammy main\n",
        "deb http://a.invalid/debian-security bookworm-security main\n",
        "deb http://a.invalid/tool bookworm stable\n",
    ],
)
def test_a_host_without_a_debian_mirror(tmp_path: Path, text: str) -> None:
    (tmp_path / "sources.list").write_text(text)
    with pytest.raises(NoMirrorError, match="DMZ_SANDBOX_MIRROR"):
        debian_mirror(tmp_path, {})


def test_a_source_that_is_switched_off(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d/debian.sources").write_text(f"Enabled: no\n{DEB822.format(suite='bookworm')}")
    with pytest.raises(NoMirrorError):
        debian_mirror(tmp_path, {})


def test_the_variable_overrides_apt(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb http://a.invalid/debian bookworm main\n")
    assert debian_mirror(tmp_path, {"DMZ_SANDBOX_MIRROR": "http://b.invalid/debian/"}).uri == (
        "http://b.invalid/debian"
    )


def test_another_recipe_is_another_image() -> None:
    known = recipe("sandbox-debian-12")
    assert dataclasses.replace(known, include=(*known.include, "git")).digest != known.digest


@pytest.mark.parametrize("runtime", ["", "tpu-ubuntu2204-base", "sandbox-debian-13", "../../etc"])
def test_an_unknown_runtime_is_refused(tmp_path: Path, runtime: str) -> None:
    with pytest.raises(ApiError, match="can't be made by the sandbox, which offers: sandbox-debian-12"):
        Images(tmp_path, lambda line: None).path(runtime)


@pytest.mark.sandbox
def test_nothing_of_the_host_is_in_the_image(cache: Path) -> None:
    """Neither the mirror that it came from, nor the host's name and name servers."""
    root = asyncio.run(Images(cache, lambda line: None).root("sandbox-debian-12"))
    assert list(RUNTIMES) == ["sandbox-debian-12"]
    assert (root / "etc/apt/sources.list").read_text() == ""
    assert list((root / "etc/apt/sources.list.d").iterdir()) == []
    for name in ("etc/hostname", "etc/resolv.conf"):
        assert not (root / name).exists()
    host = debian_mirror().uri.split("/")[2].encode()
    files = [file for folder in ("etc", "var") for file in (root / folder).rglob("*") if file.is_file()]
    assert files
    assert [file for file in files if not file.is_symlink() and host in file.read_bytes()] == []
