"""Reading what a machine says. It ran foreign code: any bytes may come, only the expected shape passes."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Final, TypeVar

from packaging.utils import InvalidName, canonicalize_name
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from dmz.errors import InputError
from dmz.promotion import versions
from dmz.promotion.wording import printable, problem

LIMIT: Final = 16 * 1024 * 1024
"""Bytes of the largest claim that is read: some 50,000 packages."""

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_DEBIAN_NAME: Final = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_ARCHITECTURE: Final = re.compile(r"[a-z0-9][a-z0-9-]*")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+~!%@=,-]*")
_IDENTIFIER: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|\+00:00)")


class Claim(BaseModel):
    """Base of everything that is parsed from outside: strict types, no unknown key, immutable."""

    # Built when first used: of all models a command reads a few.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)


def _like(pattern: re.Pattern[str], what: str) -> AfterValidator:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(f"'{printable(value, 80)}' is no {what}")
        return value

    return AfterValidator(check)


def _distribution(value: str) -> str:
    try:
        return canonicalize_name(value, validate=True)
    except InvalidName:
        raise ValueError(f"'{printable(value, 80)}' is no distribution name (PEP 503)") from None


def _pep440(value: str) -> str:
    if not versions.is_pep440(value):
        raise ValueError(f"'{printable(value, 80)}' is no version (PEP 440)")
    return value


def _dpkg(value: str) -> str:
    if not versions.is_dpkg(value):
        raise ValueError(f"'{printable(value, 80)}' is no Debian version")
    return value


Identifier = Annotated[str, _like(_IDENTIFIER, "name of lower-case letters, digits and hyphens")]
Sha256 = Annotated[str, _like(_SHA256, "SHA-256 of 64 lower-case hexadecimal digits")]
PlainName = Annotated[str, Field(max_length=255), _like(_PLAIN, "plain file name: it must not have a folder")]
DebianName = Annotated[str, _like(_DEBIAN_NAME, "Debian package name")]
Architecture = Annotated[str, _like(_ARCHITECTURE, "Debian architecture")]
DebianVersion = Annotated[str, Field(max_length=200), AfterValidator(_dpkg)]
DistributionName = Annotated[str, AfterValidator(_distribution)]
PythonVersion = Annotated[str, Field(max_length=200), AfterValidator(_pep440)]
Moment = Annotated[str, _like(_TIME, "UTC time such as 2026-11-22T10:29:00Z")]
Schema = Annotated[int, Field(alias="schema", ge=1, le=1)]
"""The version of the claim's format."""
Text = Annotated[str, AfterValidator(printable)]
"""Foreign text, kept only as far as it can be shown."""


class BaseFacts(Claim):
    """The base image as the machine found it at its first boot."""

    runtime: Identifier
    dpkg_digest: Sha256
    python: PythonVersion
    architecture: Architecture
    glibc: PythonVersion


Model = TypeVar("Model", bound=Claim)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def read(model: type[Model], data: bytes, where: str) -> Model:
    """Parse a claim.

    Args:
        where: the object's name, for the message.

    Raises:
        InputError: the bytes are anything else than one claim of this kind.
    """
    if len(data) > LIMIT:
        raise InputError(f"{where}: {len(data)} bytes are more than a claim may have ({LIMIT}); not read")
    try:
        # The first pass only looks for keys that stand twice, which the second would quietly merge.
        json.loads(data, object_pairs_hook=_no_duplicates)
        return model.model_validate_json(data)
    except ValidationError as error:
        text = problem(error, tuple(model.model_fields))
    except RecursionError:
        text = "nested too deeply"
    except ValueError as error:
        text = f"no JSON document: {printable(str(error))}"
    raise InputError(f"{where}: {text}; not read. Look at the machine that wrote it")
