"""The workload: what must run inside, as a TOML file that a person writes."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from pydantic import AfterValidator, Field, ValidationError

from dmz.errors import InputError
from dmz.promotion.claim import Claim, DebianName, Identifier, PlainName, Sha256
from dmz.promotion.wording import printable, problem

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")


def _requirement(text: str) -> str:
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        raise ValueError(
            f"'{printable(text, 80)}' is no requirement (PEP 508); write for example 'jax>=0.4'"
        ) from None
    if requirement.url:
        raise ValueError(
            f"'{printable(text, 80)}' names an address, which no repository serves; list it as a [[file]]"
        )
    return text


def _address(text: str) -> str:
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    fine = text.isprintable() and " " not in text and not parts.username and not parts.password
    if parts.scheme == "https":
        fine = fine and bool(host) and len(parts.path) > 1
    elif parts.scheme == "gs":
        fine = fine and _BUCKET.fullmatch(parts.netloc) is not None and len(parts.path) > 1
    else:
        fine = False
    if not fine:
        raise ValueError(
            f"'{printable(text, 80)}' is no address of a file; write https://HOST/PATH or gs://BUCKET/OBJECT"
        )
    return text


def _not_empty(text: str) -> str:
    if not text.strip():
        raise ValueError("it is empty; say something")
    return text


def _unique(key: Callable[[Any], str], what: str) -> AfterValidator:
    def check(values: Iterable[Any]) -> Iterable[Any]:
        seen: set[str] = set()
        for value in values:
            if key(value) in seen:
                raise ValueError(f"the {what} '{key(value)}' stands twice; keep one")
            seen.add(key(value))
        return values

    return AfterValidator(check)


def _name_and_marker(text: str) -> str:
    requirement = Requirement(text)
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    return canonicalize_name(requirement.name) + marker


_List = Field(default=(), strict=False)
_Requirements = Annotated[
    tuple[Annotated[str, AfterValidator(_requirement)], ...], _unique(_name_and_marker, "requirement")
]
_Text = Annotated[str, AfterValidator(_not_empty)]


class WorkloadFile(Claim):
    """What is neither a deb nor a Python distribution: a source archive, an interpreter."""

    name: PlainName
    address: Annotated[str, AfterValidator(_address)]
    """`https://…`, or `gs://BUCKET/OBJECT`."""
    sha256: Sha256


class Workload(Claim):
    """What must run inside."""

    name: Identifier
    """Part of the lock files' names."""
    summary: _Text
    base_image: Annotated[Identifier, Field(alias="base-image")]
    """The machine's runtime version; `dmz.promotion.base_image` describes it."""
    apt: Annotated[tuple[DebianName, ...], _unique(str, "package")] = _List
    """Debian packages, by name."""
    python: _Requirements = _List
    """PEP 508 requirements."""
    python_overrides: Annotated[_Requirements, Field(alias="python-overrides")] = _List
    """Requirements that replace what distributions ask for (uv's and pip's overrides)."""
    check: _Text
    """Shell text that shows that it works; runs with the virtual environment on PATH."""
    files: Annotated[tuple[WorkloadFile, ...], Field(alias="file"), _unique(lambda f: f.name, "file")] = _List

    def settings(self) -> dict[str, Any]:
        """The workload as a machine gets it, and as its digest is made of."""
        return {
            "name": self.name,
            "summary": self.summary,
            "base-image": self.base_image,
            "apt": list(self.apt),
            "python": list(self.python),
            "python-overrides": list(self.python_overrides),
            "check": self.check,
            "files": [
                {"name": file.name, "address": file.address, "sha256": file.sha256} for file in self.files
            ],
        }


def workload_digest(workload: Workload) -> str:
    """SHA-256 of the canonical JSON (keys sorted, no spaces, UTF-8): changes when the meaning does."""
    text = json.dumps(workload.settings(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def parse(text: str, where: str) -> Workload:
    """Parse a workload file's text.

    Args:
        where: the file's name, for messages.

    Raises:
        InputError: not TOML, an unknown or missing key, or a value that is no good.
    """
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also a number that is too long for Python
        raise InputError(f"{where}: no TOML ({printable(str(error))}); correct it") from None
    keys = {field.alias or name for name, field in Workload.model_fields.items()}
    try:
        return Workload.model_validate(document)
    except ValidationError as error:
        raise InputError(f"{where}: {problem(error, sorted(keys))}") from None


def read(path: Path) -> Workload:
    """Read a workload file.

    Raises:
        InputError: it is missing, unreadable or no workload.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such workload file; set dmz:workload to one that exists (workloads/small.toml)"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: unreadable ({printable(str(error))}); it must be a UTF-8 file") from None
    return parse(text, str(path))
