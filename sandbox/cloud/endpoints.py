"""Where the services of a sandbox listen on this host, and the variables by which clients find them."""

from __future__ import annotations

import json
import os
import shlex
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sandbox.cloud.registry import SERVICES

METADATA: Final = "metadata"
HOST: Final = "127.0.0.1"

_BASES: Final[Mapping[str, tuple[str, str]]] = {
    "GOOGLE_ARTIFACT_REGISTRY_CUSTOM_ENDPOINT": ("artifactregistry", "v1/"),
    "GOOGLE_CLOUD_RESOURCE_MANAGER_CUSTOM_ENDPOINT": ("cloudresourcemanager", "v1/"),
    "GOOGLE_COMPUTE_CUSTOM_ENDPOINT": ("compute", "compute/beta/"),
    "GOOGLE_DNS_CUSTOM_ENDPOINT": ("dns", "dns/v1beta2/"),
    "GOOGLE_IAM_BETA_CUSTOM_ENDPOINT": ("iam", "v1/"),
    "GOOGLE_IAM_CREDENTIALS_CUSTOM_ENDPOINT": ("iamcredentials", "v1/"),
    "GOOGLE_IAM_CUSTOM_ENDPOINT": ("iam", "v1/"),
    "GOOGLE_KMS_CUSTOM_ENDPOINT": ("cloudkms", "v1/"),
    "GOOGLE_RESOURCE_MANAGER_CUSTOM_ENDPOINT": ("cloudresourcemanager", "v1/"),
    "GOOGLE_SERVICE_USAGE_CUSTOM_ENDPOINT": ("serviceusage", "v1/"),
    "GOOGLE_STORAGE_CUSTOM_ENDPOINT": ("storage", "storage/v1/"),
    "GOOGLE_TPU_V2_CUSTOM_ENDPOINT": ("tpu", "v2/"),
    "STORAGE_EMULATOR_HOST": ("storage", ""),
    "DMZ_OAUTH2_ENDPOINT": ("oauth2", "/"),
    "DMZ_PYTHON_REPOSITORY_ENDPOINT": ("python", "/"),
    "DMZ_APT_REPOSITORY_ENDPOINT": ("apt", "/"),
}
"""Variables of the Google provider, of Google's storage client and of the programs that read a repository's
address from one: the service, and the path below its address."""


def address(ports: Mapping[str, int], service: str) -> str:
    """`http://127.0.0.1:PORT` of a service."""
    return f"http://{HOST}:{ports[service]}"


def listen(root: Path) -> dict[str, socket.socket]:
    """A listening socket for each service, on the ports that `root` keeps.

    They are chosen when there are none yet, and kept, so that addresses in saved state stay valid. OSError if
    one of them is taken by somebody else.
    """
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = root / "ports.json"
    kept: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    sockets: dict[str, socket.socket] = {}
    try:
        for name in [*(service.name for service in SERVICES), METADATA]:
            sock = sockets[name] = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((HOST, kept.get(name, 0)))
            except OSError as error:
                raise OSError(
                    f"{file}: port {kept.get(name)} of {name} is taken ({error.strerror}); "
                    "end the program that listens there"
                ) from None
            sock.listen(128)
    except OSError:
        for sock in sockets.values():
            sock.close()
        raise
    file.write_text(json.dumps({name: sock.getsockname()[1] for name, sock in sockets.items()}, indent=1))
    return sockets


def variables(
    root: Path, ports: Mapping[str, int], environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Everything that a `pulumi` or a Google client needs to work on the sandbox in `root`."""
    folder = str(root / "bin")
    path = [part for part in environ.get("PATH", os.defpath).split(os.pathsep) if part and part != folder]
    here = {HOST, "localhost"}
    direct = [part for part in environ.get("NO_PROXY", environ.get("no_proxy", "")).split(",") if part]
    no_proxy = ",".join([*direct, *sorted(here - set(direct))])
    return {
        **{variable: f"{address(ports, service)}/{base}".rstrip("/") + ("/" if base else "")
           for variable, (service, base) in _BASES.items()},
        "GOOGLE_OAUTH_ACCESS_TOKEN": (root / "operator.token").read_text().strip(),
        "GCE_METADATA_HOST": f"{HOST}:{ports[METADATA]}",
        "GCE_METADATA_IP": f"{HOST}:{ports[METADATA]}",
        "PULUMI_BACKEND_URL": f"file://{root / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(root / "passphrase"),
        "PATH": os.pathsep.join([*path, folder]),
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
    }  # fmt: skip


def shell_lines(values: Mapping[str, str]) -> str:
    """The variables as `export` lines for a POSIX shell."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(values.items()))
