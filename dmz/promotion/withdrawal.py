"""What was withdrawn at once: files that no release may have any more, and the refusal of one that has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Self, TypeVar

import msgspec
from packaging.utils import canonicalize_name

from dmz.artifact import Artifact, Kind
from dmz.errors import InputError, RefusedError
from dmz.promotion import versions
from dmz.promotion.wording import printable
from dmz.registries.interface import Stored

FOLDER: Final = "withdrawn/"
_NAME: Final = re.compile(r"withdrawn/([0-9a-f]{64})\.json")


Item = TypeVar("Item", Artifact, Stored)


class Withdrawal(msgspec.Struct, frozen=True):
    """That a file was withdrawn at once; kept under its SHA-256, which is what counts."""

    format: int
    sha256: str
    key: str
    """`pypi/NAME`, `apt/NAME:ARCH` or `files/NAME`."""
    version: str
    filename: str
    who: str
    why: str
    when: str
    """UTC."""
    run: str
    """The run of the journal that tells the rest."""

    @property
    def told(self) -> str:
        """Who did it, when and why, in words."""
        return f"by {printable(self.who, 120)} at {printable(self.when, 40)}: {printable(self.why)}"

    def render(self) -> bytes:
        """The bytes of its object."""
        return msgspec.json.encode(self, order="sorted")


def object_name(sha256: str) -> str:
    """The object that keeps a withdrawal."""
    return f"{FOLDER}{sha256}.json"


def digest(name: str) -> str | None:
    """The SHA-256 that an object is about, by its name; None for what is no withdrawal."""
    match = _NAME.fullmatch(name)
    return match[1] if match else None


def parse(data: bytes, where: str) -> Withdrawal:
    """Read a withdrawal.

    Raises:
        InputError: the bytes are none.
    """
    try:
        return msgspec.json.decode(data, type=Withdrawal)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{where}: no withdrawal ({str(error)[:200]}); look at who wrote it") from None


_SPEC: Final = re.compile(
    r"(?:(?P<kind>pypi|apt|files)/)?(?P<name>[A-Za-z0-9][\w.+~:-]*)(?:==(?P<version>[\w.+~:!-]+))?", re.ASCII
)


@dataclass(frozen=True)
class Wanted:
    """What somebody wants withdrawn, as it was written: a package, one version of it, or a file."""

    text: str
    kind: str
    name: str
    version: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `NAME`, `NAME==VERSION`, either after `pypi/`, `apt/` or `files/`, a file name or a SHA-256.

        Raises:
            InputError: it is nothing of that kind.
        """
        match = _SPEC.fullmatch(text)
        if match is None:
            raise InputError(
                f"'{printable(text, 80)}' is no package: write NAME, NAME==VERSION, pypi/NAME, apt/NAME or "
                "files/NAME, the name of a file or its SHA-256"
            )
        return cls(text, match["kind"] or "", match["name"], match["version"] or "")

    def fits(self, item: Artifact | Stored) -> bool:
        """Whether an artifact or a stored file is meant."""
        if self.kind and self.kind != item.kind:
            return False
        if self.text in (item.sha256, item.filename):
            return True
        name = item.name
        if item.kind is Kind.APT and ":" in self.name:
            name = f"{item.name}:{item.architecture}"
        wanted = canonicalize_name(self.name) if item.kind is Kind.PYPI else self.name
        if wanted != name:
            return False
        return not self.version or versions.normalised(item.kind, self.version) == versions.normalised(
            item.kind, item.version
        )

    def among(self, items: Iterable[Item]) -> list[Item]:
        """Those that are meant.

        Raises:
            InputError: packages of two kinds have that name.
        """
        found = sorted(item for item in items if self.fits(item))
        kinds = sorted({str(item.kind) for item in found})
        if len(kinds) > 1:
            raise InputError(
                f"{self.name} is in {' and in '.join(kinds)}; say which one: {kinds[0]}/{self.text}"
            )
        return found


def taken_back(artifact: Artifact) -> str:
    """The command that lets releases have an artifact again."""
    return f"dmz withdraw {artifact.kind}/{artifact.name}=={artifact.version} --undo"


def check(artifacts: Iterable[Artifact], withdrawn: Mapping[str, Withdrawal]) -> None:
    """Whether none of the artifacts was withdrawn.

    Raises:
        RefusedError: one was; names it, who withdrew it, when and why, and what to do.
    """
    found = sorted(each for each in artifacts if each.sha256 in withdrawn)
    if not found:
        return
    first, more = found[0], len(found) - 1
    raise RefusedError(
        f"{first.key} {first.version} ({first.filename}, SHA-256 {first.sha256}) was withdrawn "
        f"{withdrawn[first.sha256].told}{f' (and {more} more)' if more else ''}; nothing was changed. Screen "
        "a release without it (policy.toml: deny-list keeps it out for good), or take that back: "
        f"{taken_back(first)}"
    )
