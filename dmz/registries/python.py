"""Artifact Registry repositories of Python packages: standard ones and remote ones."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Final
from urllib.parse import quote

from packaging.utils import (
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

from dmz.artifact import Artifact, Kind
from dmz.errors import InputError
from dmz.registries import multipart
from dmz.registries.failures import failure
from dmz.registries.google import Google
from dmz.registries.interface import Stored
from dmz.registries.repository import File, Repository, in_order, shared

_METADATA_VERSION: Final = "2.1"
"""The form demands one; the file's own metadata is what installers read."""
_MOST: Final = 9_900_000_000
"""Bytes, the service's limit for a request; see https://cloud.google.com/artifact-registry/quotas"""


class PythonRegistry:
    """A repository of wheels and sdists behind the registries' interface."""

    def __init__(
        self,
        google: Google,
        project: str,
        location: str,
        repository: str,
        *,
        known: Iterable[Artifact] = (),
    ) -> None:
        """`known`: wheels of which some are likely to be there; what is listed shares their texts."""
        self._google = google
        self._known = {artifact.sha256: artifact for artifact in known if artifact.kind is Kind.PYPI}
        self._repository = Repository(google, project, location, repository)
        self._base = f"{google.endpoints.python}{project}/{repository}/"

    async def list(self, of: Collection[Artifact] | None = None) -> list[Stored]:
        """Every distribution file, from the repository's record, or those of the versions of `of`."""
        known = self._known
        versions = None if of is None else {(each.name, each.version) for each in of}
        return in_order(
            [
                shared(_stored(file), known.get(file.sha256))
                async for page in self._repository.pages(versions)
                for file in page
            ]
        )

    def url(self, artifact: Artifact) -> str:
        """Where the data plane serves a file; it takes the user `oauth2accesstoken` and a token."""
        return f"{self._base}{quote(artifact.name)}/{quote(artifact.filename)}"

    def open(self, artifact: Artifact) -> AbstractAsyncContextManager[Iterator[bytes]]:
        """Stream a file from the data plane; a remote repository fetches what it does not have yet."""
        what = f"{self._repository.id}/{artifact.filename}"
        return self._google.download(self.url(artifact), what, basic=True)

    async def put(self, artifact: Artifact, chunks: Iterator[bytes]) -> None:
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
        if artifact.size > _MOST:
            raise InputError(
                f"{what}: {artifact.size} bytes are more than the {_MOST} that Artifact Registry takes in "
                "one request; leave it out of the workload"
            )
        response = await self._google.upload(
            self._base,
            multipart.form(fields, "content", artifact.filename),
            chunks,
            artifact.size,
            what,
            basic=True,
        )
        taken = response.status_code in {400, 409} and "already exists" in response.text.lower()
        if response.is_error and not taken:
            raise failure(what, response)

    async def staged(self, artifacts: Collection[Artifact]) -> set[Artifact]:
        """Nothing: an upload is readable when it is complete."""
        return set()

    async def admit(self, artifacts: Collection[Artifact]) -> None:
        """Nothing to do: an upload is readable when it is complete."""

    async def settle(self, artifacts: Collection[Artifact]) -> None:
        """Nothing to wait for: the index is made from the record."""

    async def withdraw(self, stored: Iterable[Stored]) -> None:
        """Remove whole versions."""
        await self._repository.delete_versions(one.owner for one in stored)


def parse_filename(filename: str) -> tuple[str, str] | None:
    """Normalised name and version that a wheel's or sdist's file name says; None if it is neither."""
    if plain := _PLAIN.fullmatch(filename):
        return canonicalize_name(plain[1] or plain[3]), plain[2] or plain[4]
    try:
        if filename.endswith(".whl"):
            name, version, _, _ = parse_wheel_filename(filename)
        else:
            name, version = parse_sdist_filename(filename)
    except ValueError:  # more digits than Python makes a number of raise one of their own
        return None
    return name, str(version)


# Nearly all names are of a form that needs no reading: a version that is normalised as it stands. Listings
# have thousands of them; whatever is of another form is left to the standard's own code.
_NUMBER: Final = r"(?:0|[1-9][0-9]{0,8})"
_VERSION: Final = (
    rf"{_NUMBER}(?:\.{_NUMBER})*(?:(?:a|b|rc){_NUMBER})?(?:\.post{_NUMBER})?(?:\.dev{_NUMBER})?"
    r"(?:\+[a-z][a-z0-9]*(?:\.[a-z][a-z0-9]*)*)?"
)
_TAG: Final = r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*"
_PLAIN: Final = re.compile(
    rf"([A-Za-z0-9]+(?:[._][A-Za-z0-9]+)*)-({_VERSION})-{_TAG}-{_TAG}-{_TAG}\.whl"
    rf"|([A-Za-z0-9]+(?:[-._][A-Za-z0-9]+)*)-({_VERSION})\.(?:tar\.gz|zip)"
)


def _stored(file: File) -> Stored:
    parsed = parse_filename(file.filename)
    if parsed is None:
        # A name that the standards don't know is still something that the repository holds: it is listed,
        # under what the record says of it, so that it shows as drift.
        parsed, owner = (canonicalize_name(file.package or file.filename), file.version), ("", "")
    else:
        owner = parsed
    if file.package and file.version:
        owner = file.package, file.version
    name, version = parsed
    return Stored(Kind.PYPI, name, "", version, file.filename, file.sha256, file.size, owner)
