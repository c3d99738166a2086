"""Where apt on this host gets its packages from, and whose signatures it trusts (sources.list(5))."""

from __future__ import annotations

import base64
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from debian.deb822 import Deb822

MIRROR_VARIABLE: Final = "DMZ_SANDBOX_MIRROR"
"""Names a mirror (`http://HOST/debian`) to use instead of those in apt's configuration; archives such as
`debian-security` are looked for beside it."""

KEYRINGS: Final = Path("/usr/share/keyrings")
"""Where the packages `debian-archive-keyring` and `ubuntu-keyring` put their keys."""

_ONE_LINE: Final = re.compile(
    r"\s*deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<components>[^#]*)"
)


class AptSourcesError(Exception):
    """apt's configuration doesn't have what is needed; the text is one line."""

    def __init__(self, what: str, remedy: str) -> None:
        """`what` is wrong, and how to mend it."""
        super().__init__(f"{what}: {remedy}")
        self.what = what
        self.remedy = remedy


@dataclass(frozen=True)
class Source:
    """One suite of one archive that apt is configured with."""

    uri: str
    """Address above `dists/`, without a slash at the end."""
    suite: str
    components: tuple[str, ...]
    signed_by: tuple[str, ...]
    """Paths of keyrings, or an ASCII-armoured key; what apt trusts for all when the source names none."""


@dataclass(frozen=True)
class Archive:
    """Where to fetch an archive from."""

    uri: str
    """Address above `dists/`, without a slash at the end."""
    keyring: bytes
    """Binary OpenPGP keys; one of them has to have signed."""


def archive(distribution: str, name: str, suite: str = "") -> Archive:
    """The archive `name` (`debian`, `debian-security`) of `debian` or `ubuntu`.

    A mirror has all suites, so another release's source serves as well; one with `suite` goes first.

    Raises:
        AptSourcesError: apt has no such archive, or its keys are missing.
    """
    fitting = [
        source
        for source in sources()
        if name in urlsplit(source.uri).path.split("/") and "main" in source.components
    ]
    fitting.sort(key=lambda source: source.suite != suite)
    mirror = os.environ.get(MIRROR_VARIABLE)
    if mirror and not re.fullmatch(r"(https?|file)://\S+", mirror):
        raise AptSourcesError(f"{MIRROR_VARIABLE} names no mirror", "write it like http://HOST/debian")
    if not fitting and not mirror:
        raise AptSourcesError(
            f"apt on this host has no source whose address has '{name}' in it",
            f"add one to /etc/apt/sources.list.d, or name a mirror in {MIRROR_VARIABLE}",
        )
    signed_by = fitting[0].signed_by if fitting else ()
    keyring = _keyring(signed_by or (str(KEYRINGS / f"{distribution}-archive-keyring.gpg"),))
    return Archive(_beside(mirror, name) if mirror else fitting[0].uri, keyring)


def archive_at(uri: str) -> Archive:
    """The archive at exactly that address, with the keys that apt has for it.

    Raises:
        AptSourcesError: apt has no such source, or its keys are missing.
    """
    for source in sources():
        if source.uri == uri.rstrip("/") and source.signed_by:
            return Archive(source.uri, _keyring(source.signed_by))
    what = f"no key is known for the archive '{urlsplit(uri).path}'"
    raise AptSourcesError(what, "add it to apt's sources with Signed-By")


def sources() -> list[Source]:
    """Every source of binary packages that is switched on, in the order in which apt reads them.

    Raises:
        AptSourcesError: apt can't be asked for its configuration.
    """
    settings = _settings()
    keyrings = [settings["trusted"], *_files(settings["trustedparts"], ".gpg", ".asc")]
    trusted = tuple(str(path) for path in keyrings if path.is_file() and path.stat().st_size)
    found: list[Source] = []
    for path in [settings["list"], *_files(settings["parts"], ".list", ".sources")]:
        if path.is_file():
            read = _stanzas if path.suffix == ".sources" else _lines
            found += read(path.read_text(encoding="utf-8"), trusted)
    return found


