"""Artifact Registry repositories of Python packages: standard ones and remote ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Final
from urllib.parse import quote

from packaging.utils import (
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

from dmz.artifact import Artifact, Kind
from dmz.registries import multipart
from dmz.registries.failures import conflict, failure
from dmz.registries.google import Google
from dmz.registries.interface import Stored
from dmz.registries.repository import File, Repository

_METADATA_VERSION: Final = "2.1"
"""The form demands one; the file's own metadata is what installers read."""


class PythonRegistry:
    """A repository of wheels and sdists behind the registries' interface."""

    def __init__(self, google: Google, project: str, location: str, repository: str) -> None:
        self._google = google
        self._repository = Repository(google, project, location, repository)
        self._base = f"{google.endpoints.python}{project}/{repository}/"

    async def list(self) -> list[Stored]:
        """Every distribution file, from the repository's record."""
        return sorted(_stored(file) for file in await self._repository.files())

    def url(self, artifact: Artifact) -> str:
        """Where the data plane serves a file; it takes the user `oauth2accesstoken` and a token."""
        return f"{self._base}{quote(artifact.name)}/{quote(artifact.filename)}"

    def open(self, artifact: Artifact) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Stream a file from the data plane; a remote repository fetches what it does not have yet."""
        what = f"{self._repository.id}/{artifact.filename}"
        return self._google.download(self.url(artifact), what, basic=True)

    async def put(self, artifact: Artifact, chunks: AsyncIterator[bytes]) -> None:
        """Upload by the form that twine sends; a name that is there already is answered with 400."""
        wheel = artifact.filename.endswith(".whl")
        fields = {
            ":action": "file_upload",
            "protocol_version": "1",
            "metadata_version": _METADATA_VERSION,
            "name": artifact.name,
            "version": artifact.version,
            "filetype": "bdist_wheel" if wheel else "sdist",
            "pyversion": artifact.filename.split("-")[-3] if wheel else "source",
            "sha256_digest": artifact.sha256,
        }
        what = f"{self._repository.id}/{artifact.filename}"
        response = await self._google.upload(
            self._base,
            multipart.form(fields, "content", artifact.filename),
            chunks,
            artifact.size,
            what,
            basic=True,
        )
        if response.status_code in {400, 409} and "already exists" in response.text.lower():
            await self._must_hold(artifact)
        elif response.is_error:
            raise failure(what, response)

    async def _must_hold(self, artifact: Artifact) -> None:
        held = {file.sha256 for file in await self._repository.files() if file.filename == artifact.filename}
        if held != {artifact.sha256}:
            raise conflict(self._repository.id, artifact, held)

    async def withdraw(self, stored: Iterable[Stored]) -> None:
        """Remove whole versions, under the names that the repository's record gives them."""
        gone = set(stored)
        if gone:
            files = await self._repository.files()
            await self._repository.delete_versions(_owner(file) for file in files if _stored(file) in gone)


def parse_filename(filename: str) -> tuple[str, str] | None:
    """Normalised name and version that a wheel's or sdist's file name says; None if it is neither."""
    try:
        if filename.endswith(".whl"):
            name, version, _, _ = parse_wheel_filename(filename)
        else:
            name, version = parse_sdist_filename(filename)
    except ValueError:  # more digits than Python makes a number of raise one of their own
        return None
    return name, str(version)


def _owner(file: File) -> tuple[str, str]:
    if file.package and file.version:
        return file.package, file.version
    name, version = parse_filename(file.filename) or (file.package, file.version)
    return name, version


def _stored(file: File) -> Stored:
    # A name that the standards don't know is still something that the repository holds: it is listed, under
    # what the record says of it, so that it shows as drift.
    name, version = parse_filename(file.filename) or (
        canonicalize_name(file.package or file.filename),
        file.version,
    )
    return Stored(Kind.PYPI, name, "", version, file.filename, file.sha256, file.size)
