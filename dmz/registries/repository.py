"""What all Artifact Registry repositories have in common: a record of files, and versions to delete.

See https://cloud.google.com/artifact-registry/docs/reference/rest/v1/projects.locations.repositories.files/list
"""

from __future__ import annotations

import binascii
import contextlib
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final
from urllib.parse import quote, unquote

from dmz.artifact import Artifact
from dmz.errors import TransferError
from dmz.registries.concurrency import together
from dmz.registries.failures import OperationError
from dmz.registries.google import Google
from dmz.registries.interface import PAGE, Stored

_ID: Final = re.compile(r"[\w.+~:!-]+", re.ASCII)
"""Ids of packages and versions that mean themselves in a filter."""
_BATCH: Final = 50
"""Versions deleted in one call; the service's own limit is not documented."""
_CONCURRENT_DELETES: Final = 8
_NOT_FOUND: Final = 5
"""google.rpc.Code"""


@dataclass(frozen=True, slots=True)
class File:
    """One file as the repository's record describes it."""

    path: str
    """Unescaped, as `pool/hello_2.10-3_amd64.deb`."""
    sha256: str
    size: int
    """Bytes."""
    package: str
    """Unescaped id of the package that owns it; empty if none does."""
    version: str
    """Unescaped id of the version that owns it; empty if none does."""

    @property
    def filename(self) -> str:
        """Base name."""
        return self.path.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Repository:
    """One repository of a project."""

    google: Google
    project: str
    location: str
    id: str

    @property
    def name(self) -> str:
        """`projects/P/locations/L/repositories/R`."""
        return f"projects/{self.project}/locations/{self.location}/repositories/{self.id}"

    @property
    def url(self) -> str:
        """Its address in the API."""
        return self.google.endpoints.artifact_registry + self.name

    async def describe(self) -> dict[str, Any]:
        """The repository's own resource; empty if there is no such repository."""
        return await self.google.call("GET", self.url, missing={})

    async def files(self) -> list[File]:
        """Every file of the repository.

        Raises:
            TransferError: no such repository, or the service kept failing.
        """
        return [file async for page in self.pages() for file in page]

    async def pages(self, of: Collection[tuple[str, str]] | None = None) -> AsyncIterator[list[File]]:
        """The same page by page: there may be a million. A file may come twice when others come or go.

        Args:
            of: only the files of these versions, given as (package id, version id), as far as the service
                finds them by what is documented of its filter.

        Raises:
            TransferError: as `files`.
        """
        if of is not None:
            for found in await together(self._owned(*each) for each in sorted(set(of))):
                yield found
            return
        async for page in self._pages():
            yield page

    async def _pages(self, **conditions: str) -> AsyncIterator[list[File]]:
        async for page in self.google.pages(f"{self.url}/files", {"pageSize": str(PAGE), **conditions}):
            files = page.get("files", [])
            yield [_file(entry) for entry in (files if isinstance(files, list) else [files])]

    async def _owned(self, package: str, version: str) -> list[File]:
        """The files of a version; none where the service makes nothing of the question."""
        if not (_ID.fullmatch(package) and _ID.fullmatch(version)):
            return []
        # As gcloud writes it: the package escaped, the version as it is (?).
        escaped = _escaped(package).replace("+", "%2B")
        owner = f'owner="{self.name}/packages/{escaped}/versions/{version}"'
        with contextlib.suppress(TransferError):  # then nothing is concluded from it
            return [file async for page in self._pages(filter=owner) for file in page]
        return []

    async def delete_versions(self, versions: Iterable[tuple[str, str]]) -> None:
        """Delete whole versions, given as (package id, version id), and wait until they are gone.

        One that is gone already is no error.

        Raises:
            TransferError: the service refused or kept failing.
        """
        packages: dict[str, set[str]] = defaultdict(set)
        for package, version in versions:
            if not package or not version:
                raise TransferError(
                    f"{self.id}: its record does not say to which version a file belongs that has to go; "
                    "delete it there yourself, then run again"
                )
            packages[package].add(version)
        await together(
            (
                self._delete(package, ordered[start : start + _BATCH])
                for package, ordered in ((package, sorted(found)) for package, found in packages.items())
                for start in range(0, len(ordered), _BATCH)
            ),
            at_once=_CONCURRENT_DELETES,
        )

    async def _delete(self, package: str, versions: list[str]) -> None:
        parent, base = f"{self.name}/packages/", self.google.endpoints.artifact_registry
        # Within a name only slashes are escaped, in an address whatever has to be.
        names = [f"{parent}{_escaped(package)}/versions/{_escaped(version)}" for version in versions]
        url = f"{base}{parent}{quote(package, safe='')}/versions:batchDelete"
        what = f"withdraw {package} {', '.join(versions)}"
        operation = await self.google.call(
            "POST", url, json={"names": names}, missing={}, repeatable=True, weight=len(names)
        )
        gone = not operation
        if operation:
            try:
                await self.google.operation(operation, what)
            except OperationError as error:
                if error.code != _NOT_FOUND:
                    raise
                gone = True
        # A batch with one that is gone may have been refused as a whole; one alone that is gone is gone.
        if gone and len(versions) > 1:
            for version in versions:
                await self._delete(package, [version])


def in_order(found: Iterable[Stored]) -> list[Stored]:
    """What was listed, each once and sorted, much faster than by comparing them as they are."""
    return sorted(set(found), key=_KEY)


_KEY: Final = attrgetter("kind", "name", "architecture", "version", "filename", "sha256", "size")


def shared(stored: Stored, same: Artifact | None) -> Stored:
    """What was listed, with the texts of the artifact that has its bytes, where they are the same.

    Of a million files that saves a third of the memory.
    """
    if same is None:
        return stored
    name, version, filename = same.name, same.version, same.filename
    owner = name, version
    return Stored(
        stored.kind,
        name if name == stored.name else stored.name,
        same.architecture if same.architecture == stored.architecture else stored.architecture,
        version if version == stored.version else stored.version,
        filename if filename == stored.filename else stored.filename,
        same.sha256,
        stored.size,
        owner if owner == stored.owner else stored.owner,
    )


def _escaped(part: str) -> str:
    return part.replace("/", "%2F")


def _file(entry: dict[str, Any]) -> File:
    try:
        path = unquote(entry["name"].split("/files/", 1)[1])
        size = int(entry.get("sizeBytes", 0))
        owner: str = entry.get("owner", "")
        value = next(each["value"] for each in entry.get("hashes", ()) if each["type"] == "SHA256")
        sha256 = binascii.a2b_base64(value, strict_mode=True).hex()
    except StopIteration:
        raise TransferError(f"{path}: the repository's record has no SHA-256 for it") from None
    except (KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
        raise TransferError(
            f"{str(entry)[:200]}: no record of a file ({error}); check the endpoint variables, then run again"
        ) from error
    package, version = "", ""
    if "/packages/" in owner:
        package, _, version = owner.split("/packages/", 1)[1].partition("/versions/")
    return File(path, sha256, size, unquote(package), unquote(version))
