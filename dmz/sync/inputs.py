"""What the sync is told, as it stands in the state, and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from pulumi.dynamic import CheckFailure
from pulumi.output import Unknown

from dmz.attestations import Place
from dmz.errors import InputError
from dmz.promotion import lines
from dmz.promotion.attestation import Trust

TARGET: Final = ("project", "location", "aptRepository", "pythonRepository", "releaseBucket")
"""Inputs that say where the releases go: another one is another resource."""
_TEXTS: Final = (
    *TARGET,
    "outerProject",
    "filesBucket",
    "syncServiceAccount",
    "releaseFolder",
    "providerVersion",
)
_LATER_TEXTS: Final = ("archiveBucket", "stagingBucket")
"""Inputs that earlier versions did not have. Neither is part of the target: what they hold is not lost when
another bucket takes their place."""
_SWITCHES: Final = ("adopt", "withdrawOnDelete")
INPUTS: Final = (
    "packages",
    "releases",
    "attestation",
    "attestations",
    *_TEXTS,
    *_LATER_TEXTS,
    *_SWITCHES,
)
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_LONGEST: Final = 1e13
"""Seconds; more is no duration in Python."""
_NONE: Final = object()
"""Stands for inputs that an earlier version did not have."""


@dataclass(frozen=True)
class Inputs:
    """The inputs, typed."""

    packages: dict[str, str]
    releases: dict[str, str]
    release_folder: Path
    project: str
    location: str
    apt_repository: str
    python_repository: str
    release_bucket: str
    outer_project: str
    files_bucket: str
    sync_service_account: str
    archive_bucket: str | None
    """Outer's; None: the state is of an earlier version, whose sync kept nothing."""
    staging_bucket: str | None
    """Inner's; None: the state is of an earlier version, whose sync staged nothing."""
    place: Place | None
    """None: the state is of an earlier version, whose sync knew of no attestations."""
    adopt: bool
    withdraw_on_delete: bool

    @classmethod
    def of(cls, props: Mapping[str, Any]) -> Inputs:
        """The inputs of create and update; those of a state to read or delete may lack what came later.

        Raises:
            InputError: one of them is no good.
        """
        for failure in failures({"attestation": _NONE, **dict.fromkeys(_LATER_TEXTS, _NONE), **props}):
            raise InputError(f"{failure.property}: {failure.reason}")
        return cls(
            dict(props["packages"]),
            dict(props["releases"]),
            Path(props["releaseFolder"]),
            props["project"],
            props["location"],
            props["aptRepository"],
            props["pythonRepository"],
            props["releaseBucket"],
            props["outerProject"],
            props["filesBucket"],
            props["syncServiceAccount"],
            props.get("archiveBucket"),
            props.get("stagingBucket"),
            _place(props),
            bool(props.get("adopt", False)),
            bool(props.get("withdrawOnDelete", False)),
        )

    @property
    def id(self) -> str:
        """Names the repositories."""
        return f"{self.project}/{self.location}/{self.python_repository},{self.apt_repository}"


def _place(props: Mapping[str, Any]) -> Place | None:
    given = props.get("attestation")
    if given is None:
        return None
    trust = Trust(
        given["key"], given["verifier"], given["policyDigest"], timedelta(seconds=given["maxAgeSeconds"])
    )
    return Place(props["project"], props["location"], given["bucket"], trust)


def inputs_only(props: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs among the properties of a state."""
    return {key: props[key] for key in INPUTS if key in props}


def failures(props: Mapping[str, Any]) -> Iterable[CheckFailure]:
    """What is wrong with the inputs, as far as they are known."""
    for key in (*_TEXTS, *_LATER_TEXTS):
        value = props.get(key)
        if (
            value is not _NONE
            and not isinstance(value, Unknown)
            and (not isinstance(value, str) or not value.strip())
        ):
            yield CheckFailure(key, f"{value!r} is no text; pass the {key} of the stack")
    for key in _SWITCHES:
        if not isinstance(props.get(key, False), bool | Unknown):
            yield CheckFailure(key, f"{props[key]!r} is neither true nor false")
    folder = props.get("releaseFolder")
    if isinstance(folder, str) and (Path(folder).is_absolute() or ".." in Path(folder).parts):
        yield CheckFailure("releaseFolder", f"'{folder}' leaves the project; name a folder in it")
    yield from _attestation_failures(props.get("attestation"))
    checks = {"packages": _package_line, "releases": _release_digest, "attestations": _attested_line}
    for key, check in checks.items():
        value = props.get(key, {} if key == "attestations" else None)
        if isinstance(value, Unknown):
            continue
        if not isinstance(value, Mapping):
            yield CheckFailure(key, f"{value!r} is no map")
            continue
        for name, text in value.items():
            if not isinstance(text, Unknown) and (problem := check(name, text)):
                yield CheckFailure(key, problem)


def _package_line(key: str, line: object) -> str:
    try:
        lines.parse({key: str(line)})
    except InputError as error:
        return str(error)
    return ""


def _release_digest(workload: str, digest: object) -> str:
    if isinstance(digest, str) and _SHA256.fullmatch(digest):
        return ""
    return f"{workload}: {digest!r} is no release digest; run `dmz screen` again"


def _attested_line(workload: str, line: object) -> str:
    return "" if isinstance(line, str) and line.isprintable() else f"{workload}: {line!r} is no line of text"


def _attestation_failures(given: object) -> Iterable[CheckFailure]:
    if given is _NONE or isinstance(given, Unknown):
        return
    if not isinstance(given, Mapping):
        yield CheckFailure("attestation", f"{given!r} is no map; say who attests: key, verifier, bucket …")
        return
    for key in ("key", "verifier", "bucket", "policyDigest"):
        value = given.get(key)
        if not isinstance(value, Unknown) and (not isinstance(value, str) or not value.strip()):
            yield CheckFailure("attestation", f"{key}: {value!r} is no text; pass the stack's")
    seconds = given.get("maxAgeSeconds")
    known = isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds <= _LONGEST
    if not known and not isinstance(seconds, Unknown):
        yield CheckFailure("attestation", f"maxAgeSeconds: {seconds!r} will not do; pass the policy's limit")


def differs(old: object, new: object) -> bool:
    """Whether an input changed; what is not known yet did."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return old.keys() != new.keys() or any(differs(old[key], new[key]) for key in new)
    return isinstance(new, Unknown) or old != new
