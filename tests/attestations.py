"""Attestations for tests: good ones, and one forgery for each condition that a verifier has to hold to.

The keys are made here and are good for nothing else.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dmz.attestations import Place
from dmz.promotion.attestation import Expected, Trust
from dmz.promotion.dsse import pae
from dmz.promotion.release import Release
from dmz.promotion.statement import (
    PAYLOAD_TYPE,
    Attestation,
    Input,
    Role,
    lock_digests,
    resource_uri,
    verifier_id,
)

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
ATTESTOR = "dmz-attestor@outer.iam.gserviceaccount.com"
KEY_VERSION = "projects/outer/locations/us-central1/keyRings/dmz/cryptoKeys/attestation/cryptoKeyVersions/1"
POLICY = "9" * 64
DAY = timedelta(days=1)
DIGEST = "d" * 64
LOCKS = {"apt.small.lock": "a" * 64, "files.small.lock": "f" * 64, "pylock.small.toml": "b" * 64}


def private_key(which: str = "the attestor's") -> ec.EllipticCurvePrivateKey:
    """A key, the same one for the same name."""
    return _made(which)


@cache
def _made(which: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def pem(which: str = "the attestor's") -> str:
    """The public half."""
    public = private_key(which).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def trust(**changes: Any) -> Trust:
    """What the inner stack believes an attestation by."""
    given = {"key": pem(), "verifier": verifier_id(ATTESTOR), "policy_digest": POLICY, "max_age": 7 * DAY}
    return Trust(**{**given, **changes})


def expected(**changes: Any) -> Expected:
    """What the good attestation says."""
    given = {
        "trust": trust(),
        "resource_uri": resource_uri("inner", "us-central1", "small"),
        "release_digest": DIGEST,
        "locks": LOCKS,
        "now": NOW,
    }
    return Expected(**{**given, **changes})


def attestation(**changes: Any) -> Attestation:
    """The good one, or another."""
    inputs = (
        *(Input(Role.LOCK, name, digest, f"releases/{name}") for name, digest in LOCKS.items()),
        Input(Role.WAIVERS, "waivers", "1" * 64, "waivers"),
        Input(Role.WAIVER, "CVE-2026-1 of six 1.0", "2" * 64, "waivers/six.json", until=NOW + DAY),
        Input(Role.ADVISORIES, "osv", "3" * 64, "advisories", as_of=NOW - DAY),
        Input(Role.LIST, "lookalikes: names.txt", "5" * 64),
        Input(Role.COMMIT, "HEAD", "4" * 40, "."),
    )
    given = {
        "subject": "release.small.sha256",
        "release_digest": DIGEST,
        "verifier": verifier_id(ATTESTOR),
        "time_verified": NOW,
        "resource_uri": resource_uri("inner", "us-central1", "small"),
        "policy": "policy.toml",
        "policy_digest": POLICY,
        "inputs": inputs,
    }
    return Attestation(**{**given, **changes})


def signature(payload: bytes, kind: str = PAYLOAD_TYPE, which: str = "the attestor's") -> dict[str, str]:
    """One signature as it stands in an envelope."""
    made = private_key(which).sign(pae(kind, payload), ec.ECDSA(SHA256()))
    return {"keyid": KEY_VERSION, "sig": base64.b64encode(made).decode()}


def envelope(payload: bytes, *, kind: str = PAYLOAD_TYPE, signatures: list[Any] | None = None) -> bytes:
    """A signed envelope around any payload."""
    return json.dumps(
        {
            "payloadType": kind,
            "payload": base64.b64encode(payload).decode(),
            "signatures": [signature(payload, kind)] if signatures is None else signatures,
        }
    ).encode()


def good(**changes: Any) -> bytes:
    """An envelope as the attestor makes it."""
    return envelope(attestation(**changes).statement())


def place(bucket: str = "outer-attestations", **changes: Any) -> Place:
    """The inner side that releases go to here."""
    return Place("inner", "us-central1", bucket, trust(**changes))


def attest(bucket: dict[str, bytes], release: Release, there: Place | None = None, **changes: Any) -> bytes:
    """Attest a release as of now, with `changes` to what is said; put it where the newest is looked for."""
    now, there = datetime.now(UTC), there or place()
    locks = (
        Input(Role.LOCK, name, digest, f"releases/{name}")
        for name, digest in lock_digests(release.files).items()
    )
    given = {
        "subject": f"release.{release.workload}.sha256",
        "release_digest": release.digest,
        "verifier": there.trust.verifier,
        "time_verified": now,
        "resource_uri": resource_uri(there.project, there.location, release.workload),
        "policy_digest": there.trust.policy_digest,
        "inputs": tuple(locks),
    }
    made = good(**{**given, **changes})
    bucket[there.new_name(release, now)] = made
    return made


Change = Callable[[dict[str, Any]], object]


def said(change: Change) -> bytes:
    """What the attestor's key signed, but saying something else."""
    document = json.loads(attestation().statement())
    change(document)
    return envelope(json.dumps(document).encode())


