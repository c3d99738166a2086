"""Names that look like another's: how a slip of the finger or of the eye installs a stranger's package."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Final

from packaging.utils import InvalidName, canonicalize_name
from pydantic import BeforeValidator, Field, ValidationInfo

from dmz.errors import InputError
from dmz.promotion.rules.rule import Case, DistributionRule, ListFile, Observation
from dmz.promotion.rules.settings import Distribution, unique
from dmz.promotion.wording import printable

SHORTEST: Final = 5
"""Letters from which on one slip counts: among shorter names, too many honest ones are a letter apart."""
SHORTEST_SEEN: Final = 3
"""Letters from which on names are compared by how they look."""

# What a reader takes for the same, the longer ones first (Unicode TR39, as far as ASCII names allow it).
_ALIKE: Final = (("rn", "m"), ("vv", "w"), ("cl", "d"), ("0", "o"), ("1", "l"), ("i", "l"), ("5", "s"))


def distance(one: str, other: str) -> int:
    """Insertions, deletions, replacements and swaps of neighbours from one name to another.

    The optimal string alignment distance of Damerau (1964) and Levenshtein (1966).
    """
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        last, before, row = before, row, [i]
        for j, b in enumerate(other, 1):
            best = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and b == one[i - 2]:
                best = min(best, last[j - 2] + 1)
            row.append(best)
    return row[-1]


@lru_cache(maxsize=65536)
def seen(name: str) -> str:
    """What a quick reader sees: no separators, and one letter for those that look alike."""
    text = name.replace("-", "").replace(".", "")
    for letters, like in _ALIKE:
        text = text.replace(letters, like)
    return text


def _shortened(name: str) -> set[str]:
    return {name, *[name[:at] + name[at + 1 :] for at in range(len(name))]}


class Names:
    """Names to compare with, found without comparing each: two names a slip apart share a shortened form."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names: Final = frozenset(names)
        self._near: dict[str, list[str]] = {}
        self._seen: dict[str, list[str]] = {}
        for name in sorted(self.names):
            self._seen.setdefault(seen(name), []).append(name)
            for form in _shortened(name):
                self._near.setdefault(form, []).append(name)

    def like(self, name: str) -> tuple[str, str] | None:
        """A name that this one could be taken for, and why; None if there is none, or if it is one itself."""
        if name in self.names or not self.names:
            return None
        for other in self._seen.get(seen(name), ()) if len(name) >= SHORTEST_SEEN else ():
            same = name.replace("-", "") == other.replace("-", "")
            return other, "without the separators they are the same" if same else "they look the same"
        near = {other for form in _shortened(name) for other in self._near.get(form, ())}
        for other in sorted(near):
            if min(len(name), len(other)) >= SHORTEST and distance(name, other) == 1:
                swapped = len(name) == len(other) and sorted(name) == sorted(other)
                return other, "two letters are swapped" if swapped else "one letter apart"
        return None


@lru_cache(maxsize=8)
def _index(names: frozenset[str]) -> Names:
    # The same for every artifact of a screening.
    return Names(names)


def read_names(text: str, where: str) -> frozenset[str]:
    """One name a line; `#` begins a comment.

    Raises:
        InputError: a line is no name, or there is none.
    """
    found = set()
    for number, line in enumerate(text.splitlines(), 1):
        if name := line.partition("#")[0].strip():
            if not _is_name(name):
                raise InputError(
                    f"{where}:{number}: '{printable(name, 60)}' is no normalised name; correct it"
                )
            found.add(name)
    if not found:
        raise InputError(f"{where}: no name in there; write one a line, or leave the key `names` out")
    return frozenset(found)


def _is_name(text: str) -> bool:
    try:
        return str(canonicalize_name(text, validate=True)) == text
    except InvalidName:
        return False


def shipped() -> frozenset[str]:
    """Distributions that everybody knows, as far as this project lists them."""
    return _data("known.txt")


def honest() -> frozenset[str]:
    """Distributions that are a slip away from a well-known one, and are what they say."""
    return _data("honest.txt")


@lru_cache(maxsize=2)
def _data(file: str) -> frozenset[str]:
    data = resources.files(__package__) / "data" / file
    return read_names(data.read_text(encoding="utf-8"), file)


@dataclass(frozen=True)
class NameList:
    """Well-known names of one's own."""

    file: ListFile
    names: frozenset[str]


def _read(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str):
        return value
    path = Path((info.context or {}).get("folder", "."), value)
    try:
        body = path.read_bytes()
        file = ListFile(path, hashlib.sha256(body).hexdigest())
        return NameList(file, read_names(body.decode(), str(path)))
    except InputError as error:
        raise ValueError(str(error)) from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is unreadable ({printable(str(error))}); name a file of names") from None


class LookalikesRule(DistributionRule):
    """No name that could be taken for a well-known one, or for one that the workload asks for.

    A well-known name is never a lookalike itself. A name that the workload asks for is compared with the
    well-known ones alone: there, the slip would be in the workload.
    """

    kind = "lookalikes"

    allow: Annotated[tuple[Distribution, ...], Field(strict=False), unique("name")] = ()
    """Names that somebody looked at: they are what they say."""
    names: Annotated[NameList | None, BeforeValidator(_read)] = None
    """Well-known names; the policy gives a file beside it. None: the list that comes with this project."""

    @property
    def lists(self) -> tuple[ListFile, ...]:
        """The policy's own list."""
        return (self.names.file,) if self.names else ()

    def look(self, case: Case) -> Iterable[Observation]:
        """Whether the name is another's with a slip."""
        name, requested = case.artifact.name, case.context.requested
        known = _index(self.names.names if self.names else shipped())
        if name in known.names or name in self.allow or name in honest():
            yield Observation("a name that is known")
            return
        found = known.like(name)
        if not found and name not in requested:
            found = _index(requested).like(name)
        if found:
            yield self.against(f"the name looks like '{found[0]}': {found[1]}")
        else:
            yield Observation("it looks like no other name")
