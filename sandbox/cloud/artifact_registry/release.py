"""`Release` files: the hashes of a suite's indexes (https://wiki.debian.org/DebianRepository/Format)."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sandbox.cloud.artifact_registry.upstream import UpstreamError

_FIELD: Final = re.compile(r"([A-Za-z0-9-]+):[ \t]*(.*)")
_HASH: Final = re.compile(r" ([0-9a-f]{64})\s+(\d+)\s+(\S+)")


@dataclass(frozen=True)
class FileHash:
    """What a `Release` says of one index."""

    sha256: str
    size: int
    """Bytes."""


@dataclass(frozen=True)
class Release:
    """The parts of a `Release` file that matter here."""

    fields: Mapping[str, str]
    """Its one-line fields."""
    files: Mapping[str, FileHash]
    """By path, from the suite's folder."""

    @classmethod
    def parse(cls, text: str) -> Release:
        """Read a `Release`; only SHA-256 counts."""
        fields: dict[str, str] = {}
        files: dict[str, FileHash] = {}
        current = ""
        for line in text.splitlines():
            field = _FIELD.fullmatch(line)
            if field:
                current = field[1]
                if field[2]:
                    fields[current] = field[2]
                continue
            entry = _HASH.fullmatch(line)
            if entry and current == "SHA256":
                files[entry[3]] = FileHash(entry[1], int(entry[2]))
        return cls(fields, files)

    def render(self) -> bytes:
        """The file's text."""
        lines = [f"{name}: {value}" for name, value in self.fields.items()]
        lines.append("SHA256:")
        lines += [f" {found.sha256} {found.size:>16} {path}" for path, found in sorted(self.files.items())]
        return ("\n".join(lines) + "\n").encode()


def date(when: datetime | None = None) -> str:
    """A time as `Release` has it."""
    return (when or datetime.now(UTC)).strftime("%a, %d %b %Y %H:%M:%S UTC")


def verify(inrelease: bytes, keyring: bytes, what: str) -> str:
    """The text of an `InRelease` that one of the keys signed; only what is under the signature is returned.

    `keyring` is a binary one.

    Raises:
        UpstreamError: no key of these has signed it, or a signature is bad.
    """
    with tempfile.TemporaryDirectory(prefix="dmz-gpgv-") as name:
        folder = Path(name)
        signed, text, keys = folder / "InRelease", folder / "Release", folder / "keys.gpg"
        signed.write_bytes(inrelease)
        keys.write_bytes(keyring)
        command = ["gpgv", "--homedir", name, "--keyring", str(keys), "--status-fd", "1"]
        try:
            done = subprocess.run(
                [*command, "--output", str(text), str(signed)], capture_output=True, check=False
            )
        except FileNotFoundError as error:
            raise UpstreamError("gpgv is missing: install the Debian package gpgv") from error
        words = [line.split()[1] for line in done.stdout.splitlines() if line.startswith(b"[GNUPG:] ")]
        # As in apt: one good signature by a known key is enough, a bad one never is.
        if b"GOODSIG" not in words or b"BADSIG" in words or not text.exists():
            reason = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            raise UpstreamError(f"{what}: upstream's signature does not verify: {reason or 'no signature'}")
        return text.read_text(encoding="utf-8")
