"""What an attestation says: an in-toto Statement v1 with a SLSA Verification Summary v1.

Formats: https://in-toto.io/Statement/v1 and https://slsa.dev/spec/v1.0/verification_summary. What the verdict
rests on stands among the summary's `inputAttestations`; in-toto's annotations carry what each is to the
verdict, the moment of an advisory source and the end of a waiver.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://slsa.dev/verification_summary/v1"
PASSED: Final = "PASSED"
SCREENED: Final = "DMZ_SCREENED"
"""The level that a screened release has; not one of SLSA's, whose names begin with `SLSA_`."""

_MOMENT: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(\.[0-9]+)?Z")


class Role(StrEnum):
    """What an input is to the verdict."""

    LOCK = "lock"
    WAIVERS = "waivers"
    """All of the checkout's, used or not."""
    WAIVER = "waiver"
    """One that the verdict needed."""
    ADVISORIES = "advisories"
    LIST = "list"
    """A file that a rule of the policy reads."""
    COMMIT = "commit"
    """The commit of the checkout."""
    ARCHIVE = "archive"
    """What of the release nobody offered any more, and was judged as the archive keeps it."""


@dataclass(frozen=True, order=True)
class Input:
    """One thing that the verdict rests on."""

    role: Role
    name: str
    """A file's name, or the source's."""
    digest: str
    """SHA-256 (of a commit, git's own digest), hexadecimal."""
    uri: str = ""
    """Where it is, relative to the checkout; empty for what is not in it, or is where its name says."""
    as_of: datetime | None = None
    """Of advisories: the moment whose knowledge they have."""
    until: datetime | None = None
    """Of a waiver: its end."""


@dataclass(frozen=True)
class Attestation:
    """What the signer says."""

    subject: str
    """The name of the release's checksum file."""
    release_digest: str
    verifier: str
    """URI of who judged."""
    time_verified: datetime
    resource_uri: str
    """Where the release may go."""
    policy: str
    """Path of the policy in the checkout."""
    policy_digest: str
    inputs: tuple[Input, ...]

    def statement(self) -> bytes:
        """The in-toto statement, canonical: the same facts are the same bytes."""
        document = {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": self.subject, "digest": {"sha256": self.release_digest}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "verifier": {"id": self.verifier},
                "timeVerified": moment(self.time_verified),
                "resourceUri": self.resource_uri,
                "policy": {"uri": self.policy, "digest": {"sha256": self.policy_digest}},
                "inputAttestations": [_descriptor(each) for each in sorted(self.inputs, key=_by_name)],
                "verificationResult": PASSED,
                "verifiedLevels": [SCREENED],
            },
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def verifier_id(account: str) -> str:
    """The verifier that a service account is, by its email address."""
    return f"https://iam.googleapis.com/v1/projects/-/serviceAccounts/{account}"


def resource_uri(project: str, location: str, workload: str) -> str:
    """Where a release may go: the repositories of one inner side, for one workload."""
    return f"https://artifactregistry.googleapis.com/v1/projects/{project}/locations/{location}#{workload}"


def lock_digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """SHA-256 by name of a release's lock files; its checksum file is what the statement is about."""
    return {
        name: sha256(body)
        for name, body in files.items()
        if not (name.startswith("release.") and name.endswith(".sha256"))
    }


def sha256(body: bytes) -> str:
    """The digest as in-toto writes it."""
    return hashlib.sha256(body).hexdigest()


def moment(time: datetime) -> str:
    """A time as the statement has it: RFC 3339, UTC, seconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _descriptor(made: Input) -> dict[str, Any]:
    """The in-toto resource descriptor of an input."""
    annotations = {"role": str(made.role)}
    if made.as_of:
        annotations["as_of"] = moment(made.as_of)
    if made.until:
        annotations["until"] = moment(made.until)
    return {
        "name": made.name,
        **({"uri": made.uri} if made.uri else {}),
        "digest": {algorithm(made.role): made.digest},
        "annotations": annotations,
    }


def algorithm(role: Role) -> str:
    """What in-toto calls the digest of an input."""
    return "gitCommit" if role is Role.COMMIT else "sha256"


def _by_name(each: Input) -> tuple[str, str, str]:
    return (each.role, each.name, each.digest)


def parse_moment(text: Any) -> datetime | None:
    """A time of the statement (in-toto: RFC 3339 with a `Z`); None if it is none."""
    match = _MOMENT.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    try:
        year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
