"""Cloud KMS: keys that really sign, and never leave."""

from __future__ import annotations

import base64
import hashlib
import json
import stat
from typing import Any

import google_crc32c
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from tests.sandbox.cloud.conftest import Box

RINGS = "v1/projects/outer/locations/us-central1/keyRings"
KEY = f"{RINGS}/dmz/cryptoKeys/attestation"
VERSION = f"{KEY}/cryptoKeyVersions/1"
TEMPLATE = {"algorithm": "EC_SIGN_P256_SHA256"}
DIGEST = hashlib.sha256(b"a release").digest()


def make(box: Box, purpose: str = "ASYMMETRIC_SIGN", **template: str) -> dict[str, Any]:
    if not box.send("GET", "cloudkms", f"{RINGS}/dmz").is_success:
        box.call("POST", "cloudkms", RINGS, keyRingId="dmz")
    body = {"purpose": purpose, "versionTemplate": {**TEMPLATE, **template}}
    return box.call("POST", "cloudkms", f"{RINGS}/dmz/cryptoKeys", body, cryptoKeyId="attestation")


def crc32c(data: bytes) -> str:
    return str(google_crc32c.value(data))


def request(digest: bytes = DIGEST, field: str = "sha256", **fields: Any) -> dict[str, Any]:
    return {"digest": {field: base64.b64encode(digest).decode()}, **fields}


def public_key(box: Box) -> ec.EllipticCurvePublicKey:
    pem = box.call("GET", "cloudkms", f"{VERSION}/publicKey")["pem"]
    key = serialization.load_pem_public_key(pem.encode())
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key


class TestKeys:
    def test_a_key_comes_with_its_first_version(self, box: Box) -> None:
        key = make(box)
        assert key["name"] == KEY.removeprefix("v1/")
        assert key["versionTemplate"] == {**TEMPLATE, "protectionLevel": "SOFTWARE"}
        assert key["destroyScheduledDuration"] == "2592000s"
        version = box.call("GET", "cloudkms", VERSION)
        assert version["state"] == "ENABLED"
        assert version["algorithm"] == "EC_SIGN_P256_SHA256"
        assert version["protectionLevel"] == "SOFTWARE"

    def test_or_without_if_asked_for(self, box: Box) -> None:
        box.call("POST", "cloudkms", RINGS, keyRingId="dmz")
        made = box.call(
            "POST",
            "cloudkms",
            f"{RINGS}/dmz/cryptoKeys",
            {"purpose": "ASYMMETRIC_SIGN", "versionTemplate": TEMPLATE},
            cryptoKeyId="attestation",
            skipInitialVersionCreation="true",
        )
        assert made == box.call("GET", "cloudkms", KEY)
        assert "cryptoKeyVersions" not in box.call("GET", "cloudkms", f"{KEY}/cryptoKeyVersions")

    def test_versions_are_counted(self, box: Box) -> None:
        make(box)
        second = box.call("POST", "cloudkms", f"{KEY}/cryptoKeyVersions", {})
        assert second["name"].endswith("/cryptoKeyVersions/2")
        listed = box.call("GET", "cloudkms", f"{KEY}/cryptoKeyVersions")["cryptoKeyVersions"]
        assert [version["name"].rpartition("/")[2] for version in listed] == ["1", "2"]

    def test_a_key_needs_its_ring(self, box: Box) -> None:
        body = {"purpose": "ASYMMETRIC_SIGN", "versionTemplate": TEMPLATE}
        status, message = box.refused(
            "POST", "cloudkms", f"{RINGS}/dmz/cryptoKeys", body, cryptoKeyId="attestation"
        )
        assert (status, message) == (404, f"KeyRing {RINGS.removeprefix('v1/')}/dmz not found.")

    @pytest.mark.parametrize(
        ("body", "status", "says"),
        [
            ({"versionTemplate": TEMPLATE}, 400, "purpose must be specified"),
            ({"purpose": "ASYMMETRIC_SIGN"}, 400, "algorithm must be specified"),
            ({"purpose": "ENCRYPT_DECRYPT"}, 501, "not ENCRYPT_DECRYPT"),
            ({"purpose": "SING", "versionTemplate": TEMPLATE}, 400, "Acceptable values"),
            (
                {"purpose": "ASYMMETRIC_SIGN", "versionTemplate": {**TEMPLATE, "protectionLevel": "HSM"}},
                501,
                "no hardware",
            ),
            (
                {"purpose": "ASYMMETRIC_SIGN", "versionTemplate": {"algorithm": "RSA_SIGN_PSS_2048_SHA256"}},
                501,
                "not with RSA_SIGN_PSS_2048_SHA256",
            ),
            (
                {"purpose": "ASYMMETRIC_SIGN", "versionTemplate": TEMPLATE, "rotationPeriod": "90000s"},
                400,
                "rotationPeriod",
            ),
        ],
    )
    def test_what_can_not_be_made(self, box: Box, body: dict[str, Any], status: int, says: str) -> None:
        box.call("POST", "cloudkms", RINGS, keyRingId="dmz")
        given, message = box.refused(
            "POST", "cloudkms", f"{RINGS}/dmz/cryptoKeys", body, cryptoKeyId="attestation"
        )
        assert given == status
        assert says in message
        assert box.send("GET", "cloudkms", KEY).status_code == 404

    def test_nothing_is_deleted(self, box: Box) -> None:
        make(box)
        for path in (VERSION, KEY, f"{RINGS}/dmz"):
            assert box.refused("DELETE", "cloudkms", path)[0] == 501
            assert box.send("GET", "cloudkms", path).is_success


