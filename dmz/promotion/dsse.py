"""DSSE: an envelope that carries a payload, its type, and the signatures over both.

Protocol and envelope, version 1: https://github.com/secure-systems-lab/dsse. Signatures here are ECDSA on
P-256 with SHA-256, in ASN.1 DER as Cloud KMS gives them (EC_SIGN_P256_SHA256).
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any, Final, NoReturn, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from dmz.errors import InputError

LIMIT: Final = 1 << 20
"""Bytes of the largest envelope that is read."""
SIGNATURES: Final = 16
"""The most signatures that one envelope may have: each costs a verification."""


@dataclass(frozen=True)
class Signature:
    """One signature of an envelope."""

    keyid: str
    """Says which key may have made it. Nobody signed this word: it never decides anything."""
    value: bytes
    """ASN.1 DER."""


@dataclass(frozen=True)
class Envelope:
    """A payload with its type and signatures."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a JSON envelope; unknown fields are passed over, as the specification asks.

        Raises:
            ValueError: the bytes are none. The text says why, in one line.
        """
        if len(data) > LIMIT:
            raise ValueError(f"{len(data)} bytes, more than the {LIMIT} that are read")
        document = load(data)
        if not isinstance(document, dict):
            raise ValueError("no JSON object")
        listed = document.get("signatures")
        if not isinstance(listed, list) or not 1 <= len(listed) <= SIGNATURES:
            raise ValueError(f"'signatures' is no list of 1 to {SIGNATURES}")
        return cls(
            _text(document, "payloadType"),
            _bytes(document, "payload"),
            tuple(Signature(_text(each, "keyid", ""), _bytes(each, "sig")) for each in listed),
        )

    def render(self) -> bytes:
        """The JSON envelope."""
        document = {
            "payloadType": self.payload_type,
            "payload": base64.b64encode(self.payload).decode(),
            "signatures": [
                {"keyid": each.keyid, "sig": base64.b64encode(each.value).decode()}
                for each in self.signatures
            ],
        }
        return json.dumps(document, indent=1).encode() + b"\n"

    def signed_by(self, key: str) -> bool:
        """Whether any signature is this key's; those of other keys are passed over, as the protocol says.

        Args:
            key: PEM of an EC P-256 public key.

        Raises:
            InputError: the key is none.
        """
        public, message = public_key(key), pae(self.payload_type, self.payload)
        return any(_verifies(public, each.value, message) for each in self.signatures)


def pae(payload_type: str, payload: bytes) -> bytes:
    """What is signed: the pre-authentication encoding of the payload and its type."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def public_key(pem: str) -> EllipticCurvePublicKey:
    """The key of a PEM text.

    Raises:
        InputError: it is no EC P-256 public key.
    """
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise InputError(
            "the attestation's public key is no PEM of an EC P-256 key; give the outer stack's output "
            "attestationPublicKey"
        )
    return key


def load(data: bytes) -> Any:
    """A JSON value in which nothing can be read in two ways: UTF-8, no key twice, no NaN.

    Raises:
        ValueError: it is none.
    """
    try:
        return json.loads(data.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise ValueError("no UTF-8") from None
    except json.JSONDecodeError:
        raise ValueError("no JSON") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _text(document: Any, key: str, default: str | None = None) -> str:
    value = document.get(key, default) if isinstance(document, dict) else None
    if not isinstance(value, str) or any("\ud800" <= each <= "\udfff" for each in value):
        raise ValueError(f"'{key}' is missing or no text")
    return value


def _bytes(document: Any, key: str) -> bytes:
    """Base64 in the standard or the URL-safe alphabet: a verifier has to take either."""
    text = _text(document, key)
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except ValueError:
        raise ValueError(f"'{key}' is no base64") from None


def _verifies(key: EllipticCurvePublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True
