"""The passphrase secrets manager, version 1.

AES-256-GCM with a key from PBKDF2-SHA256, 1,000,000 iterations, over an 8-byte salt. Its state is the string
`v1:SALT:v1:NONCE:CIPHERTEXT`, whose last part is the word "pulumi" encrypted, so that a wrong passphrase is
noticed. Source: `pkg/secrets/passphrase/manager.go`, `sdk/go/common/resource/config/crypt.go`
(pulumi/pulumi).
"""

from __future__ import annotations

import functools
import os
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from sandbox.engine.errors import ConfigurationError

ITERATIONS = 1_000_000
SALT_BYTES = 8
NONCE_BYTES = 12
_PROBE = "pulumi"


def passphrase(environment: Mapping[str, str]) -> str:
    """What `PULUMI_CONFIG_PASSPHRASE` holds, or the file that `PULUMI_CONFIG_PASSPHRASE_FILE` names."""
    if "PULUMI_CONFIG_PASSPHRASE" in environment:
        return environment["PULUMI_CONFIG_PASSPHRASE"]
    if name := environment.get("PULUMI_CONFIG_PASSPHRASE_FILE"):
        try:
            return Path(name).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigurationError(f"unable to read PULUMI_CONFIG_PASSPHRASE_FILE: {error}") from error
    raise ConfigurationError(
        "passphrase must be set with PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE "
        "environment variables"
    )


@functools.lru_cache(maxsize=8)
def _key(phrase: str, salt: bytes) -> bytes:
    return PBKDF2HMAC(algorithm=SHA256(), length=32, salt=salt, iterations=ITERATIONS).derive(phrase.encode())


class Crypter:
    """Encrypts and decrypts the secrets of one stack."""

    def __init__(self, phrase: str, state: str) -> None:
        """Open the manager that `state` describes; a wrong passphrase is a `ConfigurationError`."""
        self.state = state
        version, _, rest = state.partition(":")
        salt, _, probe = rest.partition(":")
        if version != "v1" or not probe:
            raise ConfigurationError(
                f"encryption salt {state!r} is not of the form v1:SALT:v1:NONCE:CIPHERTEXT"
            )
        self._cipher = AESGCM(_key(phrase, b64decode(salt)))
        try:
            correct = self.decrypt(probe) == _PROBE
        except ConfigurationError:
            correct = False
        if not correct:
            raise ConfigurationError(
                "incorrect passphrase: set PULUMI_CONFIG_PASSPHRASE to this stack's passphrase"
            )

    @classmethod
    def create(cls, phrase: str) -> Crypter:
        """A manager with a new salt."""
        salt = os.urandom(SALT_BYTES)
        probe = _seal(AESGCM(_key(phrase, salt)), _PROBE)
        return cls(phrase, f"v1:{b64encode(salt).decode()}:{probe}")

    def encrypt(self, text: str) -> str:
        """`v1:NONCE:CIPHERTEXT`, both in base64."""
        return _seal(self._cipher, text)

    def decrypt(self, text: str) -> str:
        """The text that `encrypt` was given."""
        try:
            version, nonce, ciphertext = text.split(":")
            if version != "v1":
                raise ValueError(f"unknown version {version}")
            return self._cipher.decrypt(b64decode(nonce), b64decode(ciphertext), None).decode()
        except (InvalidTag, ValueError) as error:
            reason = str(error) or "it was encrypted with another key"
            raise ConfigurationError(f"a secret could not be decrypted: {reason}") from error


def _seal(cipher: AESGCM, text: str) -> str:
    nonce = os.urandom(NONCE_BYTES)
    return f"v1:{b64encode(nonce).decode()}:{b64encode(cipher.encrypt(nonce, text.encode(), None)).decode()}"
