"""What this project signs with the sandbox's Cloud KMS, a sealed machine's openssl believes."""

from __future__ import annotations

import asyncio

import pytest

from dmz.machine.agent import attestation as machine
from dmz.promotion.dsse import Envelope, Signature, pae
from dmz.promotion.statement import PAYLOAD_TYPE
from dmz.registries.google import connect
from dmz.registries.kms import SigningKey
from tests.attestations import DIGEST, LOCKS, NOW, POLICY, attestation
from tests.sandbox.cloud.conftest import Box

RING = "projects/outer/locations/us-central1/keyRings/dmz"
KEY = f"{RING}/cryptoKeys/attestation"


def test_signed_here_and_verified_there(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    template = {"algorithm": "EC_SIGN_P256_SHA256", "protectionLevel": "SOFTWARE"}
    box.call("POST", "cloudkms", f"v1/{RING.rpartition('/')[0]}", {}, keyRingId="dmz")
    key = {"purpose": "ASYMMETRIC_SIGN", "versionTemplate": template}
    box.call("POST", "cloudkms", f"v1/{RING}/cryptoKeys", key, cryptoKeyId="attestation")
    version = f"{KEY}/cryptoKeyVersions/1"
    public = box.call("GET", "cloudkms", f"v1/{version}/publicKey")["pem"]
    monkeypatch.setenv("GOOGLE_KMS_CUSTOM_ENDPOINT", f"{box.cloud.endpoints['cloudkms']}/v1/")
    monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", box.token)
    payload = attestation().statement()

    async def sign() -> bytes:
        async with connect("us-central1") as google:
            return await SigningKey(google, version).sign(pae(PAYLOAD_TYPE, payload))

    envelope = Envelope(PAYLOAD_TYPE, payload, (Signature(version, asyncio.run(sign())),)).render()
    trust = {
        "key": public,
        "verifier": attestation().verifier,
        "resource_uri": attestation().resource_uri,
        "policy_digest": POLICY,
        "max_age_seconds": 60,
    }
    machine.verify(envelope, trust, DIGEST, LOCKS, NOW)