@dataclass(frozen=True)
class Forgery:
    """An envelope that must not pass."""

    name: str
    condition: str
    """The one that it breaks, as the refusal names it."""
    make: Callable[[], bytes]

    def __str__(self) -> str:
        return self.name


def _inputs(document: dict[str, Any], role: str) -> list[dict[str, Any]]:
    return [
        each for each in document["predicate"]["inputAttestations"] if each["annotations"]["role"] == role
    ]


def _predicate(**changes: Any) -> Callable[[], bytes]:
    return lambda: said(lambda document: document["predicate"].update(changes))


def _document(**changes: Any) -> Callable[[], bytes]:
    return lambda: said(lambda document: document.update(changes))


def _without(*path: str) -> Callable[[], bytes]:
    def change(document: dict[str, Any]) -> None:
        for key in path[:-1]:
            document = document[key]
        del document[path[-1]]

    return lambda: said(change)


def _input(role: str, **changes: Any) -> Callable[[], bytes]:
    return lambda: said(lambda document: _inputs(document, role)[0].update(changes))


def _other_inputs(change: Callable[[list[dict[str, Any]]], object]) -> Callable[[], bytes]:
    return lambda: said(lambda document: change(document["predicate"]["inputAttestations"]))


def _lock(inputs: list[dict[str, Any]]) -> dict[str, Any]:
    return next(each for each in inputs if each["annotations"]["role"] == "lock")


def _payload() -> bytes:
    return attestation().statement()


def _tampered() -> bytes:
    """The payload was changed after it was signed."""
    changed = _payload().replace(b"PASSED", b"passed")
    return envelope(changed, signatures=[signature(_payload())])


def _raw(**changes: Any) -> Callable[[], bytes]:
    return lambda: json.dumps({**json.loads(good()), **changes}).encode()


def _waiver_until(when: datetime) -> Callable[[], bytes]:
    until = when.strftime("%Y-%m-%dT%H:%M:%SZ")
    return _input("waiver", annotations={"role": "waiver", "until": until})


SEVEN = [
    Forgery("nobody signed", "envelope", _raw(signatures=[])),
    Forgery(
        "another key signed",
        "signature",
        lambda: envelope(_payload(), signatures=[signature(_payload(), which="somebody's")]),
    ),
    Forgery("changed after it was signed", "signature", _tampered),
    Forgery(
        "the payload alone is signed, not its type",
        "signature",
        lambda: envelope(_payload(), signatures=[signature(_payload(), kind="")]),
    ),
    Forgery("signed as another type", "signature", _raw(payloadType="application/json")),
    Forgery("no signature at all", "signature", _raw(signatures=[{"keyid": KEY_VERSION, "sig": ""}])),
    Forgery("another release", "subject", lambda: good(release_digest="e" * 64)),
    Forgery("no subject", "subject", _document(subject=[])),
    Forgery("subject by another algorithm", "subject", _document(subject=[{"digest": {"md5": DIGEST}}])),
    Forgery("another predicate", "predicateType", _document(predicateType="https://slsa.dev/provenance/v1")),
    Forgery(
        "an older predicate",
        "predicateType",
        _document(predicateType="https://slsa.dev/verification_summary/v0.2"),
    ),
    Forgery(
        "another verifier",
        "verifier",
        lambda: good(verifier=verifier_id("dmz-sync@outer.iam.gserviceaccount.com")),
    ),
    Forgery("no verifier", "verifier", _without("predicate", "verifier")),
    Forgery(
        "another inner stack's project",
        "resourceUri",
        lambda: good(resource_uri=resource_uri("prod-inner", "us-central1", "small")),
    ),
    Forgery(
        "another inner stack's location",
        "resourceUri",
        lambda: good(resource_uri=resource_uri("inner", "us-east5", "small")),
    ),
    Forgery(
        "another workload",
        "resourceUri",
        lambda: good(resource_uri=resource_uri("inner", "us-central1", "maxtext")),
    ),
    Forgery("it failed", "verificationResult", _predicate(verificationResult="FAILED")),
    Forgery("no result", "verificationResult", _without("predicate", "verificationResult")),
    Forgery("a level of SLSA's", "verifiedLevels", _predicate(verifiedLevels=["SLSA_BUILD_LEVEL_3"])),
    Forgery("a level as a text", "verifiedLevels", _predicate(verifiedLevels="DMZ_SCREENED")),
    Forgery("no level", "verifiedLevels", _predicate(verifiedLevels=[])),
]
"""What SLSA's seven conditions keep out."""

