"""The usual script: for each file a process that fetches it and one that uploads it, four files at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.harness import Run, run
from bench.serving import ROOT
from dmz.artifact import Artifact

AT_ONCE: Final = 4
TOOLS: Final = ROOT / ".venv-bench" / "bin"
"""What `requirements.txt` installs."""
_FETCH: Final = (
    'set -e; f=$(basename "$1"); '
    'curl --silent --show-error --fail --header "Authorization: Bearer $TOKEN" --output "$f" "$1"; '
)
_TWINE: Final = f'exec {TOOLS}/twine upload --non-interactive --disable-progress-bar "$f"'
_CURL: Final = (
    'exec curl --silent --show-error --fail --output /dev/null --request POST --upload-file "$f" '
    '--header "Authorization: Bearer $TOKEN" --header "Content-Type: application/vnd.debian.binary-package" '
    '"${ROOT}upload/v1/$REPOSITORY/aptArtifacts:create?uploadType=media"'
)
_CLIENT: Final = f'exec {sys.executable} -m bench.apt_upload "$ROOT" "$REPOSITORY" "$f"'


def tool(name: str) -> str:
    """The path of a program that is compared with.

    Raises:
        SystemExit: it is not there; says what installs it.
    """
    if not (TOOLS / name).exists():
        sys.exit(f"{TOOLS / name} is missing; run `make bench`, which installs bench/requirements.txt there")
    return str(TOOLS / name)


def twine(artifacts: Sequence[Artifact], outer: str, inner: str, token: str, folder: Path) -> Run:
    """Fetch each wheel below `outer` with curl, and upload it to `inner` with twine."""
    tool("twine")
    return _each(
        _FETCH + _TWINE,
        [f"{outer}{each.name}/{each.filename}" for each in artifacts],
        folder,
        {
            "TWINE_REPOSITORY_URL": inner,
            "TWINE_USERNAME": "oauth2accesstoken",
            "TWINE_PASSWORD": token,
            "TOKEN": token,
        },
    )


def curl(urls: Sequence[str], root: str, repository: str, token: str, folder: Path) -> Run:
    """Fetch each deb with curl, and upload it with another curl to an apt repository of the API at `root`."""
    return _each(_FETCH + _CURL, urls, folder, {"ROOT": root, "REPOSITORY": repository, "TOKEN": token})


def client(urls: Sequence[str], root: str, repository: str, token: str, folder: Path) -> Run:
    """The same with Google's API client for Python in place of the second curl."""
    variables = {"PYTHONPATH": str(ROOT), "ROOT": root, "REPOSITORY": repository, "TOKEN": token}
    return _each(_FETCH + _CLIENT, urls, folder, variables)


def _each(script: str, urls: Sequence[str], folder: Path, variables: dict[str, str]) -> Run:
    folder.mkdir()
    command = ["xargs", "-P", str(AT_ONCE), "-n", "1", "sh", "-c", script, "usual"]
    return run(command, {"HOME": str(folder), **variables}, folder=folder, given="\n".join(urls))
