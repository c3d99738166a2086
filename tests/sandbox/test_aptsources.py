"""What is read of apt's own configuration."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from sandbox import aptsources
from sandbox.aptsources import AptSourcesError, Archive

DEB822 = """\
# the comment of a mirror
Types: deb deb-src
URIs: http://mirror.invalid/debian/
Suites: {suite} {suite}-updates
Components: main contrib
Signed-By: {own}

Types: deb
URIs: http://mirror.invalid/debian-security
Suites: {suite}-security
Components: main
Signed-By: {own}, {other}
"""

EMBEDDED = """\
Types: deb
URIs: http://mirror.invalid/debian
Suites: trixie
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 b3duIGtl
 eXM=
 =abcd
 -----END PGP PUBLIC KEY BLOCK-----
"""


class Host:
    """apt's configuration of a host, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.own = self.keyring("own.gpg", b"own keys")
        self.other = self.keyring("other.gpg", b"other keys")
        (folder / "sources.list.d").mkdir()
        (folder / "trusted.gpg.d").mkdir()
        self.conf = folder / "apt.conf"
        self.conf.write_text(f'Dir::Etc "{folder}";\n')

    def keyring(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return path

    def lines(self, text: str) -> None:
        (self.folder / "sources.list").write_text(text)

    def stanzas(self, text: str, name: str = "debian.sources") -> None:
        (self.folder / "sources.list.d" / name).write_text(text)

    def debian(self, suite: str = "bookworm", before: str = "") -> None:
        self.stanzas(before + DEB822.format(suite=suite, own=self.own, other=self.other))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path)
    monkeypatch.setenv("APT_CONFIG", str(made.conf))
    monkeypatch.delenv("DMZ_SANDBOX_MIRROR", raising=False)
    monkeypatch.setattr(aptsources, "KEYRINGS", tmp_path / "keyrings")
    made.keyring("keyrings/debian-archive-keyring.gpg", b"debian keys")
    return made


def debian(suite: str = "bookworm") -> Archive:
    return aptsources.archive("debian", "debian", suite)


@pytest.mark.parametrize("suite", ["bookworm", "trixie", "stable"])
def test_the_mirror_of_a_newer_host_serves_as_well(host: Host, suite: str) -> None:
    host.debian(suite)
    assert debian() == Archive("http://mirror.invalid/debian", b"own keys")


def test_another_archive_of_the_mirror_with_its_keys(host: Host) -> None:
    host.debian()
    found = aptsources.archive("debian", "debian-security", "bookworm-security")
    assert found == Archive("http://mirror.invalid/debian-security", b"own keysother keys")


def test_the_wanted_suite_goes_first(host: Host) -> None:
    host.lines(f"deb [signed-by={host.own}] http://old.invalid/debian bullseye main\n")
    host.debian()
    assert debian("bullseye").uri == "http://old.invalid/debian"
    assert debian().uri == "http://mirror.invalid/debian"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("deb http://a.invalid/debian bookworm main", Archive("http://a.invalid/debian", b"debian keys")),
        (
            "deb [ arch=amd64 signed-by={own} ] http://a.invalid/debian/ trixie main non-free # x",
            Archive("http://a.invalid/debian", b"own keys"),
        ),
    ],
)
def test_one_line_sources(host: Host, line: str, expected: Archive) -> None:
    others = (
        "# deb http://off.invalid/debian bookworm main\ndeb-src http://src.invalid/debian bookworm main\n"
    )
    host.lines(f"{others}\n{line.format(own=host.own)}\n")
    assert debian() == expected


def test_a_key_inside_the_source(host: Host) -> None:
    host.stanzas(EMBEDDED)
    assert debian().keyring == b"own keys"


def test_an_armoured_keyring(host: Host) -> None:
    text = base64.b64encode(b"armoured keys").decode()
    begin, end = (f"-----{word} PGP PUBLIC KEY BLOCK-----" for word in ("BEGIN", "END"))
    host.own.write_text(f"{begin}\nComment: x\n\n{text}\n=abcd\n{end}\n")
    host.debian()
    assert debian().keyring == b"armoured keys"


def test_what_apt_trusts_for_all_counts_where_a_source_names_no_key(host: Host) -> None:
    host.keyring("trusted.gpg.d/all.gpg", b"trusted keys")
    host.lines("deb http://a.invalid/debian bookworm main\n")
    assert debian().keyring == b"trusted keys"


def test_addresses_in_a_file(host: Host) -> None:
    (host.folder / "mirrors").write_text("http://a.invalid/debian\n")
    host.lines(f"deb [signed-by={host.own}] mirror+file:{host.folder}/mirrors bookworm main\n")
    assert debian().uri == "http://a.invalid/debian"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "deb http://a.invalid/ubuntu jammy main\n",
        "deb http://a.invalid/debian-security bookworm-security main\n",
        "deb http://a.invalid/tool bookworm stable\n",
        "deb http://a.invalid/linux/debian bookworm stable\n",
    ],
)
def test_a_host_without_a_debian_mirror(host: Host, text: str) -> None:
    host.lines(text)
    with pytest.raises(AptSourcesError, match=r"'debian' in it: add one .* DMZ_SANDBOX_MIRROR"):
        debian()


def test_a_source_that_is_switched_off(host: Host) -> None:
    host.stanzas(f"Enabled: no\n{EMBEDDED}")
    with pytest.raises(AptSourcesError):
        debian()


@pytest.mark.parametrize("mirror", ["http://b.invalid/debian/", "http://b.invalid"])
def test_the_variable_overrides_apt(host: Host, mirror: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMZ_SANDBOX_MIRROR", mirror)
    assert debian() == Archive("http://b.invalid/debian", b"debian keys")
    host.debian()
    security = aptsources.archive("debian", "debian-security")
    assert security == Archive("http://b.invalid/debian-security", b"own keysother keys")


def test_a_missing_keyring(host: Host) -> None:
    host.debian()
    host.own.unlink()
    with pytest.raises(
        AptSourcesError, match=r"own\.gpg is missing: apt-get install --yes debian-archive-keyring"
    ):
        debian()


def test_a_fingerprint_is_no_keyring(host: Host) -> None:
    host.lines("deb [signed-by=0123456789ABCDEF] http://a.invalid/debian bookworm main\n")
    with pytest.raises(AptSourcesError, match="fingerprint 0123456789ABCDEF: name a keyring file"):
        debian()


def test_an_archive_by_its_address(host: Host) -> None:
    host.lines(f"deb [signed-by={host.own}] http://a.invalid/tools/ stable main\n")
    assert aptsources.archive_at("http://a.invalid/tools") == Archive("http://a.invalid/tools", b"own keys")
    with pytest.raises(AptSourcesError, match="no key is known for the archive '/other'"):
        aptsources.archive_at("http://a.invalid/other")