def _settings() -> dict[str, Path]:
    asked = {
        "list": "Dir::Etc::sourcelist/f",
        "parts": "Dir::Etc::sourceparts/d",
        "trusted": "Dir::Etc::trusted/f",
        "trustedparts": "Dir::Etc::trustedparts/d",
    }
    command = ["apt-config", "shell", *(item for pair in asked.items() for item in pair)]
    try:
        output = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise AptSourcesError(f"apt-config fails ({error})", "use a Debian 12 machine") from error
    pairs = (assignment.partition("=") for assignment in shlex.split(output))
    values = {name: Path(value) for name, _, value in pairs}
    return {name: values.get(name, Path("/nonexistent")) for name in asked}


def _files(folder: Path, *suffixes: str) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix in suffixes)


def _stanzas(text: str, trusted: tuple[str, ...]) -> Iterator[Source]:
    for stanza in Deb822.iter_paragraphs(text, use_apt_pkg=False):
        enabled = str(stanza.get("Enabled", "yes")).strip().lower() not in {"no", "false", "0"}
        if not enabled or "deb" not in str(stanza.get("Types", "")).split():
            continue
        components = tuple(str(stanza.get("Components", "")).split())
        signed_by = _signed_by(str(stanza.get("Signed-By", ""))) or trusted
        for uri in _addresses(str(stanza.get("URIs", "")).split()):
            for suite in str(stanza.get("Suites", "")).split():
                yield Source(uri, suite, components, signed_by)


def _lines(text: str, trusted: tuple[str, ...]) -> Iterator[Source]:
    for line in text.splitlines():
        found = _ONE_LINE.match(line)
        if found is None:
            continue
        options = dict(item.partition("=")[::2] for item in (found["options"] or "").split())
        signed_by = _signed_by(options.get("signed-by", "")) or trusted
        for uri in _addresses([found["uri"]]):
            yield Source(uri, found["suite"], tuple(found["components"].split()), signed_by)


def _signed_by(value: str) -> tuple[str, ...]:
    if "-----BEGIN" not in value:
        return tuple(re.split(r"[\s,]+", value.strip())) if value.strip() else ()
    # A key inside a stanza is indented, and its empty lines are written as a dot.
    lines = (line.strip() for line in value.strip().splitlines())
    return ("\n".join("" if line == "." else line for line in lines),)


def _addresses(uris: list[str]) -> Iterator[str]:
    """The http(s) addresses among `uris`; cloud images name theirs in a file (`mirror+file:`)."""
    for uri in uris:
        if uri.startswith("mirror+file:"):
            path = Path("/" + uri.removeprefix("mirror+file:").lstrip("/"))
            if path.is_file():
                listed = path.read_text(encoding="utf-8").splitlines()
                yield from _addresses([line.split()[0] for line in listed if line.strip()])
        elif uri.startswith(("http://", "https://")):
            yield uri.rstrip("/")


def _beside(mirror: str, name: str) -> str:
    """The address of an archive on a mirror that may be named with its main archive's folder."""
    root = mirror.rstrip("/")
    for known in ("debian", "ubuntu"):
        root = root.removesuffix(f"/{known}")
    return f"{root}/{name}"


def _keyring(signed_by: tuple[str, ...]) -> bytes:
    return b"".join(_keys(item) for item in signed_by)


def _keys(signed_by: str) -> bytes:
    """The binary keys of one item of Signed-By."""
    if signed_by.startswith("-----BEGIN"):
        return _dearmoured(signed_by.encode())
    path = Path(signed_by)
    if not path.is_absolute():
        what = f"apt has a source that is signed by the fingerprint {signed_by}"
        raise AptSourcesError(what, "name a keyring file in its Signed-By")
    if not path.is_file():
        package = "ubuntu-keyring" if path.name.startswith("ubuntu") else "debian-archive-keyring"
        raise AptSourcesError(f"the keyring {path} is missing", f"apt-get install --yes {package}")
    return _dearmoured(path.read_bytes())


def _dearmoured(data: bytes) -> bytes:
    """A binary keyring, all that gpgv reads, from a binary or an armoured one (RFC 9580, section 6.2)."""
    if not data.lstrip().startswith(b"-----BEGIN"):
        return data
    body: list[bytes] = []
    keys = b""
    inside = in_header = False
    for line in data.splitlines():
        if line.startswith(b"-----BEGIN"):
            inside, in_header, body = True, True, []
        elif line.startswith(b"-----END"):
            keys += base64.b64decode(b"".join(body))
            inside = False
        elif in_header:
            in_header = bool(line.strip())
        elif inside and not line.startswith(b"="):
            body.append(line.strip())
    return keys
