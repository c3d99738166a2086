"""OpenVEX documents, version 0.2.0, as far as they can waive something (https://github.com/openvex/spec)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal, Self

from packageurl import PackageURL
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from dmz.promotion.claim import Sha256
from dmz.promotion.wording import printable

CONTEXT: Final = "https://openvex.dev/ns/v0.2.0"


def _not_empty(text: str) -> str:
    if not text.strip():
        raise ValueError("it is empty; say something")
    return printable(text)


def _iri(text: str) -> str:
    if ":" not in text or not text.isprintable() or " " in text:
        raise ValueError(
            f"'{printable(text, 80)}' is no IRI; write for example 'https://example.org/waivers/1'"
        )
    return text


def _purl(text: str) -> str:
    try:
        named = PackageURL.from_string(text)
    except ValueError:
        named = None
    if named is None or not (named.version or named.qualifiers):
        raise ValueError(
            f"'{printable(text, 80)}' is no package URL with a version; "
            "write for example 'pkg:pypi/jax@0.4.1'"
        )
    return text


_Text = Annotated[str, AfterValidator(_not_empty)]
_Iri = Annotated[str, AfterValidator(_iri)]


class _Part(BaseModel):
    # Exactly what the specification knows: anything else is a slip that would change what is waived.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)


class _Vulnerability(_Part):
    name: _Text
    id: Annotated[_Iri | None, Field(alias="@id")] = None
    description: str = ""
    aliases: tuple[_Text, ...] = ()


class _Identifiers(_Part):
    purl: Annotated[str, AfterValidator(_purl)]
    cpe22: str = ""
    cpe23: str = ""


class _Hashes(_Part):
    model_config = ConfigDict(extra="allow", defer_build=True)
    sha256: Annotated[Sha256, Field(alias="sha-256")]


class _Product(_Part):
    id: Annotated[_Iri | None, Field(alias="@id")] = None
    identifiers: _Identifiers
    hashes: _Hashes


class Statement(_Part):
    """Products, a vulnerability, and what is the matter with the two."""

    id: Annotated[_Iri | None, Field(alias="@id")] = None
    version: Annotated[int, Field(ge=1)] = 1
    vulnerability: _Vulnerability
    timestamp: AwareDatetime | None = None
    last_updated: AwareDatetime | None = None
    products: Annotated[tuple[_Product, ...], Field(min_length=1)]
    status: Literal["not_affected", "affected", "fixed", "under_investigation"]
    supplier: str = ""
    status_notes: _Text
    justification: (
        Literal[
            "component_not_present",
            "vulnerable_code_not_present",
            "vulnerable_code_not_in_execute_path",
            "vulnerable_code_cannot_be_controlled_by_adversary",
            "inline_mitigations_already_exist",
        ]
        | None
    ) = None
    impact_statement: _Text | None = None
    action_statement: _Text | None = None
    action_statement_timestamp: AwareDatetime | None = None

    @model_validator(mode="after")
    def _says_why(self) -> Self:
        match self.status:
            case "not_affected":
                if not self.justification:
                    raise ValueError("'not_affected' needs a justification; add it")
            case "affected":
                if not self.action_statement:
                    raise ValueError("'affected' needs an action_statement: what is done about it; add it")
            case other:
                raise ValueError(f"the status '{other}' waives nothing; use not_affected or affected")
        return self

    @property
    def names(self) -> frozenset[str]:
        """What the vulnerability is called."""
        return frozenset((self.vulnerability.name, *self.vulnerability.aliases))

    @property
    def why(self) -> str:
        """The reasons, in words."""
        words = (self.justification or "").replace("_", " ")
        return "; ".join(each for each in (words, self.impact_statement, self.action_statement) if each)


class Document(_Part):
    """A document whose statements each waive something."""

    context: Annotated[str, Field(alias="@context")]
    id: Annotated[_Iri, Field(alias="@id")]
    author: _Text
    role: str = ""
    timestamp: AwareDatetime
    last_updated: AwareDatetime | None = None
    version: Annotated[int, Field(ge=1)]
    tooling: str = ""
    statements: Annotated[tuple[Statement, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.context != CONTEXT:
            raise ValueError(f"'@context' is not '{CONTEXT}', the only version that is understood")
        return self


def read(body: bytes) -> Document:
    """A document.

    Raises:
        ValueError: it is none, also pydantic's ValidationError.
        RecursionError: it is nested too deeply.
    """
    json.loads(body, object_pairs_hook=_no_duplicates)
    return Document.model_validate_json(body)


def _no_duplicates(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key '{printable(key, 60)}' stands twice in one object")
        found[key] = value
    return found
