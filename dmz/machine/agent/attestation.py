"""Whether a release is attested: the machine's own look at the signed statement, before it installs anything.

An in-toto Statement v1 with a SLSA Verification Summary v1
(https://slsa.dev/spec/v1.0/verification_summary) in a DSSE envelope
(https://github.com/secure-systems-lab/dsse), signed with ECDSA on P-256 and SHA-256. Conditions and words are
those of `dmz/promotion/attestation.py`; for the signature there is openssl, which comes with ca-certificates.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import tempfile
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NoReturn

from .command import StepError

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/verification_summary/v1"
PASSED = "PASSED"
SCREENED = "DMZ_SCREENED"

_LIMIT = 1 << 20
"""Bytes of the largest envelope that is read."""
_SIGNATURES = 16
"""The most signatures that one envelope may have."""
_SKEW = timedelta(minutes=5)
"""By how much two clocks may differ."""
_MOMENT = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(\.[0-9]+)?Z")
_P256 = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
"""How a public key says that it is one of elliptic curves, on P-256 (RFC 5480, section 2.1.1)."""
_ROLES = {"lock", "waivers", "waiver", "advisories", "list", "commit", "archive"}
_AGAIN = "not installing; attest the release (dmz attest), then pulumi up"


def verify(
    envelope: bytes, trust: Mapping[str, Any], digest: str, locks: Mapping[str, str], now: datetime
) -> None:
    """Whether these bytes attest the release for this machine's place, now.

    Args:
        trust: what the stack told this machine: `key` (PEM), `verifier`, `resource_uri`, `policy_digest` and
            `max_age_seconds`.
        digest: of the release.
        locks: SHA-256 by lock file.

    Raises:
        StepError: they don't; the line names the condition, what was found and what was expected.
    """
    try:
        payload_type, payload, signatures = _envelope(envelope)
    except ValueError as error:
        raise _refused("envelope", str(error), "a DSSE envelope") from None
    if not _signed(payload_type, payload, signatures, trust["key"]):
        found = f"{len(signatures)} that the configured key did not make"
        raise _refused("signature", found, f"one by the key of {trust['verifier']}")
    _must("payloadType", payload_type, PAYLOAD_TYPE)
    try:
        statement = _load(payload)
    except ValueError as error:
        raise _refused("statement", str(error), "an in-toto statement") from None
    _must("statement", _at(statement, "_type"), STATEMENT_TYPE)
    _subject(_at(statement, "subject"), digest)
    _must("predicateType", _at(statement, "predicateType"), PREDICATE_TYPE)
    predicate = _at(statement, "predicate")
    _must("verifier", _at(predicate, "verifier", "id"), trust["verifier"])
    _must("resourceUri", _at(predicate, "resourceUri"), trust["resource_uri"])
    _must("verificationResult", _at(predicate, "verificationResult"), PASSED)
    levels = _at(predicate, "verifiedLevels")
    if not isinstance(levels, list) or SCREENED not in levels:
        raise _refused("verifiedLevels", _shown(levels), SCREENED)
    _must("policy", _at(predicate, "policy", "digest", "sha256"), trust["policy_digest"])
    _time(_at(predicate, "timeVerified"), now, timedelta(seconds=trust["max_age_seconds"]))
    _inputs(_at(predicate, "inputAttestations"), locks, now)


def _envelope(data: bytes) -> tuple[str, bytes, list[bytes]]:
    """Payload type, payload and signatures. Key ids are hints that nobody signed, and decide nothing.

    Raises:
        ValueError: the bytes are no envelope.
    """
    if len(data) > _LIMIT:
        raise ValueError(f"{len(data)} bytes, more than the {_LIMIT} that are read")
    document = _load(data)
    if not isinstance(document, dict):
        raise ValueError("no JSON object")
    listed = document.get("signatures")
    if not isinstance(listed, list) or not 1 <= len(listed) <= _SIGNATURES:
        raise ValueError(f"'signatures' is no list of 1 to {_SIGNATURES}")
    for each in listed:
        _text(each, "keyid", "")
    return (
        _text(document, "payloadType"),
        _bytes(document, "payload"),
        [_bytes(each, "sig") for each in listed],
    )


def _signed(payload_type: str, payload: bytes, signatures: list[bytes], key: str) -> bool:
    """Whether any of the signatures is the key's, and the key of the only kind that is believed."""
    if not _is_p256(key):
        return False
    kind = payload_type.encode()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "key").write_text(key, encoding="utf-8")
        # DSSE's pre-authentication encoding.
        Path(folder, "signed").write_bytes(b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload))
        for signature in signatures:
            Path(folder, "signature").write_bytes(signature)
            command = ["openssl", "dgst", "-sha256", "-verify", "key", "-signature", "signature", "signed"]
            try:
                ended = subprocess.run(command, cwd=folder, capture_output=True)
            except FileNotFoundError:
                raise StepError("this image has no openssl, so no signature can be verified") from None
            if ended.returncode == 0:
                return True
    return False