class TestSigning:
    def test_a_signature_verifies_with_the_public_key(self, box: Box) -> None:
        make(box)
        answer = box.call(
            "POST", "cloudkms", f"{VERSION}:asymmetricSign", request(digestCrc32c=crc32c(DIGEST))
        )
        signature = base64.b64decode(answer["signature"])
        assert answer == {
            "signature": answer["signature"],
            "signatureCrc32c": crc32c(signature),
            "verifiedDigestCrc32c": True,
            "name": VERSION.removeprefix("v1/"),
            "protectionLevel": "SOFTWARE",
        }
        public_key(box).verify(signature, DIGEST, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        with pytest.raises(InvalidSignature):
            public_key(box).verify(signature, b"\0" * 32, ec.ECDSA(utils.Prehashed(hashes.SHA256())))

    def test_the_other_curve(self, box: Box) -> None:
        make(box, algorithm="EC_SIGN_P384_SHA384")
        digest = hashlib.sha384(b"a release").digest()
        answer = box.call("POST", "cloudkms", f"{VERSION}:asymmetricSign", request(digest, "sha384"))
        assert "verifiedDigestCrc32c" not in answer  # nothing was promised, so nothing was verified
        key = public_key(box)
        key.verify(base64.b64decode(answer["signature"]), digest, ec.ECDSA(utils.Prehashed(hashes.SHA384())))

    def test_the_public_key_carries_its_checksum(self, box: Box) -> None:
        make(box)
        answer = box.call("GET", "cloudkms", f"{VERSION}/publicKey")
        assert answer["pem"].startswith("-----BEGIN PUBLIC KEY-----\n")
        assert answer["pemCrc32c"] == crc32c(answer["pem"].encode())
        assert answer["algorithm"] == "EC_SIGN_P256_SHA256"
        assert answer["name"] == VERSION.removeprefix("v1/")
        assert answer["protectionLevel"] == "SOFTWARE"

    @pytest.mark.parametrize(
        ("body", "status", "says"),
        [
            (request(digestCrc32c="1"), 400, "checksum in field digest_crc32c"),
            (request(digestCrc32c=0), 400, "checksum in field digest_crc32c"),
            (request(b"short"), 400, "got 5, want 32"),
            (request(b"\0" * 48, "sha384"), 400, "takes one digest, sha256"),
            ({"digest": {}}, 400, "given: none"),
            ({}, 400, "given: none"),
            ({"data": base64.b64encode(b"a release").decode()}, 501, "send a digest"),
            (request(digestCrc32c="many"), 400, "digestCrc32c"),
            ({"digest": {"sha256": "#"}}, 400, "Base64"),
        ],
    )
    def test_what_is_not_signed(self, box: Box, body: dict[str, Any], status: int, says: str) -> None:
        make(box)
        given, message = box.refused("POST", "cloudkms", f"{VERSION}:asymmetricSign", body)
        assert given == status
        assert says in message


class TestStates:
    def change(self, box: Box, state: str) -> None:
        box.call("PATCH", "cloudkms", VERSION, {"state": state}, updateMask="state")

    def refuses(self, box: Box, state: str) -> None:
        for method, path, body in (
            ("POST", f"{VERSION}:asymmetricSign", request()),
            ("GET", f"{VERSION}/publicKey", None),
        ):
            answer = box.send(method, "cloudkms", path, body)
            assert answer.status_code == 400
            error = answer.json()["error"]
            assert error["status"] == "FAILED_PRECONDITION"
            name = VERSION.removeprefix("v1/")
            assert error["message"] == f"{name} is not enabled, current state is: {state}."

    def test_a_disabled_version_refuses_until_it_is_enabled(self, box: Box) -> None:
        make(box)
        self.change(box, "DISABLED")
        self.refuses(box, "DISABLED")
        self.change(box, "ENABLED")
        assert box.send("POST", "cloudkms", f"{VERSION}:asymmetricSign", request()).is_success

    def test_a_version_to_be_destroyed_refuses_and_can_be_restored(self, box: Box) -> None:
        make(box)
        before = box.call("GET", "cloudkms", f"{VERSION}/publicKey")["pem"]
        box.call("POST", "cloudkms", f"{VERSION}:destroy", {})
        self.refuses(box, "DESTROY_SCHEDULED")
        assert box.call("POST", "cloudkms", f"{VERSION}:restore", {})["state"] == "DISABLED"
        self.change(box, "ENABLED")
        assert box.call("GET", "cloudkms", f"{VERSION}/publicKey")["pem"] == before

    def test_once_destroyed_its_key_is_gone(self, box: Box) -> None:
        make(box)
        name = f"cloudkms/{VERSION.removeprefix('v1/')}"
        box.call("POST", "cloudkms", f"{VERSION}:destroy", {})
        version = box.cloud.store.get(name)
        assert version is not None
        box.cloud.store.put(name, {**version, "destroyTime": "2020-01-01T00:00:00.000Z"})
        self.refuses(box, "DESTROYED")
        assert list((box.cloud.root / "kms").iterdir()) == []
        assert box.refused("POST", "cloudkms", f"{VERSION}:restore", {})[0] == 400

    def test_other_changes_are_refused(self, box: Box) -> None:
        make(box)
        assert box.refused("PATCH", "cloudkms", VERSION, {"state": "DESTROYED"}, updateMask="state")[0] == 400
        assert box.refused("PATCH", "cloudkms", VERSION, {"state": "DISABLED"})[0] == 400


class TestSecrecy:
    def test_private_keys_are_their_owners_alone(self, box: Box) -> None:
        make(box)
        [file] = (box.cloud.root / "kms").iterdir()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700

    def test_nothing_private_is_answered_kept_or_logged(self, box: Box) -> None:
        make(box)
        box.call("POST", "cloudkms", f"{VERSION}:asymmetricSign", request())
        [file] = (box.cloud.root / "kms").iterdir()
        secret = "".join(file.read_text().splitlines()[1:-1])[:64]
        answers = [box.call("GET", "cloudkms", path) for path in (KEY, VERSION, f"{VERSION}/publicKey")]
        elsewhere = [
            other.read_text(errors="replace").replace("\\n", "")
            for other in box.cloud.root.rglob("*")
            if other.is_file() and other != file
        ]
        assert secret not in json.dumps(answers).replace("\\n", "")
        assert not [text for text in elsewhere if secret in text]

    def test_each_key_is_its_own(self, box: Box) -> None:
        make(box)
        first = box.call("GET", "cloudkms", f"{VERSION}/publicKey")["pem"]
        box.call("POST", "cloudkms", f"{KEY}/cryptoKeyVersions", {})
        second = box.call("GET", "cloudkms", f"{KEY}/cryptoKeyVersions/2/publicKey")["pem"]
        assert first != second
