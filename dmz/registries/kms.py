"""Cloud KMS: signatures of a key that nobody holds.

Method: `projects.locations.keyRings.cryptoKeys.cryptoKeyVersions.asymmetricSign`
(https://cloud.google.com/kms/docs/reference/rest). What is sent and what is received carries a CRC32C that
both sides check, as https://cloud.google.com/kms/docs/data-integrity-guidelines asks: a bit that flipped on
the way would be signed like any other.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import google_crc32c

from dmz.errors import TransferError
from dmz.registries.google import Google

_ATTEMPTS: Final = 3
"""How often a call is made whose answer did not arrive as it was sent."""


@dataclass(frozen=True)
class SigningKey:
    """One version of an asymmetric signing key."""

    google: Google
    name: str
    """`projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/V`."""

    async def sign(self, message: bytes) -> bytes:
        """The signature of a message: ECDSA on P-256 over its SHA-256, ASN.1 DER.

        Raises:
            TransferError: the service refused, or its answers kept arriving damaged.
        """
        digest = hashlib.sha256(message).digest()
        body = {
            "digest": {"sha256": base64.b64encode(digest).decode()},
            "digestCrc32c": str(google_crc32c.value(digest)),
        }
        for _ in range(_ATTEMPTS):
            answer = await self.google.call("POST", f"{self._url}:asymmetricSign", json=body, repeatable=True)
            if answer.get("name") != self.name:
                raise TransferError(
                    f"{self.name}: another key signed, {answer.get('name')}; its signature is thrown away"
                )
            signature = _base64(answer.get("signature"))
            if (
                signature
                and answer.get("verifiedDigestCrc32c") is True
                and _matches(answer, "signatureCrc32c", signature)
            ):
                return signature
        raise TransferError(f"{self.name}: {_ATTEMPTS} signatures arrived damaged (CRC32C); try again")

    @property
    def _url(self) -> str:
        return self.google.endpoints.kms + self.name


def _matches(answer: Mapping[str, Any], field: str, data: bytes) -> bool:
    # An int64 is a text in Google's JSON.
    return str(answer.get(field)) == str(google_crc32c.value(data))


def _base64(text: object) -> bytes:
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except ValueError:
        return b""