FURTHER = [
    Forgery("a waiver that has ended since", "waiver", _waiver_until(NOW - DAY)),
    Forgery("a waiver that ended a second ago", "waiver", _waiver_until(NOW - timedelta(seconds=1))),
    Forgery("a waiver without an end", "waiver", _input("waiver", annotations={"role": "waiver"})),
    Forgery("too old", "timeVerified", lambda: good(time_verified=NOW - 7 * DAY - timedelta(seconds=1))),
    Forgery(
        "from the future", "timeVerified", lambda: good(time_verified=NOW + timedelta(minutes=5, seconds=1))
    ),
    Forgery("no time", "timeVerified", _without("predicate", "timeVerified")),
    Forgery("a time with an offset", "timeVerified", _predicate(timeVerified="2026-11-22T12:00:00+00:00")),
    Forgery("a time that is none", "timeVerified", _predicate(timeVerified="2026-11-31T12:00:00Z")),
    Forgery("another policy", "policy", lambda: good(policy_digest="8" * 64)),
    Forgery("no policy", "policy", _without("predicate", "policy")),
    Forgery("another lock", "locks", _input("lock", digest={"sha256": "0" * 64})),
    Forgery("a lock is missing", "locks", _other_inputs(lambda inputs: inputs.remove(_lock(inputs)))),
    Forgery(
        "a lock too many",
        "locks",
        _other_inputs(lambda inputs: inputs.append({**_lock(inputs), "name": "x"})),
    ),
    Forgery("a lock twice", "locks", _other_inputs(lambda inputs: inputs.append(_lock(inputs)))),
    Forgery("no inputs", "locks", _without("predicate", "inputAttestations")),
    Forgery("an input without a digest", "inputAttestations", _input("waivers", digest={})),
    Forgery("a list without a digest", "inputAttestations", _input("list", digest={})),
    Forgery("another kind of statement", "statement", _document(_type="https://in-toto.io/Statement/v0.1")),
    Forgery("a statement that is none", "statement", lambda: envelope(b"[]")),
    Forgery("a statement that is no JSON", "statement", lambda: envelope(b"\xff")),
    Forgery(
        "a key twice in the statement",
        "statement",
        lambda: envelope(_payload().replace(b'"_type"', b'"_type":"x","_type"', 1)),
    ),
    Forgery(
        "another payload type, well signed",
        "payloadType",
        lambda: envelope(_payload(), kind="application/json"),
    ),
    Forgery(
        "two payloads", "envelope", lambda: good().replace(b'"payload":', b'"payload": "e30=", "payload":', 1)
    ),
    Forgery("no payload", "envelope", _raw(payload=None)),
    Forgery("a payload that is no base64", "envelope", _raw(payload="?")),
    Forgery("signatures that are none", "envelope", _raw(signatures={"sig": ""})),
    Forgery("a signature that is none", "envelope", _raw(signatures=["x"])),
    Forgery("too many signatures", "envelope", _raw(signatures=[signature(b"")] * 17)),
    Forgery("no envelope", "envelope", lambda: b"null"),
    Forgery("nothing", "envelope", lambda: b""),
    Forgery("UTF-16", "envelope", lambda: good().decode().encode("utf-16")),
    Forgery("too large", "envelope", lambda: good() + b" " * (1 << 20)),
    Forgery("too deep", "envelope", lambda: b"[" * 100_000),
    Forgery("NaN", "envelope", lambda: good().replace(b'"payload":', b'"x": NaN, "payload":', 1)),
]
"""What this project's own conditions, and reading with care, keep out."""

FORGERIES = [*SEVEN, *FURTHER]
