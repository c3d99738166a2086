"""Where this host's apt gets Debian packages from, read from its own configuration (sources.list(5))."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from debian.deb822 import Deb822

MIRROR_VARIABLE: Final = "DMZ_SANDBOX_MIRROR"
"""Overrides the mirror that apt is configured with; its value is the address above `dists/`."""

KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
"""The keys of all supported Debian releases, of the package debian-archive-keyring."""

_CODENAMES: Final = ("bullseye", "bookworm", "trixie", "forky", "sid")
_ALIASES: Final = ("oldoldstable", "oldstable", "stable", "testing", "unstable")
_RELEASES: Final = frozenset(_CODENAMES + _ALIASES)
"""Suites by which a Debian mirror is told from anything else that apt may be configured with."""


class NoMirrorError(Exception):
    """This host's apt names no Debian mirror; the text says what to do."""


@dataclass(frozen=True)
class Source:
    """One suite of one archive."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str
    """Path of a keyring, or the key itself; empty when the source names none."""


@dataclass(frozen=True)
class Mirror:
    """What a Debian base system can be made from."""

    uri: str
    keyring: str
    """Path of a keyring, or an ASCII-armored key."""


def debian_mirror(etc: Path = Path("/etc/apt"), environ: Mapping[str, str] = os.environ) -> Mirror:
    """The mirror that DMZ_SANDBOX_MIRROR names, else that of this host's apt, else NoMirrorError."""
    override = environ.get(MIRROR_VARIABLE)
    if override:
        return Mirror(override.rstrip("/"), str(KEYRING))
    for source in sources(etc):
        if source.suite in _RELEASES and "main" in source.components:
            return Mirror(source.uri.rstrip("/"), source.signed_by or str(KEYRING))
    raise NoMirrorError(f"apt on this host has no Debian mirror in {etc}: name one in {MIRROR_VARIABLE}")


def sources(etc: Path) -> Iterator[Source]:
    """Every source of binary packages that is switched on, in the order in which apt reads them."""
    parts = etc / "sources.list.d"
    files = [etc / "sources.list", *(sorted(parts.iterdir()) if parts.is_dir() else ())]
    for file in files:
        if file.suffix == ".list" and file.is_file():
            for line in file.read_text(encoding="utf-8").splitlines():
                yield from _one_line(line)
        elif file.suffix == ".sources" and file.is_file():
            with file.open(encoding="utf-8") as text:
                for stanza in Deb822.iter_paragraphs(text, use_apt_pkg=False):
                    yield from _stanza(stanza)


def _one_line(line: str) -> Iterator[Source]:
    words = line.partition("#")[0].split()
    if not words or words[0] != "deb":
        return
    signed_by = ""
    rest = words[1:]
    if rest and rest[0].startswith("["):
        options, _, after = " ".join(rest).partition("]")
        rest = after.split()
        for option in shlex.split(options.strip("[ ")):
            key, _, value = option.partition("=")
            if key == "signed-by":
                signed_by = value.partition(",")[0]
    if len(rest) >= 2:
        yield Source(rest[0], rest[1], tuple(rest[2:]), signed_by)


def _stanza(stanza: Mapping[str, str]) -> Iterator[Source]:
    if stanza.get("Enabled", "yes").strip().lower() in ("no", "false", "0"):
        return
    if "deb" not in stanza.get("Types", "").split():
        return
    signed_by = stanza.get("Signed-By", "").strip()
    if "BEGIN PGP" in signed_by:
        # A key inside a stanza is indented, and its empty lines are written as a dot.
        lines = (line.strip() for line in signed_by.splitlines())
        signed_by = "\n".join("" if line == "." else line for line in lines) + "\n"
    else:
        signed_by = signed_by.split()[0] if signed_by else ""
    for uri in stanza.get("URIs", "").split():
        for suite in stanza.get("Suites", "").split():
            yield Source(uri, suite, tuple(stanza.get("Components", "").split()), signed_by)
