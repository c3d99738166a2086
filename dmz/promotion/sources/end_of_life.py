"""End-of-life lists: what nobody mends any more, or only with limits.

Two forms, told apart by the file's name:

- The lists of Debian's package `debian-security-support`, as it ships them: `security-support-ended.debN` for
  release N, and `security-support-limited`, which has no release in its name: it is taken for the base
  image's if that is Debian (or write `security-support-limited.debN`). Their first lines say what the
  columns are.
- `*.toml`, for everything else:

      [[package]]
      ecosystem = "PyPI"
      name = "example"
      versions = "<2"                       # left out: every version
      ended = 2024-01-31                    # the first day without support
      reason = "its line of development 1 has ended"
      source = "https://example.com/policy"  # where that is said

      [[platform]]
      of = "Python"                         # or Debian, Ubuntu: all that stands on it has ended
      version = "3.9"
      ended = 2025-10-31
      source = "https://devguide.python.org/versions/"
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from dmz.errors import InputError
from dmz.promotion import versions
from dmz.promotion.claim import Claim
from dmz.promotion.finding import Finding, Nature
from dmz.promotion.sources import listed
from dmz.promotion.sources.listed import Listed, Said
from dmz.promotion.versions import PYPI
from dmz.promotion.wording import printable

_SHIPPED: Final = re.compile(r"security-support-(ended|limited)(?:\.deb([0-9]{1,3}))?")
_PATTERN: Final = re.compile(r"(?:[a-z0-9+-]|\.\*?)+")


class Platform(StrEnum):
    """What packages stand on."""

    PYTHON = "Python"
    DEBIAN = "Debian"
    UBUNTU = "Ubuntu"


class EndedPackage(Listed):
    """A package, or a line of development of it, that is mended up to a day."""

    ended: date
    reason: Said = "no longer maintained"
    source: Said | None = None


class EndedPlatform(Claim):
    """An interpreter's or a distribution's release that is mended up to a day."""

    of: Annotated[Platform, Field(strict=False)]
    version: Annotated[str, Field(pattern=r"^[0-9]{1,3}(\.[0-9]{1,3})?$")]
    ended: date
    source: Said | None = None


@dataclass(frozen=True)
class _Shipped:
    """One line of Debian's lists."""

    pattern: str
    """Of source package names, where only `.*` is special."""
    ended: date | None
    """None: support is limited."""
    last: str
    """Last version with support, for a person: later ones have none either."""
    details: str

    def names(self, package: str) -> bool:
        return fnmatchcase(package, self.pattern.replace(".*", "*"))


@dataclass(frozen=True)
class EndOfLife:
    """End-of-life lists, as a source of findings."""

    _shipped: Sequence[tuple[str, _Shipped]]
    """With the ecosystem that each line is about."""
    _packages: Sequence[EndedPackage]
    _platforms: Sequence[EndedPlatform]
    _today: date
    _python: str
    digest: str
    """SHA-256 over the files, in the order of their names."""
    name = "end-of-life"
    as_of = None
    """It does not age: a list says of later days what it said of earlier ones, or less."""

    @classmethod
    def read(cls, paths: Iterable[Path], ecosystem: str, python: str, today: date) -> EndOfLife:
        """Read lists.

        Args:
            ecosystem: the base image's distribution (`Debian:12`), of which a list is that does not say.
            python: the base image's interpreter (`3.11`), on which every distribution stands.
            today: in UTC; what ends later has not ended.

        Raises:
            InputError: one is missing, or something in it is no entry.
        """
        shipped: list[tuple[str, _Shipped]] = []
        packages: list[EndedPackage] = []
        platforms: list[EndedPlatform] = []
        bodies = {path: listed.read(path, "end-of-life list") for path in sorted(set(paths))}
        for path, body in bodies.items():
            if match := _SHIPPED.fullmatch(path.name):
                lines = _lines(body, path, limited=match[1] == "limited")
                of = f"Debian:{match[2]}" if match[2] else ecosystem
                shipped += [(of, line) for line in lines if of.startswith("Debian:")]
            elif path.suffix == ".toml":
                tables = listed.tables(body, path, ("package", "platform"))
                packages += listed.rows(EndedPackage, tables["package"], f"{path}: package")
                platforms += listed.rows(EndedPlatform, tables["platform"], f"{path}: platform")
            else:
                raise InputError(
                    f"{path}: no end-of-life list by its name; give security-support-ended.debN, "
                    "security-support-limited or a file *.toml"
                )
        return cls(shipped, packages, platforms, today, python, listed.digest(bodies.values()))

    def findings(self, ecosystem: str, name: str, version: str, sha256: str = "") -> tuple[Finding, ...]:
        """What has ended of a package, or of what it stands on: its release, or the interpreter."""
        normalised = versions.normalised_name(ecosystem, name)
        found = [
            _finding(f"LIMITED-{name}", f"security support is limited: {line.details}")
            if line.ended is None
            else _ended(name, line.ended, f"at version {line.last}: {line.details}")
            for of, line in self._shipped
            if of == ecosystem and line.names(name) and self._over(line.ended)
        ]
        found += [
            _ended(entry.key[1], entry.ended, _because(entry.reason, entry.source))
            for entry in self._packages
            if entry.key == (listed.distribution(ecosystem), normalised)
            and entry.concerns(ecosystem)
            and entry.covers(version)
            and self._over(entry.ended)
        ]
        distribution, _, release = ecosystem.partition(":")
        if distribution == PYPI:
            found += self._platform(Platform.PYTHON, self._python)
        else:
            found += self._platform(Platform(distribution), release.partition(":")[0])
        return tuple(dict.fromkeys(found))  # the package ships one list under two names

    def _platform(self, of: Platform, version: str) -> tuple[Finding, ...]:
        return tuple(
            _ended(f"{of}-{version}", entry.ended, _because(f"{of} {version} as a whole", entry.source))
            for entry in self._platforms
            if (entry.of, entry.version) == (of, version) and self._over(entry.ended)
        )

    def _over(self, ended: date | None) -> bool:
        return ended is None or ended <= self._today


def _lines(body: bytes, path: Path, *, limited: bool) -> list[_Shipped]:
    """Debian's lists: source package, then, in the one of what ended, last version and day; then details."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise InputError(f"{path}: no text; take the file from debian-security-support again") from None
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split(None, 1 if limited else 3)
        try:
            if not _PATTERN.fullmatch(fields[0]):
                raise ValueError(f"'{fields[0]}' is no source package")
            if limited:
                last, ended, details = "", None, fields[1:]
            else:
                last, ended, details = fields[1], date.fromisoformat(fields[2]), fields[3:]
        except (ValueError, IndexError) as error:
            reason = str(error) if isinstance(error, ValueError) else "a column is missing"
            raise InputError(
                f"{path}:{number}: {printable(reason, 120)}; take the file from debian-security-support again"
            ) from None
        found.append(_Shipped(fields[0], ended, printable(last, 80), printable(" ".join(details))))
    return found


def _because(reason: str, source: str | None) -> str:
    return f"{reason} ({source})" if source else reason


def _ended(what: str, when: date, why: str) -> Finding:
    return _finding(f"END-OF-LIFE-{what}", f"support ended on {when.isoformat()}, {why}")


def _finding(identity: str, summary: str) -> Finding:
    return Finding(
        id=identity,
        aliases=(),
        summary=summary.rstrip(": "),
        severity=None,
        fixed=(),
        nature=Nature.UNSUPPORTED,
        source=EndOfLife.name,
    )
