"""aptly: the same debs into a repository of its own, published as a signed suite."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Final

from bench.harness import Run, run

INSTALLED: Final = shutil.which("aptly") is not None
_USER: Final = "bench <bench@example.com>"


class Aptly:
    """aptly with its state and a key of its own in a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._keys = folder / "keys"
        self._keys.mkdir(mode=0o700)
        self._gpg("--quick-generate-key", _USER, "rsa3072", "sign", "never")

    def add_and_publish(self, debs: Path, name: str) -> tuple[Run, dict[str, str]]:
        """A repository with all debs of a folder, and its suite; also says the SHA-256 by file name."""
        root = self._folder / name
        configuration = self._folder / f"{name}.json"
        configuration.write_text(json.dumps({"rootDir": str(root), "architectures": ["amd64"]}))
        aptly = f"aptly -config={configuration}"
        suite = "-distribution=bookworm -component=main -batch -gpg-key=bench@example.com"
        steps = [f"repo create {name}", f"repo add {name} {debs}", f"publish repo {suite} {name}"]
        command = " && ".join(f"{aptly} {step}" for step in steps)
        done = run(["sh", "-c", command], {"GNUPGHOME": str(self._keys), "HOME": str(self._folder)})
        found: dict[str, str] = {}
        packages = root / "public/dists/bookworm/main/binary-amd64/Packages"
        for line in packages.read_text().splitlines():
            field, _, value = line.partition(": ")
            if field == "Filename":
                filename = value.rpartition("/")[2]
            elif field == "SHA256":
                digest = value
            elif not line:
                found[filename] = digest
        return done, found

    def close(self) -> None:
        """End the key's agent."""
        subprocess.run(["gpgconf", "--homedir", self._keys, "--kill", "all"], check=True)

    def _gpg(self, *arguments: str) -> None:
        command = ["gpg", "--homedir", str(self._keys), "--batch", "--passphrase", "", *arguments]
        subprocess.run(command, check=True, capture_output=True)
