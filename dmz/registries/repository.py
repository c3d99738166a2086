"""What all Artifact Registry repositories have in common: a record of files, and versions to delete.

See https://cloud.google.com/artifact-registry/docs/reference/rest/v1/projects.locations.repositories.files/list
"""

from __future__ import annotations

import base64
import binascii
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote

from dmz.errors import TransferError
from dmz.registries.concurrency import together
from dmz.registries.google import Google

_PAGE: Final = 1000
"""Files a page, the most that the service gives."""
_BATCH: Final = 50
"""Versions deleted in one call; the service's own limit is not documented."""
_CONCURRENT_DELETES: Final = 8


@dataclass(frozen=True)
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
        found: list[File] = []
        params = {"pageSize": str(_PAGE)}
        while True:
            page = await self.google.call("GET", f"{self.url}/files", params=params)
            found += (_file(entry) for entry in page.get("files", []))
            if not (token := page.get("nextPageToken")):
                return found
            params["pageToken"] = token

    async def delete_versions(self, versions: Iterable[tuple[str, str]]) -> None:
        """Delete whole versions, given as (package id, version id), and wait until they are gone."""
        packages: dict[str, set[str]] = defaultdict(set)
        for package, version in versions:
            packages[package].add(version)

        async def delete(package: str, wanted: list[str]) -> None:
            parent, base = f"{self.name}/packages/", self.google.endpoints.artifact_registry
            # Within a name only slashes are escaped, in an address whatever has to be.
            names = [f"{parent}{_escaped(package)}/versions/{_escaped(version)}" for version in wanted]
            operation = await self.google.call(
                "POST",
                f"{base}{parent}{quote(package, safe='')}/versions:batchDelete",
                json={"names": names},
            )
            await self.google.operation(operation, f"withdraw {package} {', '.join(wanted)}")

        await together(
            (
                delete(package, ordered[start : start + _BATCH])
                for package, ordered in ((package, sorted(found)) for package, found in packages.items())
                for start in range(0, len(ordered), _BATCH)
            ),
            at_once=_CONCURRENT_DELETES,
        )


def _escaped(part: str) -> str:
    return part.replace("/", "%2F")


def _file(entry: dict[str, Any]) -> File:
    path = unquote(entry["name"].split("/files/", 1)[1])
    digests = {digest["type"]: digest["value"] for digest in entry.get("hashes", [])}
    try:
        sha256 = base64.b64decode(digests["SHA256"], validate=True).hex()
    except (KeyError, binascii.Error) as error:
        raise TransferError(f"{path}: the repository's record has no SHA-256 for it") from error
    owner = entry.get("owner", "")
    package, version = "", ""
    if "/packages/" in owner:
        package, _, version = owner.split("/packages/", 1)[1].partition("/versions/")
    return File(path, sha256, int(entry.get("sizeBytes", 0)), unquote(package), unquote(version))
