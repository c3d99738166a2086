"""Python distributions by the image's own pip, from Artifact Registry repositories only."""

from __future__ import annotations

import http.client
import json
import re
import ssl
import urllib.parse
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import metadata, storage
from .command import StepError, run

_NETRC = Path("/opt/dmz/netrc")
_LOCKED = Path("/opt/dmz/locked.txt")
_CA = "/etc/ssl/certs/ca-certificates.crt"


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


def install_reported(
    python: str, requirements: Sequence[str], location: str, simple: str
) -> list[Mapping[str, Any]]:
    """Install by requirement and return the `install` list of pip's installation report.

    Source: https://pip.pypa.io/en/stable/reference/installation-report/
    """
    env = environment(location)
    if not requirements:
        return []
    version = run([python, "-m", "pip", "--version"]).split()[1]
    if tuple(int(part) for part in version.split(".")[:2]) < (22, 2):  # no --report before
        run([python, "-m", "pip", "install", "-q", "--upgrade", "--index-url", simple, "pip"], env=env)
    wanted = Path("/opt/dmz/requirements.txt")
    wanted.write_text("".join(f"{line}\n" for line in requirements), encoding="utf-8")
    report = Path("/opt/dmz/report.json")
    run(
        [python, "-m", "pip", "install", "-q", "--no-compile", "--index-url", simple]
        + ["--report", str(report), "-r", str(wanted)],
        env=env,
    )
    items: list[Mapping[str, Any]] = json.loads(report.read_text(encoding="utf-8"))["install"]
    return items


def build(python: str, requirement: str, location: str, simple: str, into: Path) -> Path:
    """The wheel that came out of an sdist: pip keeps what it built, so this is the one that was installed."""
    into.mkdir(parents=True, exist_ok=True)
    before = set(into.iterdir())
    run(
        [
            python,
            "-m",
            "pip",
            "wheel",
            "-q",
            "--no-deps",
            "--index-url",
            simple,
            "-w",
            str(into),
            requirement,
        ],
        env=environment(location),
    )
    made = [path for path in into.iterdir() if path not in before]
    if len(made) != 1:
        raise StepError(f"pip wheel {requirement} made {len(made)} wheels; one was expected")
    return made[0]


def upload(wheel: Path, name: str, version: str, location: str, project: str, repository: str) -> None:
    """Publish a wheel by the form that twine sends.

    Raises:
        StepError: the repository refused it, or holds other bytes under this name.
    """
    boundary = uuid.uuid4().hex
    fields = {
        ":action": "file_upload",
        "protocol_version": "1",
        "metadata_version": "2.1",
        "name": name,
        "version": version,
        "filetype": "bdist_wheel",
        "pyversion": wheel.name.split("-")[-3],
        "sha256_digest": storage.sha256(wheel),
    }
    body = b"".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    )
    body += (
        f'--{boundary}\r\nContent-Disposition: form-data; name="content"; filename="{wheel.name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    body += wheel.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    connection = http.client.HTTPSConnection(
        _host(location), timeout=300, context=ssl.create_default_context(cafile=_CA)
    )
    try:
        connection.request(
            "POST",
            f"/{project}/{repository}/",
            body=body,
            headers={
                "Content-Type": f"multipart/form-data; boundary={boundary}",
                "Authorization": f"Bearer {metadata.token()}",
            },
        )
        answer = connection.getresponse()
        said = answer.read().decode(errors="replace")
    finally:
        connection.close()
    # An earlier run of this machine may have published it; screening compares the repository's own hash.
    if answer.status >= 300 and "already exists" not in said:
        raise StepError(f"publishing {wheel.name} was answered {answer.status}: {said[:300]}")


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
