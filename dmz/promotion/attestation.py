"""The attestation: a signed statement that a release passed a policy, and the one place that decides on it.

The statement of `dmz.promotion.statement` in a DSSE envelope, verified as SLSA asks ("How to verify",
https://slsa.dev/spec/v1.0/verification_summary) and by what this project adds.

The sealed machine decides by the same conditions with its own code (`dmz/machine/agent/attestation.py`),
which can import nothing of this; tests hold the two to the same answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from dmz.errors import RefusedError
from dmz.promotion import dsse
from dmz.promotion.dsse import Envelope
from dmz.promotion.statement import (
    PASSED,
    PAYLOAD_TYPE,
    PREDICATE_TYPE,
    SCREENED,
    STATEMENT_TYPE,
    Attestation,
    Input,
    Role,
    algorithm,
    moment,
    parse_moment,
)
from dmz.promotion.wording import printable

SKEW: Final = timedelta(minutes=5)
"""By how much two clocks may differ."""

_AGAIN: Final = "attest the release of this checkout: dmz attest"


@dataclass(frozen=True)
class Trust:
    """What a stack believes an attestation by: who signs, and what was agreed."""

    key: str
    """PEM of the EC P-256 public key. It belongs to the verifier: neither is believed without the other."""
    verifier: str
    """URI, as `verifier_id` makes it."""
    policy_digest: str
    """SHA-256 of the policy that is configured."""
    max_age: timedelta
    """How long an attestation holds."""


@dataclass(frozen=True)
class Expected:
    """What an attestation has to say of one release in one place at one moment."""

    trust: Trust
    resource_uri: str
    release_digest: str
    locks: Mapping[str, str]
    """SHA-256 by lock file, as `lock_digests` gives them."""
    now: datetime
    levels: tuple[str, ...] = (SCREENED,)


def held_once(
    data: bytes, key: str, verifier: str, resource_uri: str, digest: str, locks: Mapping[str, str]
) -> bool:
    """Whether these bytes attested a release for a place at the moment and by the policy that they name.

    It lets nothing in. It shows that the attestor, and nobody else, once judged just these lock files.

    Args:
        key: as in `Trust`; so is `verifier`.
        resource_uri: as in `Expected`; so are `digest` (of the release) and `locks`.
    """
    try:
        predicate = dsse.load(Envelope.parse(data).payload)["predicate"]
        time = parse_moment(predicate["timeVerified"])
        policy = predicate["policy"]["digest"]["sha256"]
    except (ValueError, KeyError, TypeError):
        return False
    if time is None or not isinstance(policy, str):
        return False
    try:
        verify(data, Expected(Trust(key, verifier, policy, timedelta(0)), resource_uri, digest, locks, time))
    except RefusedError:
        return False
    return True


def verify(data: bytes, expected: Expected) -> Attestation:
    """Whether these bytes attest that release for that place, now; any of SLSA's seven conditions and ours.

    Raises:
        RefusedError: they don't; the line names the condition, what was found, what was expected and what
            to do.
        InputError: the public key that should be believed is none.
    """
    try:
        envelope = Envelope.parse(data)
    except ValueError as error:
        raise _refused("envelope", str(error), "a DSSE envelope", _AGAIN) from None
    trust = expected.trust
    if not envelope.signed_by(trust.key):
        raise _refused(
            "signature",
            f"{len(envelope.signatures)} that the configured key did not make",
            f"one by the key of {trust.verifier}",
            "find out who wrote it; if the key was renewed: pulumi up on the outer stack, then dmz attest",
        )
    _must("payloadType", envelope.payload_type, PAYLOAD_TYPE, _AGAIN)
    try:
        statement = dsse.load(envelope.payload)
    except ValueError as error:
        raise _refused("statement", str(error), "an in-toto statement", _AGAIN) from None
    _must("statement", _at(statement, "_type"), STATEMENT_TYPE, _AGAIN)
    name = _subject(_at(statement, "subject"), expected.release_digest)
    _must("predicateType", _at(statement, "predicateType"), PREDICATE_TYPE, _AGAIN)
    predicate = _at(statement, "predicate")
    _must(
        "verifier",
        _at(predicate, "verifier", "id"),
        trust.verifier,
        "have it attested by that account: dmz attest",
    )
    _must(
        "resourceUri",
        _at(predicate, "resourceUri"),
        expected.resource_uri,
        "it is for another place: attest the release for this inner stack",
    )
    _must(
        "verificationResult",
        _at(predicate, "verificationResult"),
        PASSED,
        "screen and attest again; what failed must not enter",
    )
    _levels(_at(predicate, "verifiedLevels"), expected.levels)
    _must(
        "policy",
        _at(predicate, "policy", "digest", "sha256"),
        trust.policy_digest,
        "attest by the policy that is configured: dmz attest",
    )
    time = _time(_at(predicate, "timeVerified"), expected)
    inputs = _inputs(_at(predicate, "inputAttestations"), expected)
    policy = _at(predicate, "policy", "uri")
    return Attestation(
        name,
        expected.release_digest,
        trust.verifier,
        time,
        expected.resource_uri,
        policy if isinstance(policy, str) else "",
        trust.policy_digest,
        inputs,
    )


def _subject(subjects: Any, digest: str) -> str:
    """The name of the subject that has the digest; subjects are matched by digest and nothing else."""
    listed = subjects if isinstance(subjects, list) else []
    for each in listed:
        if _at(each, "digest", "sha256") == digest:
            name = _at(each, "name")
            return name if isinstance(name, str) else ""
    found = ", ".join(_shown(_at(each, "digest", "sha256")) for each in listed[:3]) or "nothing"
    raise _refused("subject", found, digest, _AGAIN)


def _levels(found: Any, wanted: tuple[str, ...]) -> None:
    if not isinstance(found, list) or any(level not in found for level in wanted):
        raise _refused("verifiedLevels", _shown(found), ", ".join(wanted), _AGAIN)


def _time(found: Any, expected: Expected) -> datetime:
    time = parse_moment(found)
    if time is None:
        raise _refused("timeVerified", _shown(found), "a UTC time such as 2026-11-22T10:29:00Z", _AGAIN)
    if time > expected.now + SKEW:
        raise _refused(
            "timeVerified",
            f"{moment(time)}, which is to come",
            f"a time before {moment(expected.now)}",
            "set the clocks right, then dmz attest --again",
        )
    if expected.now - time > expected.trust.max_age:
        raise _refused(
            "timeVerified",
            f"{moment(time)}, which is too long ago",
            f"at most {expected.trust.max_age / timedelta(days=1):g} days, as the policy says",
            "attest it anew: dmz attest",
        )
    return time


def _inputs(found: Any, expected: Expected) -> tuple[Input, ...]:
    """The inputs that have a role here; others are passed over."""
    inputs: list[Input] = []
    locks: dict[str, str] = {}
    for each in found if isinstance(found, list) else []:
        read = _input(each)
        if read is None:
            continue
        if read.role is Role.LOCK:
            if read.name in locks:
                raise _refused("locks", f"{printable(read.name, 80)} twice", "each lock once", _AGAIN)
            locks[read.name] = read.digest
        if read.role is Role.WAIVER and (read.until is None or read.until < expected.now):
            end = moment(read.until) if read.until else "no readable time"
            raise _refused(
                "waiver",
                f"{printable(read.name, 120)} until {end}",
                f"an end not before {moment(expected.now)}",
                "screen again without what it waived, or have it renewed, and attest again",
            )
        inputs.append(read)
    if locks != dict(expected.locks):
        wrong = sorted(
            name for name in {*locks, *expected.locks} if locks.get(name) != expected.locks.get(name)
        )
        raise _refused(
            "locks",
            ", ".join(f"{printable(name, 80)} {_shown(locks.get(name))}" for name in wrong[:3]),
            ", ".join(expected.locks.get(name, "nothing") for name in wrong[:3]),
            _AGAIN,
        )
    return tuple(inputs)


def _input(descriptor: Any) -> Input | None:
    """An input with a known role.

    Raises:
        RefusedError: it has one, and no name or digest.
    """
    role = _at(descriptor, "annotations", "role")
    if not isinstance(role, str) or role not in list(Role):
        return None
    name, uri = _at(descriptor, "name"), _at(descriptor, "uri")
    digest = _at(descriptor, "digest", algorithm(Role(role)))
    if not isinstance(name, str) or not isinstance(digest, str):
        raise _refused("inputAttestations", f"a {role} without name or digest", "both", _AGAIN)
    return Input(
        Role(role),
        name,
        digest,
        uri if isinstance(uri, str) else "",
        parse_moment(_at(descriptor, "annotations", "as_of")),
        parse_moment(_at(descriptor, "annotations", "until")),
    )


def _at(value: Any, *path: str) -> Any:
    """What is at the path; None where there is nothing, or something else than an object on the way."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _must(condition: str, found: Any, expected: str, remedy: str) -> None:
    if found != expected:
        raise _refused(condition, _shown(found), expected, remedy)


def _shown(found: Any) -> str:
    return "nothing" if found is None else printable(found if isinstance(found, str) else repr(found), 120)


def _refused(condition: str, found: str, expected: str, remedy: str) -> RefusedError:
    return RefusedError(f"attestation: {condition}: found {found}, expected {expected}; {remedy}")
