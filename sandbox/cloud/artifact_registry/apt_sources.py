"""Where remote apt repositories fetch from: the mirrors and keys in this machine's apt configuration."""

from __future__ import annotations

import base64
import os
import re
import shlex
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from debian.deb822 import Deb822

from sandbox.cloud.artifact_registry.repository import Repository
from sandbox.cloud.errors import failed_precondition, invalid, unimplemented

MIRROR_VARIABLE: Final = "DMZ_SANDBOX_MIRROR"
"""Names a mirror (`http://HOST/debian`) to use instead of those in apt's configuration; archives such as
`debian-security` are looked for beside it."""

_KEYRINGS: Final = {
    "DEBIAN": Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    "UBUNTU": Path("/usr/share/keyrings/ubuntu-archive-keyring.gpg"),
}
"""Where the distributions' own packages put their keys."""
_ONE_LINE: Final = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)")
_PUBLIC_PATH: Final = re.compile(
    r"(?P<archive>[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*)/dists/(?P<suite>[A-Za-z0-9._/-]+)"
)


@dataclass(frozen=True)
class Source:
    """One archive that apt is configured with."""

    uri: str
    suites: tuple[str, ...]
    keys: tuple[bytes, ...]
    """Binary keyrings; one of their keys has to have signed."""


@dataclass(frozen=True)
class SuiteUpstream:
    """One suite of one archive."""

    root: str
    """Address of the archive, without a slash at the end."""
    suite: str
    keys: tuple[bytes, ...]

    @property
    def url(self) -> str:
        """Address of the folder with `InRelease`."""
        return f"{self.root}/dists/{self.suite}"


def locate(repository: Repository) -> SuiteUpstream:
    """The upstream that a remote apt repository means.

    Raises:
        ApiError: its configuration is not offered here, or apt is not configured with such an archive.
    """
    config = repository.remote_config
    declared = config.get("aptRepository") or {}
    public = declared.get("publicRepository")
    custom = (declared.get("customRepository") or config.get("commonRepository") or {}).get("uri")
    if config.get("upstreamCredentials"):
        raise unimplemented("upstreamCredentials of a remote repository are not offered by the sandbox")
    if public:
        return _public(str(public.get("repositoryBase", "")), str(public.get("repositoryPath", "")))
    if custom:
        return _custom(str(custom))
    raise failed_precondition(
        f"Repository {repository.id} names no apt upstream; set publicRepository or a uri with /dists/SUITE"
    )


def sources() -> list[Source]:
    """Every enabled binary source that apt is configured with, in apt's order.

    Raises:
        ApiError: apt can't be asked, or a source has a key that can't be read.
    """
    settings = _settings()
    trusted = [settings["trusted"], *_files(settings["trustedparts"], ".gpg", ".asc")]
    default_keys = tuple(_keyring(path.read_bytes()) for path in trusted if path.is_file())
    found: list[Source] = []
    for path in [settings["list"], *_files(settings["parts"], ".list", ".sources")]:
        if path.is_file():
            read = _stanzas if path.suffix == ".sources" else _lines
            found += read(path.read_text(encoding="utf-8"), default_keys)
    return found


def _public(base: str, path: str) -> SuiteUpstream:
    if base not in _KEYRINGS:
        raise unimplemented(
            f"repositoryBase {base or 'unset'} is not offered by the sandbox; use DEBIAN or UBUNTU"
        )
    parts = _PUBLIC_PATH.fullmatch(path.strip("/"))
    if parts is None or ".." in path:
        raise invalid(f"repositoryPath '{path}' is not of the form ARCHIVE/dists/SUITE")
    archive, suite = parts["archive"], parts["suite"]
    fitting = [source for source in sources() if archive in urlsplit(source.uri).path.split("/")]
    fitting.sort(key=lambda source: suite not in source.suites)
    mirror = os.environ.get(MIRROR_VARIABLE)
    if mirror:
        keys = fitting[0].keys if fitting else _distribution_keys(base)
        return SuiteUpstream(_beside(mirror, archive), suite, keys)
    if not fitting:
        raise failed_precondition(
            f"apt on this machine has no source whose address has '{archive}' in it; "
            f"add one, or name a mirror in {MIRROR_VARIABLE}"
        )
    return SuiteUpstream(fitting[0].uri, suite, fitting[0].keys or _distribution_keys(base))


