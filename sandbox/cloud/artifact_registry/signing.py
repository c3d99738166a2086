"""The sandbox's own OpenPGP key, which signs the suites of its apt repositories."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox.cloud.context import Cloud
from sandbox.cloud.errors import ApiError
from sandbox.cloud.tokens import write_secret

_IDENTITY: Final = "Artifact Registry Repository Signer (sandbox)"


@dataclass(frozen=True)
class Signed:
    """A `Release` file and its two kinds of signature."""

    release: bytes
    inline: bytes
    """`InRelease`: text and signature in one."""
    detached: bytes
    """`Release.gpg`."""


class Signer:
    """Signs with gpg. Only the key is kept (0600, under the sandbox's root).

    Each use has a keyring folder of its own with a short path, because an agent's socket needs one, and ends
    the agent that gpg starts there: no process stays.
    """

    def __init__(self, cloud: Cloud) -> None:
        self._key = cloud.root / "apt-signing-key.asc"
        self._public: bytes | None = None
        self._lock = asyncio.Lock()

    async def public_key(self) -> bytes:
        """The public key, ASCII-armoured.

        Raises:
            ApiError: gpg is missing or fails.
        """
        async with self._lock:
            if self._public is None:
                self._public = await asyncio.to_thread(self._export)
            return self._public

    async def sign(self, release: bytes) -> Signed:
        """Sign a `Release` file.

        Raises:
            ApiError: gpg is missing or fails.
        """
        async with self._lock:
            return await asyncio.to_thread(self._sign, release)

    def _export(self) -> bytes:
        with self._home() as home:
            return _gpg(home, "--armor", "--export")

    def _sign(self, release: bytes) -> Signed:
        with self._home() as home:
            inline = _gpg(home, "--digest-algo", "SHA512", "--clearsign", stdin=release)
            detached = _gpg(home, "--digest-algo", "SHA512", "--armor", "--detach-sign", stdin=release)
        return Signed(release, inline, detached)

    @contextmanager
    def _home(self) -> Iterator[Path]:
        """A keyring folder with the key in it; the key is made at the first use."""
        with tempfile.TemporaryDirectory(prefix="dmz-gpg-", dir="/tmp") as folder:
            home = Path(folder)
            try:
                if self._key.exists():
                    _gpg(home, "--import", stdin=self._key.read_bytes())
                else:
                    _gpg(home, "--quick-generate-key", _IDENTITY, "ed25519", "sign", "never")
                    write_secret(self._key, _gpg(home, "--armor", "--export-secret-keys").decode())
                yield home
            finally:
                subprocess.run(
                    ["gpgconf", "--homedir", folder, "--kill", "all"], check=False, capture_output=True
                )


def _gpg(home: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    command = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--yes", "--no-tty"]
    command += ["--pinentry-mode", "loopback", "--passphrase", "", "--trust-model", "always", *arguments]
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, check=True, env={**os.environ, "LC_ALL": "C"}
        )
    except FileNotFoundError as error:
        raise ApiError(500, "INTERNAL", "gpg is missing: install the Debian package gnupg") from error
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace").strip().replace("\n", "; ")
        raise ApiError(500, "INTERNAL", f"gpg {arguments[0]} failed: {reason}") from error
    return done.stdout