def _is_p256(key: str) -> bool:
    """Whether this is the PEM (RFC 7468) of a key on P-256; openssl would take any kind."""
    try:
        return base64.b64decode("".join(key.strip().splitlines()[1:-1]), validate=True)[2:23] == _P256
    except ValueError:
        return False


def _subject(subjects: Any, digest: str) -> None:
    listed = subjects if isinstance(subjects, list) else []
    digests = [_at(each, "digest", "sha256") for each in listed]
    if digest not in digests:
        raise _refused("subject", ", ".join(map(_shown, digests[:3])) or "nothing", digest)


def _time(found: Any, now: datetime, max_age: timedelta) -> None:
    time = _moment(found)
    if time is None:
        raise _refused("timeVerified", _shown(found), "a UTC time such as 2026-11-22T10:29:00Z")
    if time > now + _SKEW:
        raise _refused(
            "timeVerified", f"{found}, which is to come", f"a time before {now:%Y-%m-%dT%H:%M:%SZ}"
        )
    if now - time > max_age:
        longest = f"at most {max_age / timedelta(days=1):g} days, as the policy says"
        raise _refused("timeVerified", f"{found}, which is too long ago", longest)


def _inputs(found: Any, locks: Mapping[str, str], now: datetime) -> None:
    attested = {}
    for each in found if isinstance(found, list) else []:
        role = _at(each, "annotations", "role")
        if not isinstance(role, str) or role not in _ROLES:
            continue
        name = _at(each, "name")
        digest = _at(each, "digest", "gitCommit" if role == "commit" else "sha256")
        if not isinstance(name, str) or not isinstance(digest, str):
            raise _refused("inputAttestations", f"a {role} without name or digest", "both")
        if role == "lock":
            if name in attested:
                raise _refused("locks", f"{_shown(name)} twice", "each lock once")
            attested[name] = digest
        if role == "waiver":
            end = _at(each, "annotations", "until")
            until = _moment(end)
            if until is None or until < now:
                raise _refused(
                    "waiver", f"{_shown(name)} until {_shown(end)}", f"an end not before {now:%Y-%m-%d}"
                )
    if attested != dict(locks):
        wrong = sorted(name for name in {*attested, *locks} if attested.get(name) != locks.get(name))[:3]
        raise _refused(
            "locks",
            ", ".join(f"{_shown(name)} {_shown(attested.get(name))}" for name in wrong),
            ", ".join(locks.get(name, "nothing") for name in wrong),
        )


def _load(data: bytes) -> Any:
    """A JSON value in which nothing can be read in two ways: UTF-8, no key twice, no NaN."""
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


def _moment(text: Any) -> datetime | None:
    match = _MOMENT.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    try:
        year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
        return datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)  # noqa: UP017 - 3.10
    except ValueError:
        return None


def _at(value: Any, *path: str) -> Any:
    """What is at the path; None where there is nothing, or something else than an object on the way."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _must(condition: str, found: Any, expected: str) -> None:
    if found != expected:
        raise _refused(condition, _shown(found), expected)


def _shown(found: Any) -> str:
    """Foreign text that can be shown: printable, and not long."""
    text = "nothing" if found is None else found if isinstance(found, str) else repr(found)
    return "".join(each if each.isprintable() else "?" for each in text)[:120]


def _refused(condition: str, found: str, expected: str) -> StepError:
    return StepError(f"attestation: {condition}: found {found}, expected {expected}; {_AGAIN}")
