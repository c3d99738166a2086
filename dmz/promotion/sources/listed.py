"""Lists that people write: TOML files of typed entries that name packages and ranges of versions."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Self, TypeVar

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidName, canonicalize_name
from pydantic import AfterValidator, Field, ValidationError, model_validator

from dmz.errors import InputError
from dmz.promotion import versions
from dmz.promotion.advisories.ecosystems import recognise
from dmz.promotion.claim import Claim
from dmz.promotion.versions import PYPI, Ordered
from dmz.promotion.wording import printable, problem

LIMIT: Final = 4 * 1024 * 1024
"""Bytes of the largest list that is read."""

_ECOSYSTEM: Final = re.compile(r"PyPI|Debian(:[0-9]{1,3})?|Ubuntu(:[0-9]{2}\.[0-9]{2}(:LTS)?)?")
_DEBIAN_NAME: Final = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_RELATION: Final = re.compile(r"(<<|<=|>=|>>|=)\s*(\S+)")
_RELATIONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    "=": lambda one, other: one == other,
    ">=": lambda one, other: other <= one,
    ">>": lambda one, other: other < one,
}
"""Debian Policy 7.1."""


def _ecosystem(value: str) -> str:
    if not _ECOSYSTEM.fullmatch(value):
        raise ValueError(
            f"'{printable(value, 40)}' is no ecosystem; write PyPI, Debian, Debian:12 or Ubuntu:22.04:LTS"
        )
    return value


def _said(value: str) -> str:
    line = printable(value)
    if not line:
        raise ValueError("it is empty; say something")
    return line


Ecosystem = Annotated[str, AfterValidator(_ecosystem)]
"""As OSV names it; a distribution without a release stands for all of them."""
Said = Annotated[str, AfterValidator(_said)]
"""Words for a person."""


class Listed(Claim):
    """One entry of a list: a package and, where not all of them are meant, its versions."""

    ecosystem: Ecosystem
    name: Annotated[str, Field(max_length=200)]
    """Of the distribution in any spelling, or of the Debian *source* package."""
    versions: Annotated[str, Field(max_length=1000)] = ""
    """PEP 440 specifiers (`>=1.0,<1.4`) or relations of Debian (`>= 1.0-1, << 1.4`), all of which hold;
    empty for every version."""

    @model_validator(mode="after")
    def _well_formed(self) -> Self:
        if self.ecosystem == PYPI:
            try:
                canonicalize_name(self.name, validate=True)
            except InvalidName:
                raise ValueError(f"'{printable(self.name, 80)}' is no distribution name (PEP 503)") from None
        elif not _DEBIAN_NAME.fullmatch(self.name):
            raise ValueError(f"'{printable(self.name, 80)}' is no Debian package name")
        self.covers("0")
        return self

    @property
    def key(self) -> tuple[str, str]:
        """Distribution without its release, and normalised name."""
        return distribution(self.ecosystem), versions.normalised_name(self.ecosystem, self.name)

    def concerns(self, ecosystem: str) -> bool:
        """Whether this ecosystem, with its release, is meant: `Ubuntu:22.04` is `Ubuntu:22.04:LTS`."""
        return self.ecosystem == distribution(ecosystem) or recognise(self.ecosystem) == recognise(ecosystem)

    def covers(self, version: str) -> bool:
        """Whether a version is meant; a pre-release is one as any other, a local version is its public one.

        What is no version is covered only by an entry for every version.

        Raises:
            ValueError: the entry's own versions are none.
        """
        return (
            _specified(self.versions, version) if self.ecosystem == PYPI else _related(self.versions, version)
        )


def distribution(ecosystem: str) -> str:
    """The ecosystem without its release: `Debian` for `Debian:12`."""
    return ecosystem.partition(":")[0]


def _specified(specifiers: str, version: str) -> bool:
    try:
        specifier = SpecifierSet(specifiers)
    except InvalidSpecifier:
        raise ValueError(
            f"'{printable(specifiers, 80)}' are no versions (PEP 440); write for example '>=1.0,<1.4'"
        ) from None
    return not specifiers.strip() or (
        versions.is_pep440(version) and specifier.contains(version, prereleases=True)
    )


def _related(relations: str, version: str) -> bool:
    parsed = versions.parse("Debian", version)
    covered = True
    for relation in filter(None, map(str.strip, relations.split(","))):
        match = _RELATION.fullmatch(relation)
        bound: Ordered | None = versions.parse("Debian", match[2]) if match else None
        if not match or bound is None:
            raise ValueError(f"'{printable(relation, 80)}' is no relation; write for example '<< 1.4-2'")
        covered &= parsed is not None and _RELATIONS[match[1]](parsed, bound)
    return covered


Row = TypeVar("Row", bound=Claim)


def read(path: Path, what: str) -> bytes:
    """A list's bytes.

    Args:
        what: kind of list, for messages.

    Raises:
        InputError: it cannot be read, or is too long to be one.
    """
    try:
        with path.open("rb") as file:
            body = file.read(LIMIT + 1)
    except OSError as error:
        raise InputError(
            f"{path}: no {what} there ({error.strerror}); correct its path in the policy"
        ) from None
    if len(body) > LIMIT:
        raise InputError(f"{path}: longer than a {what} may be ({LIMIT} bytes); shorten it")
    return body


def tables(body: bytes, path: Path, known: Iterable[str]) -> dict[str, list[object]]:
    """The arrays of tables in a TOML list, by name; an empty one for each that is not there.

    Raises:
        InputError: it is no TOML, or has something else in it.
    """
    try:
        content: dict[str, object] = tomllib.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: no TOML ({printable(str(error))}); correct it") from None
    found: dict[str, list[object]] = {name: [] for name in known}
    for name, rows in content.items():
        if name not in found:
            expected = " or ".join(f"[[{each}]]" for each in found)
            raise InputError(f"{path}: unknown key '{printable(name, 80)}'; write {expected}")
        if not isinstance(rows, list):
            raise InputError(f"{path}: '{name}' is no list of tables; write [[{name}]]")
        found[name] = rows
    return found


def rows(model: type[Row], found: Iterable[object], where: str) -> list[Row]:
    """The entries of one array of tables.

    Args:
        where: file and table, for messages.

    Raises:
        InputError: one of them is no such entry.
    """
    entries = []
    for number, row in enumerate(found, 1):
        try:
            entries.append(model.model_validate(row))
        except ValidationError as error:
            raise InputError(f"{where} {number}: {problem(error, tuple(model.model_fields))}") from None
    return entries


def digest(bodies: Iterable[bytes]) -> str:
    """SHA-256 that names the content of lists, in their order."""
    total = hashlib.sha256()
    for body in bodies:
        total.update(hashlib.sha256(body).digest())
    return total.hexdigest()
