"""Signatures of Cloud KMS: right ones pass, and what was damaged on the way is not taken."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import google_crc32c
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from dmz.errors import TransferError
from dmz.registries.kms import SigningKey
from tests.registries.conftest import as_sync
from tests.registries.counterpart import Counterpart, Fault, serving

NAME = "projects/outer/locations/us-central1/keyRings/dmz/cryptoKeys/attestation/cryptoKeyVersions/1"
KEY = ec.generate_private_key(ec.SECP256R1())
MESSAGE = b"what is signed"


def sign() -> bytes:
    return as_sync(lambda google: SigningKey(google, NAME).sign(MESSAGE))


class TestSign:
    @pytest.fixture(autouse=True)
    def key(self, cloud: Counterpart) -> None:
        cloud.keys[NAME] = KEY

    def test_the_public_key_verifies_it(self, cloud: Counterpart) -> None:
        KEY.public_key().verify(sign(), MESSAGE, ec.ECDSA(SHA256()))

    def test_a_service_that_stumbles(self, cloud: Counterpart) -> None:
        cloud.faults.append(Fault("POST", ":asymmetricSign", status=503))
        assert sign()

    def test_a_key_that_is_not_there_is_one_line(self, cloud: Counterpart) -> None:
        cloud.keys.clear()
        with pytest.raises(TransferError, match=r"404 CryptoKeyVersion .* not found") as caught:
            sign()
        assert "\n" not in str(caught.value)

    def test_nobody_may_sign(self, cloud: Counterpart) -> None:
        cloud.faults.append(Fault("POST", ":asymmetricSign", status=403, times=99))
        with pytest.raises(TransferError, match="lacks a role"):
            sign()


class Damaging:
    """Answers as Cloud KMS does, but for what it was told to say instead."""

    def __init__(self) -> None:
        self.instead: dict[str, Any] = {}
        self.times = 99
        self.calls: list[dict[str, Any]] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.calls.append(await request.json())
        good: dict[str, Any] = {
            "name": NAME,
            "signature": base64.b64encode(b"signature").decode(),
            "signatureCrc32c": str(google_crc32c.value(b"signature")),
            "verifiedDigestCrc32c": True,
        }
        if self.times:
            self.times -= 1
            good |= self.instead
        return web.json_response({key: value for key, value in good.items() if value is not None})


@pytest.fixture
def kms(cloud: Counterpart, monkeypatch: pytest.MonkeyPatch) -> Iterator[Damaging]:
    damaging = Damaging()
    with serving([web.post("/{path:.*}", damaging.answer)]) as url:
        monkeypatch.setenv("GOOGLE_KMS_CUSTOM_ENDPOINT", f"{url}/v1/")
        yield damaging


DAMAGED = pytest.mark.parametrize(
    "instead",
    [
        {"signatureCrc32c": "1"},
        {"signatureCrc32c": None},
        {"signature": base64.b64encode(b"sigmature").decode()},
        {"signature": None},
        {"signature": "?"},
        {"verifiedDigestCrc32c": None},
        {"verifiedDigestCrc32c": False},
        {"verifiedDigestCrc32c": "true"},
    ],
)


class TestIntegrity:
    """https://cloud.google.com/kms/docs/data-integrity-guidelines."""

    def test_the_digest_is_sent_with_its_checksum(self, kms: Damaging) -> None:
        assert sign() == b"signature"
        [body] = kms.calls
        digest = base64.b64decode(body["digest"]["sha256"])
        assert len(digest) == 32
        assert body["digestCrc32c"] == str(google_crc32c.value(digest))

    @DAMAGED
    def test_a_damaged_answer_is_asked_for_again(self, kms: Damaging, instead: dict[str, Any]) -> None:
        kms.instead, kms.times = instead, 2
        assert sign() == b"signature"
        assert len(kms.calls) == 3

    @DAMAGED
    def test_and_not_taken(self, kms: Damaging, instead: dict[str, Any]) -> None:
        kms.instead = instead
        with pytest.raises(TransferError, match="damaged"):
            sign()
        assert len(kms.calls) == 3

    @pytest.mark.parametrize("name", [NAME.replace("/1", "/2"), None])
    def test_another_keys_signature_is_thrown_away(self, kms: Damaging, name: str | None) -> None:
        kms.instead = {"name": name}
        with pytest.raises(TransferError, match="another key signed"):
            sign()
