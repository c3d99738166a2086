"""The private halves of Cloud KMS's keys: real ones, in files that only the sandbox's owner reads.

Nothing outside this module sees one: it makes a key, hands out the public half, signs, and forgets.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from sandbox.cloud.tokens import write_secret

_CURVES: Final[dict[str, tuple[ec.EllipticCurve, hashes.HashAlgorithm]]] = {
    "EC_SIGN_P256_SHA256": (ec.SECP256R1(), hashes.SHA256()),
    "EC_SIGN_P384_SHA384": (ec.SECP384R1(), hashes.SHA384()),
}
ALGORITHMS: Final = tuple(_CURVES)
"""Those that the sandbox has, as Cloud KMS names them."""


def digest_of(algorithm: str) -> tuple[str, int]:
    """The field of a `Digest` that `algorithm` signs, and its size in bytes."""
    _, digest = _CURVES[algorithm]
    return digest.name, digest.digest_size


class SigningKeys:
    """All private keys of one cloud, by the resource name of their version."""

    def __init__(self, root: Path) -> None:
        """Keys lie below `root`, the sandbox's folder."""
        self._folder = root / "kms"

    def make(self, name: str, algorithm: str) -> None:
        """Make a new key for the version `name`."""
        curve, _ = _CURVES[algorithm]
        private = ec.generate_private_key(curve).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_secret(self._path(name), private.decode())

    def public(self, name: str) -> str:
        """The public half in PEM, as SubjectPublicKeyInfo (RFC 5280)."""
        return (
            self._load(name)
            .public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )

    def sign(self, name: str, algorithm: str, digest: bytes) -> bytes:
        """ECDSA over a digest that was computed already; the signature in DER (RFC 3279, section 2.2.3)."""
        _, hashing = _CURVES[algorithm]
        return self._load(name).sign(digest, ec.ECDSA(utils.Prehashed(hashing)))

    def forget(self, name: str) -> None:
        """Destroy a key; one that is not there is fine."""
        self._path(name).unlink(missing_ok=True)

    def _load(self, name: str) -> ec.EllipticCurvePrivateKey:
        key = serialization.load_pem_private_key(self._path(name).read_bytes(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key

    def _path(self, name: str) -> Path:
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()}.pem"
