"""The types of settings in a policy: ecosystems, durations, words to choose from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from difflib import get_close_matches
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Annotated, Any, Final, TypeVar

from packaging.utils import InvalidName, canonicalize_name
from pydantic import AfterValidator, BeforeValidator

from dmz.errors import InputError
from dmz.promotion.finding import Severity
from dmz.promotion.wording import printable

_DURATION: Final = re.compile(r"([1-9]\d{0,4}) (hour|day|week|year)s?")
_LONGEST: Final = timedelta(days=100 * 365)
"""A longer one has no meaning, and leads out of the calendar."""
_UNITS: Final[Mapping[str, timedelta]] = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
    "year": timedelta(days=365),
}
_PATTERN: Final = re.compile(r"[a-z0-9*?][a-z0-9.+*?-]*")


class Ecosystem(StrEnum):
    """Who names and orders versions, as OSV calls them, without the release."""

    PYPI = "PyPI"
    DEBIAN = "Debian"
    UBUNTU = "Ubuntu"


def did_you_mean(word: str, known: Mapping[str, Any] | type[StrEnum] | list[str]) -> str:
    """What to write instead of a word that is not known."""
    words = [str(each) for each in known]
    near = get_close_matches(word, words, 1)
    return f"did you mean '{near[0]}'?" if near else f"use one of {', '.join(words)}"


def chosen(words: type[StrEnum]) -> BeforeValidator:
    """Takes one of an enumeration's words."""

    def read(value: object) -> object:
        if value in list(words):
            return words(str(value))
        raise ValueError(f"'{printable(str(value), 40)}' is none of {', '.join(words)}")

    return BeforeValidator(read)


def _duration(value: object) -> object:
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise ValueError(
            f"'{printable(str(value), 40)}' is no duration; write for example '7 days' "
            "(hours, days, weeks, years)"
        )
    found = int(match[1]) * _UNITS[match[2]]
    if found > _LONGEST:
        raise ValueError(f"'{value}' is too long; write at most '{_LONGEST.days // 365} years'")
    return found


Duration = Annotated[timedelta, BeforeValidator(_duration)]
"""`36 hours`, `7 days`, `2 weeks`, `5 years` (of 365 days); never nothing or negative, at most a century."""


def _severity(value: object) -> object:
    if isinstance(value, Severity):
        return value
    try:
        return Severity.parse(value if isinstance(value, str) else repr(value))
    except InputError as error:
        raise ValueError(str(error)) from None


ASeverity = Annotated[Severity, BeforeValidator(_severity)]


def _spread(value: object) -> object:
    if not isinstance(value, Mapping):
        return dict.fromkeys(Ecosystem, value)
    found = {}
    for key, each in value.items():
        if key not in list(Ecosystem):
            raise ValueError(
                f"there is no ecosystem '{printable(str(key), 40)}'; {did_you_mean(str(key), Ecosystem)}"
            )
        found[Ecosystem(str(key))] = each
    if missing := [str(each) for each in Ecosystem if each not in found]:
        raise ValueError(
            f"{', '.join(missing)} is missing; give one value for all, or one for each ecosystem"
        )
    return found


Value = TypeVar("Value")
Each = Annotated[Mapping[Ecosystem, Value], BeforeValidator(_spread)]
"""One value for all ecosystems, or a table that names each of them."""


def _pattern(value: str) -> str:
    if not _PATTERN.fullmatch(value):
        raise ValueError(
            f"'{printable(value, 40)}' is no name; write it as the index does, or a pattern like 'acme-*'"
        )
    return value


Pattern = Annotated[str, AfterValidator(_pattern)]
"""A normalised name, or one with `*` and `?`."""


def matching(name: str, patterns: tuple[str, ...]) -> str | None:
    """The first pattern that fits a name; None if none does."""
    return _matching(name, patterns) if patterns else None


@lru_cache(maxsize=4096)
def _matching(name: str, patterns: tuple[str, ...]) -> str | None:
    return next((each for each in patterns if fnmatchcase(name, each)), None)


def _distribution(value: str) -> str:
    try:
        normal = str(canonicalize_name(value, validate=True))
    except InvalidName:
        normal = ""
    if normal != value:
        raise ValueError(
            f"'{printable(value, 40)}' is no normalised name" + (f"; write '{normal}'" if normal else "")
        )
    return value


Distribution = Annotated[str, AfterValidator(_distribution)]
"""A normalised Python name (PEP 503)."""


def unique(what: str) -> AfterValidator:
    """Refuses a list that has something twice."""

    def check(values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if values.count(value) > 1:
                raise ValueError(f"the {what} '{value}' stands twice; keep one")
        return values

    return AfterValidator(check)
