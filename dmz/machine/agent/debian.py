"""Debian packages by the image's own apt and dpkg, from Artifact Registry repositories only.

Plain https with apt's `auth.conf` serves: no transport has to be installed before anything can be.
Source: https://cloud.google.com/artifact-registry/docs/os-packages/debian/configure
"""

from __future__ import annotations

import hashlib
import shutil
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import metadata
from .command import StepError, run

_FOLDER = Path("/opt/dmz/apt")
# What decides what apt does with a package beside others (Debian Policy, chapter 7).
_RELATIONS = (
    *("Pre-Depends", "Depends", "Provides", "Conflicts", "Breaks", "Replaces"),
    *("Multi-Arch", "Essential", "Protected"),
)
_ENV = {"DEBIAN_FRONTEND": "noninteractive", "APT_CONFIG": str(_FOLDER / "apt.conf")}


@dataclass(frozen=True)
class Package:
    """One installed package, as dpkg's status has it."""

    name: str
    architecture: str
    version: str
    source: str
    source_version: str


def installed() -> dict[tuple[str, str], Package]:
    """Everything that dpkg calls installed, by name and architecture."""
    fields = ["db:Status-Abbrev", "Package", "Architecture", "Version", "source:Package", "source:Version"]
    layout = "\t".join(f"${{{field}}}" for field in fields) + "\n"
    found = {}
    for line in run(["dpkg-query", "-W", "-f", layout]).splitlines():
        status, name, architecture, version, source, source_version = line.split("\t")
        if status.startswith("ii"):
            found[name, architecture] = Package(name, architecture, version, source, source_version)
    return found


def relations() -> list[dict[str, object]]:
    """Everything that dpkg calls installed, with the fields by which packages depend on each other."""
    fields = ["db:Status-Abbrev", "Package", "Version", "Architecture", *_RELATIONS]
    layout = "\t".join(f"${{{field}}}" for field in fields) + "\n"
    found: list[dict[str, object]] = []
    for line in run(["dpkg-query", "-W", "-f", layout]).splitlines():
        state, name, version, architecture, *values = line.split("\t")
        if state.startswith("ii"):
            pairs = zip(_RELATIONS, values, strict=True)
            told = {field: value for field, value in pairs if value not in ("", "no")}
            found.append({"name": name, "version": version, "architecture": architecture, "relations": told})
    return found


def digest(packages: Iterable[Package]) -> str:
    """The base image's identity: SHA-256 over its sorted `Package:Architecture Version` lines."""
    lines = sorted(f"{package.name}:{package.architecture} {package.version}\n" for package in packages)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def upgrades_off() -> None:
    """Keep the image from changing itself: what is installed is what was approved."""
    Path("/etc/apt/apt.conf.d/99dmz").write_text(
        'APT::Periodic::Enable "0";\nAPT::Periodic::Unattended-Upgrade "0";\n', encoding="utf-8"
    )
    if shutil.which("systemctl") and Path("/run/systemd/system").is_dir():
        units = ["unattended-upgrades.service", "apt-daily.timer", "apt-daily-upgrade.timer"]
        for unit in units:
            run(["systemctl", "mask", "--now", unit])


def remote(location: str, project: str, repository: str, suite: str, components: Sequence[str]) -> str:
    """apt's line for a remote repository: upstream's own index, which the image's own keys verify."""
    return f"deb https://{_host(location)}/remote/{project}/{repository} {suite} {' '.join(components)}"


def standard(location: str, project: str, repository: str) -> str:
    """apt's line for a standard repository, with the service's key, fetched once for each call.

    The key shows where the index came from, and nothing of who approved what is in it.
    """
    request = urllib.request.Request(
        f"https://{_host(location)}/doc/repo-signing-key.gpg",
        headers={"Authorization": f"Bearer {metadata.token()}"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
        key = response.read()
    _FOLDER.mkdir(parents=True, exist_ok=True)
    _FOLDER.chmod(0o755)
    # apt tells an armoured key from a binary one by the file's name alone.
    keyring = _FOLDER / ("key.asc" if key.startswith(b"-----BEGIN") else "key.gpg")
    keyring.write_bytes(key)
    keyring.chmod(0o644)
    return f"deb [signed-by={keyring}] https://{_host(location)}/projects/{project} {repository} main"


def _host(location: str) -> str:
    return f"{location}-apt.pkg.dev"


def configure(location: str, lines: Sequence[str]) -> None:
    """Make apt know these source lines and no others, and fetch their indexes.

    Raises:
        StepError: an index could not be fetched or its signature is not one that is trusted.
    """
    _FOLDER.mkdir(parents=True, exist_ok=True)
    _FOLDER.chmod(0o755)
    sources = _FOLDER / "sources.list"
    sources.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    sources.chmod(0o644)
    auth = _FOLDER / "auth.conf"
    auth.touch(mode=0o600)
    auth.write_text(
        f"machine {_host(location)} login oauth2accesstoken password {metadata.token()}\n", encoding="utf-8"
    )
    configuration = _FOLDER / "apt.conf"
    configuration.write_text(
        f'Dir::Etc::sourcelist "{sources}";\nDir::Etc::sourceparts "-";\nDir::Etc::netrc "{auth}";\n'
        'Acquire::Languages "none";\nAcquire::Retries "3";\nAPT::Install-Recommends "0";\n'
        # The token's file is for root alone, so the methods that read it stay root.
        'APT::Sandbox::User "root";\n',
        encoding="utf-8",
    )
    configuration.chmod(0o644)
    run(["apt-get", "update", "-o", "APT::Update::Error-Mode=any"], env=_ENV)


def install(names: Sequence[str]) -> None:
    """Install by name, with what it depends on, from the configured repositories."""
    if names:
        run(["apt-get", "install", "-y", "-q", *names], env=_ENV)


def remove_unneeded(keep: Sequence[str]) -> None:
    """Remove every package that is neither in `keep` nor needed by what is."""
    everything = [
        f"{name}:{architecture}" if architecture != "all" else name for name, architecture in installed()
    ]
    run(["apt-mark", "auto", *everything], env=_ENV)
    run(["apt-mark", "manual", *(name.removesuffix(":all") for name in keep)], env=_ENV)
    run(["apt-get", "autoremove", "--purge", "-y", "-q"], env=_ENV)


def download(exact: Sequence[str], into: Path) -> None:
    """Fetch `NAME:ARCH=VERSION` debs without installing any."""
    if exact:
        into.mkdir(parents=True, exist_ok=True)
        run(["apt-get", "download", *exact], env=_ENV, cwd=str(into))


def install_files(files: Sequence[Path], remove: Sequence[str]) -> None:
    """Install exactly these files and remove these packages, with no repository at hand.

    Raises:
        StepError: something that they depend on is in neither the files nor the image.
    """
    if not files and not remove:
        return
    sealed = _FOLDER / "sealed.conf"
    sealed.write_text(
        'Dir::Etc::sourcelist "/dev/null";\nDir::Etc::sourceparts "-";\n'
        'Dir::State::Lists "/opt/dmz/apt/no-lists";\n'
        'APT::Install-Recommends "0";\nAPT::Sandbox::User "root";\n',
        encoding="utf-8",
    )
    (_FOLDER / "no-lists" / "partial").mkdir(parents=True, exist_ok=True)
    wanted = [str(path) for path in files] + [f"{name}-" for name in remove]
    try:
        run(
            ["apt-get", "install", "-y", "-q", "--allow-downgrades", *wanted],
            env={**_ENV, "APT_CONFIG": str(sealed)},
        )
    except StepError as error:
        raise StepError(f"apt could not install the release's debs: {error}") from None