def _custom(uri: str) -> SuiteUpstream:
    root, found, suite = uri.rstrip("/").partition("/dists/")
    if not found:
        raise invalid(f"The upstream uri '{urlsplit(uri).path}' is not of the form ROOT/dists/SUITE")
    for source in sources():
        if source.uri == root and source.keys:
            return SuiteUpstream(root, suite, source.keys)
    raise failed_precondition(
        f"No key is known for the upstream '{urlsplit(uri).path}': add it to apt's sources with Signed-By"
    )


def _beside(mirror: str, archive: str) -> str:
    """The address of an archive on a mirror that may be named with its main archive's folder."""
    root = mirror.rstrip("/")
    for known in ("debian", "ubuntu"):
        root = root.removesuffix(f"/{known}")
    return f"{root}/{archive}"


def _distribution_keys(base: str) -> tuple[bytes, ...]:
    path = _KEYRINGS[base]
    if not path.exists():
        raise failed_precondition(f"The keyring {path} is missing: install the package {path.stem}")
    return (_keyring(path.read_bytes()),)


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
        raise failed_precondition(f"apt's configuration can't be read with apt-config: {error}") from error
    pairs = (assignment.partition("=") for assignment in shlex.split(output))
    values = {name: Path(value) for name, _, value in pairs}
    return {name: values.get(name, Path("/nonexistent")) for name in asked}


def _files(folder: Path, *suffixes: str) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix in suffixes)


def _stanzas(text: str, default_keys: tuple[bytes, ...]) -> Iterator[Source]:
    for stanza in Deb822.iter_paragraphs(text, use_apt_pkg=False):
        enabled = str(stanza.get("Enabled", "yes")).strip().lower() not in {"no", "false", "0"}
        if enabled and "deb" in str(stanza.get("Types", "")).split():
            keys = _signed_by(str(stanza.get("Signed-By", "")), default_keys)
            suites = tuple(str(stanza.get("Suites", "")).split())
            for uri in _addresses(str(stanza.get("URIs", "")).split()):
                yield Source(uri, suites, keys)


def _lines(text: str, default_keys: tuple[bytes, ...]) -> Iterator[Source]:
    for line in text.splitlines():
        found = _ONE_LINE.match(line.strip())
        if found:
            options = dict(
                item.partition("=")[::2] for item in (found["options"] or "").split() if "=" in item
            )
            keys = _signed_by(options.get("signed-by", ""), default_keys)
            for uri in _addresses([found["uri"]]):
                yield Source(uri, (found["suite"],), keys)


def _addresses(uris: Iterable[str]) -> Iterator[str]:
    """The http(s) addresses among `uris`; cloud images name theirs in a file (`mirror+file:`)."""
    for uri in uris:
        if uri.startswith("mirror+file:"):
            path = Path("/" + uri.removeprefix("mirror+file:").lstrip("/"))
            if path.is_file():
                yield from _addresses(
                    line.split()[0] for line in path.read_text().splitlines() if line.strip()
                )
        elif uri.startswith(("http://", "https://")):
            yield uri.rstrip("/")


def _signed_by(value: str, default_keys: tuple[bytes, ...]) -> tuple[bytes, ...]:
    if not value.strip():
        return default_keys
    if "-----BEGIN" in value:
        lines = (line.strip() for line in value.strip().splitlines())
        return (_keyring("\n".join("" if line == "." else line for line in lines).encode()),)
    paths = [Path(item) for item in re.split(r"[\s,]+", value.strip())]
    if not all(path.is_absolute() for path in paths):
        raise unimplemented("A source of apt's is signed by a fingerprint; name a keyring file in Signed-By")
    return tuple(_keyring(path.read_bytes()) for path in paths if path.is_file())


def _keyring(data: bytes) -> bytes:
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
