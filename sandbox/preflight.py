"""What the sandbox needs of this host, looked at before anything is changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from sandbox import aptsources
from sandbox.aptsources import AptSourcesError
from sandbox.errors import SandboxError

TOOLS: Final[Mapping[str, str]] = {
    "bwrap": "bubblewrap",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "ip": "iproute2",
    "gpg": "gpg",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
}
"""The programs that the sandbox runs, and the Debian packages that bring them."""


@dataclass(frozen=True)
class Problem:
    """One reason why the sandbox can't run here."""

    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}: {self.remedy}"


def problems() -> list[Problem]:
    """Everything that keeps the sandbox from running on this host; nothing is changed by looking."""
    if sys.platform != "linux":
        return [Problem(f"the sandbox runs on Linux, not on {sys.platform}", "use a Debian 12 machine")]
    found = [problem for check in (_user, _tools, _mirror) for problem in check()]
    return found or _namespaces()


def require(looked: Callable[[], list[Problem]] = problems) -> None:
    """SandboxError with all that is wrong, one line."""
    if found := looked():
        raise SandboxError("The sandbox can't run here: " + "; ".join(map(str, found)))


def _user() -> list[Problem]:
    if os.geteuid() == 0:
        return []
    return [Problem("network namespaces need root", "run the command as root")]


def _tools() -> list[Problem]:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if not missing:
        return []
    packages = " ".join(sorted({TOOLS[tool] for tool in missing}))
    return [Problem(f"missing programs {', '.join(missing)}", f"apt-get install --yes {packages}")]


def _mirror() -> list[Problem]:
    try:
        aptsources.archive("debian", "debian")
    except AptSourcesError as error:
        return [Problem(error.what, error.remedy)]
    return []


def _namespaces() -> list[Problem]:
    """Whether this process may make the namespaces that machines live in; the trial ends with its process."""
    trial = subprocess.run(
        ["unshare", "--net", "--mount", "--pid", "--fork", "nft", "list", "ruleset"],
        capture_output=True,
        text=True,
        check=False,
    )
    if trial.returncode == 0:
        return []
    said = " ".join(trial.stderr.split()) or f"exit status {trial.returncode}"
    return [
        Problem(
            f"namespaces or nftables are not permitted here ({said})",
            "give the machine or its container CAP_SYS_ADMIN and CAP_NET_ADMIN (for example --privileged)",
        )
    ]
