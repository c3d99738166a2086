"""Waivers: findings that somebody accepted, as OpenVEX documents in git (https://github.com/openvex/spec).

A waiver says who (`author`), why (a justification, an impact or an action statement), for which file (package
URL and SHA-256) and until when. OpenVEX has no field for an end, and its schema allows no others, so the end
stands where every tool keeps it: at the beginning of `status_notes`, as `until 2027-02-01` (docs/adr/0008).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any, Final, Self

from packageurl import PackageURL
from pydantic import ValidationError

from dmz.errors import InputError
from dmz.promotion import openvex
from dmz.promotion.openvex import Document, Statement
from dmz.promotion.wording import printable, problem

RULE: Final = "policy:"
"""Before a rule's name, where a waiver is about a rule and not about a published finding."""

_UNTIL: Final = re.compile(r"until (\d{4}-\d{2}-\d{2})(?![\w:-])")
_MALWARE: Final = ("MAL-", f"{RULE}malware")
_HELP: Final = "waivers/README.md shows one"


@dataclass(frozen=True, order=True)
class Waiver:
    """One accepted finding of one file."""

    where: str
    """The document's file name."""
    author: str
    names: frozenset[str]
    """What it is about, by any of its names: `CVE-…`, `GHSA-…`, or `policy:RULE`."""
    why: str
    purl: str
    sha256: str
    begins: datetime
    until: datetime
    """The last second of its last day; UTC."""

    def ended(self, today: datetime) -> bool:
        """Whether its end has passed."""
        return today > self.until

    def in_force(self, today: datetime) -> bool:
        """Whether it counts at a moment."""
        return self.begins <= today <= self.until

    def __str__(self) -> str:
        return f"the waiver of {self.author} ({self.where})"


@dataclass(frozen=True)
class Waivers:
    """All waivers of a folder."""

    all: tuple[Waiver, ...] = ()
    digest: str = hashlib.sha256(b"").hexdigest()
    """SHA-256 over the names and digests of the documents, in the form of `sha256sum`, sorted."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the OpenVEX documents (`*.json`) of a folder; none if there is no such folder.

        Raises:
            InputError: one is no such document or lacks who, why, until when or for which file; it waives
                malware; or something else lies there.
        """
        found: list[Waiver] = []
        sums = []
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder}: no folder; put the OpenVEX documents into one, or set dmz:waivers")
        for path in sorted(folder.iterdir()) if folder.exists() else ():
            if path.name.startswith(".") or path.name == "README.md":
                continue
            if path.suffix != ".json" or not path.is_file():
                raise InputError(
                    f"{path}: no OpenVEX document by its name; only *.json and README.md belong here"
                )
            try:
                body = path.read_bytes()
            except OSError as error:
                raise InputError(f"{path}: unreadable ({printable(str(error))}); correct it") from None
            found += parse(body, path.name, str(path))
            sums.append(f"{hashlib.sha256(body).hexdigest()}  {path.name}\n")
        taken: dict[tuple[str, str], str] = {}
        for waiver in found:
            for name in waiver.names:
                if (first := taken.setdefault((waiver.sha256, name), waiver.where)) != waiver.where:
                    raise InputError(
                        f"{folder}: {first} and {waiver.where} both waive {name} of {waiver.purl}; keep one"
                    )
        return cls(tuple(found), hashlib.sha256("".join(sums).encode()).hexdigest())

    def of(self, purl: str, sha256: str, names: Collection[str], today: datetime) -> Waiver | None:
        """The waiver for one file and one problem: one that counts today, else the one that ends last.

        Args:
            purl: of the file; qualifiers don't matter, as the digest says which file it is.
            sha256: of the file.
            names: what the problem is called.
            today: the moment of the screening.
        """
        fitting = [
            each
            for each in self.all
            if each.sha256 == sha256 and not each.names.isdisjoint(names) and _bare(each.purl) == _bare(purl)
        ]
        return max(fitting, key=lambda each: (each.in_force(today), each.until), default=None)


def _bare(purl: str) -> tuple[Any, ...]:
    named = PackageURL.from_string(purl)
    return named.type, named.namespace, named.name, named.version


def parse(body: bytes, name: str, where: str) -> list[Waiver]:
    """The waivers of one document.

    Args:
        name: the document's file name.
        where: its path, for messages.

    Raises:
        InputError: it is no such document, or a waiver in it is not complete.
    """
    try:
        return list(_waivers(openvex.read(body), name))
    except ValidationError as error:
        text = problem(error)
    except RecursionError:
        text = "nested too deeply"
    except ValueError as error:
        text = printable(str(error))
    raise InputError(f"{where}: {text}; {_HELP}")


def _waivers(document: Document, where: str) -> Iterator[Waiver]:
    for number, statement in enumerate(document.statements):
        place = f"statements.{number}"
        begins, until = statement.timestamp or document.timestamp, _until(statement, place)
        if until < begins:
            raise ValueError(f"{place}: it ends on {until:%Y-%m-%d}, before it begins; correct status_notes")
        for name in statement.names:
            if name.startswith(_MALWARE):
                raise ValueError(
                    f"{place}: '{printable(name, 60)}' is malware, which no waiver covers; remove it"
                )
        for product in statement.products:
            yield Waiver(
                where=where,
                author=document.author,
                names=statement.names,
                why=statement.why,
                purl=product.identifiers.purl,
                sha256=product.hashes.sha256,
                begins=begins.astimezone(UTC),
                until=until,
            )


def _until(statement: Statement, place: str) -> datetime:
    match = _UNTIL.match(statement.status_notes)
    try:
        if match:
            day = datetime.fromisoformat(match[1])
            return datetime.combine(day, time(23, 59, 59), UTC)
    except ValueError:
        pass
    raise ValueError(f"{place}: status_notes must begin with the last day, as in 'until 2027-02-01'")
