"""Python distributions by the image's own pip, from Artifact Registry repositories only."""

from __future__ import annotations

import json
import re
import shutil
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import metadata
from .command import CommandError, StepError, run

_NETRC = Path("/opt/dmz/netrc")
_LOCKED = Path("/opt/dmz/locked.txt")
_CA = "/etc/ssl/certs/ca-certificates.crt"
_WHEELS = ("--only-binary", ":all:", "--index-url")
_NAMED = re.compile(
    r"(?:No matching distribution found for|depends on|The user requested) (.+?)(?: \(from .*\))?$",
    re.MULTILINE,
)
_UNAVAILABLE = re.compile(r"no matching distributions available for your environment:\n((?: +\S+\n?)+)")


def _host(location: str) -> str:
    return f"{location}-python.pkg.dev"


def index(location: str, project: str, repository: str) -> str:
    """The repository's simple index (PEP 503)."""
    return f"https://{_host(location)}/{project}/{repository}/simple/"


def environment(location: str) -> dict[str, str]:
    """Variables for pip: credentials by a netrc file for root alone, none of the image's own settings."""
    _NETRC.touch(mode=0o600)
    _NETRC.write_text(
        f"machine {_host(location)} login oauth2accesstoken password {metadata.token()}\n", encoding="utf-8"
    )
    return {
        "NETRC": str(_NETRC),
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_CERT": _CA,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "PIP_CACHE_DIR": "/opt/dmz/pip-cache",
    }


def normalised(name: str) -> str:
    """The distribution's normalised name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


class MissingError(StepError):
    """pip found nothing that fits together among the wheels on offer."""

    def __init__(self, message: str, wanted: Sequence[str]) -> None:
        super().__init__(message)
        self.wanted = tuple(wanted)
        """Requirements that pip named; which of them lack a wheel, it does not say for certain."""


def install_reported(
    python: str, requirements: Sequence[str], location: str, simple: str, links: Path
) -> list[Mapping[str, Any]]:
    """Install wheels by requirement and return the `install` list of pip's installation report.

    Nothing is built: no code of a distribution runs.

    Args:
        links: a folder with wheels that are on offer besides those of the index.

    Raises:
        MissingError: nothing fits together.
        StepError: pip failed otherwise.

    Source: https://pip.pypa.io/en/stable/reference/installation-report/
    """
    env = environment(location)
    if not requirements:
        return []
    version = run([python, "-m", "pip", "--version"]).split()[1]
    if tuple(int(part) for part in version.split(".")[:2]) < (22, 2):  # no --report before
        run([python, "-m", "pip", "install", "-q", "--upgrade", *_WHEELS, simple, "pip"], env=env)
    wanted = Path("/opt/dmz/requirements.txt")
    wanted.write_text("".join(f"{line}\n" for line in requirements), encoding="utf-8")
    report = Path("/opt/dmz/report.json")
    try:
        run(
            # Not quiet: what does not fit together is no error's text, but said besides.
            [python, "-m", "pip", "install", "--no-compile", *_WHEELS, simple]
            + ["--find-links", str(links), "--report", str(report), "-r", str(wanted)],
            env=env,
        )
    except CommandError as error:
        if named := missing(error.said):
            raise MissingError(str(error), named) from None
        raise
    items: list[Mapping[str, Any]] = json.loads(report.read_text(encoding="utf-8"))["install"]
    return items


def missing(said: str) -> list[str]:
    """The requirements that pip names when nothing fits together, in whatever way it says so."""
    # Several bounds are shown with an "and" between them.
    found = [text.strip().replace(" and ", ",") for text in _NAMED.findall(said)]
    if block := _UNAVAILABLE.search(said):
        found += block[1].split()
    return list(dict.fromkeys(found))


def download(python: str, requirements: Sequence[str], location: str, simple: str, into: Path) -> None:
    """Fetch wheels for requirements, and for what those need; nothing is built and nothing installed."""
    run(
        [python, "-m", "pip", "download", "-q", *_WHEELS, simple, "-d", str(into), "--", *requirements],
        env=environment(location),
    )


def page(location: str, project: str, repository: str, name: str) -> str:
    """A project's page of the simple index (PEP 503); empty if there is none."""
    try:
        with _open(location, f"{project}/{repository}/simple/{name}/") as response:
            text: str = response.read().decode(errors="replace")
            return text
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return ""
        raise


def fetch(location: str, project: str, repository: str, name: str, filename: str, to: Path) -> None:
    """Download a file of the repository as it is."""
    address = f"{project}/{repository}/{name}/{urllib.parse.quote(filename)}"
    with _open(location, address) as response, to.open("wb") as out:
        shutil.copyfileobj(response, out, 1 << 20)


def choose_sdist(python: str, page: str, requirement: str) -> Mapping[str, str] | None:
    """The sdist to build for a requirement that no wheel answers (see sdists.py); None if there is none."""
    asked = json.dumps({"page": page, "requirement": requirement})
    program = Path(__file__).with_name("sdists.py")
    found: Mapping[str, str] | None = json.loads(run([python, "-I", str(program)], text=asked))
    return found


def _open(location: str, path: str) -> Any:
    request = urllib.request.Request(f"https://{_host(location)}/{path}", headers={"Accept": "text/html"})
    # A redirection leads to a storage address with a signature of its own, and needs no token.
    request.add_unredirected_header("Authorization", f"Bearer {metadata.token()}")
    context = ssl.create_default_context(cafile=_CA)
    return urllib.request.urlopen(request, timeout=300, context=context)  # noqa: S310


def download_locked(python: str, locked: Mapping[str, str], location: str, simple: str, into: Path) -> None:
    """Download exactly these wheels: `NAME==VERSION` to SHA-256, checked by pip in its hash mode."""
    into.mkdir(parents=True, exist_ok=True)
    _LOCKED.write_text(
        "".join(f"{name} --hash=sha256:{digest}\n" for name, digest in sorted(locked.items())),
        encoding="utf-8",
    )
    try:
        run(
            [python, "-m", "pip", "download", "-q", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
            + ["--index-url", simple, "-d", str(into), "-r", str(_LOCKED)],
            env=environment(location),
        )
    except StepError as error:
        for name, digest in locked.items():
            if digest in str(error):
                raise StepError(
                    f"{name}: the repository served other bytes than SHA-256 {digest}, "
                    "which the release approved: not installing"
                ) from None
        raise


def install_files(python: str, wheels: Sequence[Path]) -> None:
    """Install these wheels and nothing else, with no index at hand."""
    if wheels:
        run(
            [python, "-m", "pip", "install", "-q", "--no-compile", "--no-deps", "--no-index"]
            + [str(wheel) for wheel in wheels],
            env={
                "PIP_CONFIG_FILE": "/dev/null",
                "PIP_DISABLE_PIP_VERSION_CHECK": "1",
                "PIP_ROOT_USER_ACTION": "ignore",
            },
        )


def filename(url: str) -> str:
    """The file name in a download address."""
    return urllib.parse.unquote(urllib.parse.urlsplit(url).path).rsplit("/", 1)[-1]
