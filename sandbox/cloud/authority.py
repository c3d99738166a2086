"""The certificate authority that signs for Google's names, and for the stand-in internet, in this sandbox."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

import trustme

from sandbox.cloud.tokens import write_secret

NAMES: Final = (
    "googleapis.com",
    "*.googleapis.com",
    "*.storage.googleapis.com",
    "pkg.dev",
    "*.pkg.dev",
    "gcr.io",
    "*.gcr.io",
    "example.com",
    "*.example.com",
)
"""The names that the sandbox answers for with TLS; `example.com` stands for the internet (RFC 2606)."""


class Authority:
    """Kept over restarts, so that a machine that trusts it goes on doing so."""

    def __init__(self, root: Path) -> None:
        """Load the authority from `root`, or make one there."""
        self.certificate = root / "authority.pem"
        """What clients have to trust (PEM)."""
        key = root / "authority.key"
        if self.certificate.exists() and key.exists():
            self._authority = trustme.CA.from_pem(self.certificate.read_bytes(), key.read_bytes())
        else:
            self._authority = trustme.CA(
                organization_name="Package DMZ",
                organization_unit_name="sandbox",
                key_type=trustme.KeyType.ECDSA,
            )
            write_secret(key, self._authority.private_key_pem.bytes().decode())
            self._authority.cert_pem.write_to_path(self.certificate)

    def server_context(self) -> ssl.SSLContext:
        """What a server needs to answer as any of `NAMES`."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._authority.issue_cert(*NAMES, key_type=trustme.KeyType.ECDSA).configure_cert(context)
        return context
