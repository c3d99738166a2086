"""The index of an apt repository: which packages it has, where, and with which digest.

See https://wiki.debian.org/DebianRepository/Format
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import lzma
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from dmz.errors import TransferError
from dmz.registries.concurrency import together
from dmz.registries.failures import failure
from dmz.registries.google import Google

_FIELDS: Final = re.compile(
    rb"^(Package|Version|Architecture|SHA256|Size|Filename|Source): *(.*?) *$", re.MULTILINE
)
_SHA256: Final = re.compile(rb"^SHA256: *([0-9a-fA-F]{64}) *$", re.MULTILINE)
_PROVIDES: Final = re.compile(rb"^Provides: *(.*)$", re.MULTILINE)
_ATTEMPTS: Final = 3
"""How often an index that changes while it is read is begun again."""
_PAUSE: Final = 0.2
"""Seconds between two such attempts."""


@dataclass(frozen=True, order=True)
class Stanza:
    """One package of an index: what screening and copying need of its stanza."""

    package: str
    version: str
    architecture: str
    sha256: str
    size: int
    """Bytes."""
    path: str
    """Where it lies below the repository's base address."""
    source: str
    source_version: str

    @property
    def filename(self) -> str:
        """The conventional file name: a service may store it under a longer one."""
        return deb_filename(self.package, self.version, self.architecture)


def deb_filename(package: str, version: str, architecture: str) -> str:
    """`NAME_VERSION_ARCH.deb`, the version without its epoch, as Debian's archive names its files."""
    return f"{package}_{version.split(':', 1)[-1]}_{architecture}.deb"


