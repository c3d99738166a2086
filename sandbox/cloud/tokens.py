"""Access tokens: what this sandbox issues, and whom it takes the bearer for."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LIFETIME: Final = 3600
"""Seconds that a token lasts, as Google's."""

CLOUD_PLATFORM: Final = "https://www.googleapis.com/auth/cloud-platform"
EMAIL: Final = "https://www.googleapis.com/auth/userinfo.email"
PERSON: Final = (CLOUD_PLATFORM, EMAIL, "openid")
"""The scopes of a person's application default credentials."""

_PREFIX: Final = "ya29.sandbox."
PATTERN: Final = re.compile(r"ya29\.sandbox\.[\w.=-]*")
"""What a token looks like, so that one can be kept out of logs."""


@dataclass(frozen=True)
class Claim:
    """What a valid token says."""

    identity: str
    end: int
    """Seconds since 1970."""
    scopes: tuple[str, ...]


class Tokens:
    """Issues tokens that only this sandbox verifies: an identity and an end, authenticated with its own key.

    Nothing about a token is kept, so one stays valid over a restart of the daemon.
    """

    def __init__(self, key: Path) -> None:
        """`key` is the file with the sandbox's secret; it is made (0600) when it isn't there."""
        if not key.exists():
            write_secret(key, secrets.token_hex(32))
        self._key = bytes.fromhex(key.read_text().strip())

    def issue(self, identity: str, lifetime: int = LIFETIME, scopes: Sequence[str] = PERSON) -> str:
        """A token for `identity` (`user:…`, `serviceAccount:…`) that lasts `lifetime` seconds."""
        content = {"identity": identity, "end": int(time.time()) + lifetime, "scopes": list(scopes)}
        claim = base64.urlsafe_b64encode(json.dumps(content).encode()).decode()
        return f"{_PREFIX}{claim}.{self._sign(claim)}"

    def identity(self, token: str) -> str | None:
        """Whom the token stands for; None if this sandbox didn't issue it or if it has expired."""
        claim = self.claim(token)
        return claim.identity if claim else None

    def claim(self, token: str) -> Claim | None:
        """What the token says; None if this sandbox didn't issue it or if it has expired."""
        claim, _, signature = token.removeprefix(_PREFIX).partition(".")
        if not token.startswith(_PREFIX) or not token.isascii():
            return None
        if not hmac.compare_digest(signature, self._sign(claim)):
            return None
        try:
            content = json.loads(base64.urlsafe_b64decode(claim))
        except (ValueError, binascii.Error):
            return None
        if content["end"] <= time.time():
            return None
        return Claim(str(content["identity"]), int(content["end"]), tuple(content.get("scopes", PERSON)))

    def _sign(self, claim: str) -> str:
        return hmac.new(self._key, claim.encode(), hashlib.sha256).hexdigest()


def write_secret(path: Path, text: str) -> None:
    """Write `text` to `path`, readable for its owner only from the first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)