class Packages:
    """One `Packages` file, searched by name without parsing the rest: the big ones have 60,000 stanzas."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._providers: dict[str, set[str]] | None = None
        self._digests: frozenset[str] | None = None

    @cached_property
    def _places(self) -> dict[bytes, list[tuple[int, int]]]:
        """Where the stanzas of each name begin and end."""
        data, start = self._data, 0
        found: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
        while start < len(data):
            end = data.find(b"\n\n", start)
            end = len(data) if end < 0 else end
            if data.startswith(b"Package: ", start):  # as every known archive begins a stanza
                stop = data.find(b"\n", start, end)
                name = data[start + 9 : end if stop < 0 else stop].strip()
            else:
                name = dict(_FIELDS.findall(data, start, end)).get(b"Package", b"")
            if name:
                found[name].append((start, end))
            start = end + 2
        return found

    def __len__(self) -> int:
        return sum(map(len, self._places.values()))

    def has(self, sha256: str) -> bool:
        """Whether any package has this digest."""
        if self._digests is None:
            self._digests = frozenset(b"\n".join(_SHA256.findall(self._data)).decode().lower().split())
        return sha256 in self._digests

    def named(self, package: str) -> list[Stanza]:
        """All versions and architectures of a package."""
        return [self._stanza(start, end) for start, end in self._places.get(package.encode(), ())]

    def texts(self, package: str) -> list[tuple[Stanza, bytes]]:
        """The same with the stanzas as they stand there."""
        return [
            (self._stanza(start, end), self._data[start:end])
            for start, end in self._places.get(package.encode(), ())
        ]

    def providers(self, virtual: str) -> set[str]:
        """The packages of which any version provides a virtual package."""
        if self._providers is None:
            self._providers = defaultdict(set)
            for match in _PROVIDES.finditer(self._data):
                # Every archive begins a stanza with its name.
                start = self._data.rfind(b"Package: ", 0, match.start())
                name = self._data[start + 9 : self._data.find(b"\n", start)].strip().decode()
                for part in match[1].decode().split(","):
                    self._providers[part.split("(")[0].split(":")[0].strip()].add(name)
        return self._providers[virtual]

    def __iter__(self) -> Iterator[Stanza]:
        for places in self._places.values():
            for start, end in places:
                yield self._stanza(start, end)

    def _stanza(self, start: int, end: int) -> Stanza:
        fields = {key.decode(): value.decode() for key, value in _FIELDS.findall(self._data, start, end)}
        try:
            package, version = fields["Package"], fields["Version"]
            source, _, source_version = fields.get("Source", package).partition(" ")
            return Stanza(
                package,
                version,
                fields["Architecture"],
                fields["SHA256"].lower(),
                int(fields["Size"]),
                fields["Filename"].removeprefix("./"),
                source,
                source_version.strip("()") or version,
            )
        except (KeyError, ValueError) as error:
            raise TransferError(
                f"Packages: the stanza of '{fields.get('Package')}' has no usable {error}; the repository's "
                "index is damaged"
            ) from error


@dataclass(frozen=True)
class AptIndex:
    """The index of one apt repository in Artifact Registry."""

    google: Google
    project: str
    repository: str
    components: tuple[str, ...] | None = None
    """None for all that the repository declares."""
    architectures: tuple[str, ...] | None = None
    """None for all that the repository declares."""
    suite: str | None = None
    """The upstream suite of a remote repository, which passes upstream's own index on; None for a standard
    one. Nobody documents the remote form: public configurations, Google's own among them, use it (?)."""

    @property
    def base(self) -> str:
        """The address that `Filename` is relative to."""
        if self.suite:
            return f"{self.google.endpoints.apt}remote/{self.project}/{self.repository}/"
        return f"{self.google.endpoints.apt}projects/{self.project}/"

    async def read(self, known: dict[str, Packages] | None = None) -> list[Packages]:
        """The index as it is now, a part for each component and architecture; empty for a new repository.

        Each part is checked against the digest in `InRelease`, so that all are of one moment.

        Args:
            known: parts by digest, as an earlier call left them: those that are still the same are not
                fetched again.

        Raises:
            UnsteadyError: it kept changing while it was read.
            TransferError: unreachable.
        """
        known = {} if known is None else known
        for _ in range(_ATTEMPTS):
            release = await self._get("InRelease")
            if release is None:
                return []
            wanted = self._choose(_Release.parse(release.decode(errors="replace")))
            try:
                parts = await together(self._part(forms, known) for forms in wanted)
            except _ChangedError:
                await asyncio.sleep(min(_PAUSE, self.google.retry.most))
                continue
            known.clear()
            known.update((forms[0][1], part) for forms, part in zip(wanted, parts, strict=True))
            return parts
        raise UnsteadyError(
            f"{self.repository}: its index does not match its InRelease; wait some minutes, then run again"
        )

    def _choose(self, release: _Release) -> list[list[tuple[str, str]]]:
        """For each part, the files that have it with their digests, the smallest first."""
        wanted = []
        for component in self.components or release.components:
            for architecture in self.architectures or release.architectures:
                stem = f"{component}/binary-{architecture}/Packages"
                forms = [
                    (stem + suffix, release.digests[stem + suffix])
                    for suffix in (".xz", ".gz", "")
                    if stem + suffix in release.digests
                ]
                if forms:
                    wanted.append(forms)
        return wanted

    async def _part(self, forms: list[tuple[str, str]], known: dict[str, Packages]) -> Packages:
        if part := known.get(forms[0][1]):
            return part
        for path, digest in forms:
            data = await self._get(path)
            if data is not None:  # a service may list a form that it does not keep
                if hashlib.sha256(data).hexdigest() != digest:
                    raise _ChangedError(path)
                return await asyncio.to_thread(_unpack, path, data)
        raise _ChangedError(forms[0][0])

    async def _get(self, path: str) -> bytes | None:
        what = f"{self.repository}/{path}"
        response = await self.google.send("GET", f"{self.base}dists/{self.suite or self.repository}/{path}")
        if response.status_code == 404:
            return None
        if response.is_error:
            raise failure(what, response)
        return response.content


class UnsteadyError(TransferError):
    """An index that changes faster than it can be read, or whose parts are of different moments."""


class _ChangedError(Exception):
    """A part of the index is of another moment than its InRelease."""


@dataclass(frozen=True)
class _Release:
    """What `InRelease` says that is needed here; its signature is apt's to check."""

    components: tuple[str, ...]
    architectures: tuple[str, ...]
    digests: dict[str, str]

    @classmethod
    def parse(cls, text: str) -> _Release:
        fields: dict[str, str] = {}
        digests: dict[str, str] = {}
        key = ""
        for line in text.splitlines():
            if line.startswith("-----BEGIN PGP SIGNATURE"):
                break
            if line.startswith(" "):
                if key == "SHA256" and len(parts := line.split()) == 3:
                    digests[parts[2]] = parts[0].lower()
            elif ":" in line:
                key, _, value = line.partition(":")
                fields[key] = value.strip()
        return cls(
            # Debian's security suite says `updates/main` of what lies in `main/`; apt reads it so as well.
            tuple(name.rpartition("/")[2] for name in fields.get("Components", "").split()),
            tuple(fields.get("Architectures", "").split()),
            digests,
        )


def _unpack(path: str, data: bytes) -> Packages:
    if path.endswith(".xz"):
        data = lzma.decompress(data)
    elif path.endswith(".gz"):
        data = gzip.decompress(data)
    return Packages(data)
