"""`LOCATION-python.pkg.dev`: the simple index, its files, and the upload form that twine and uv send.

See https://cloud.google.com/artifact-registry/docs/python and PEP 503; the form is the legacy upload API of
Warehouse.
"""

from __future__ import annotations

from typing import Final

from aiohttp import BodyPartReader, hdrs, web
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from sandbox.cloud.artifact_registry.catalog import Entry
from sandbox.cloud.artifact_registry.data_plane import UPLOAD, DataPlane
from sandbox.cloud.artifact_registry.python_remote import PythonRemote
from sandbox.cloud.artifact_registry.repository import Repository
from sandbox.cloud.artifact_registry.simple_index import (
    JSON_TYPE,
    Link,
    parse_filename,
    render_json,
    render_page,
    render_root,
)
from sandbox.cloud.context import Cloud
from sandbox.cloud.errors import ApiError, failed_precondition, invalid, not_found, unimplemented
from sandbox.cloud.storage.blobs import BlobWriter
from sandbox.cloud.storage.uploads import note_received, receive_part

_FIELDS_LIMIT: Final = 8 << 20
"""Bytes of all form fields but the file; a long description is one of them."""


def application_python(cloud: Cloud) -> web.Application:
    """The Python data plane of all locations."""
    host = _Host(cloud)
    return host.application(
        [
            web.get("/{project}/{repository}/simple/", host.root),
            web.get("/{project}/{repository}/simple/{name}/", host.page),
            web.get("/{project}/{repository}/{name}/{filename}", host.file),
            web.post("/{project}/{repository}/", host.upload),
            web.post("/{project}/{repository}", host.upload),
        ]
    )


class _Host(DataPlane):
    FORMAT = "PYTHON"

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self._remote = PythonRemote(self._artifacts, cloud.options)

    async def root(self, request: web.Request) -> web.Response:
        files = self._artifacts.catalog.files(self._repository(request))
        names = sorted({entry.package for entry in files})
        return web.Response(text=render_root(names), content_type="text/html")

    async def page(self, request: web.Request) -> web.Response:
        repository = self._repository(request)
        name = canonicalize_name(request.match_info["name"])
        if self._cloud.options.json_index and JSON_TYPE in request.headers.get(hdrs.ACCEPT, ""):
            links = await self._links(repository, name)
            return web.Response(text=render_json(name, links), content_type=JSON_TYPE)
        if repository.remote:
            text = await self._remote.page(
                repository, name, lambda links: render_page(name, self._shown(links))
            )
        else:
            text = render_page(name, await self._links(repository, name))
        return web.Response(text=text, content_type="text/html")

    def _shown(self, links: list[Link]) -> list[Link]:
        """What a remote repository says of what its upstream says."""
        if self._cloud.options.yanked:
            return links
        return [Link(link.filename, link.url, link.sha256, link.requires_python) for link in links]

    async def _links(self, repository: Repository, name: str) -> list[Link]:
        if repository.remote:
            return self._shown(await self._remote.links(repository, name))
        files = self._artifacts.catalog.files(repository, name)
        if not files:
            raise not_found(f"Package {name} not found in repository {repository.id}")
        return [
            Link(entry.filename, "", entry.digests.sha256, entry.details.get("requires_python"))
            for entry in files
        ]

    async def file(self, request: web.Request) -> web.StreamResponse:
        name, filename = request.match_info["name"], request.match_info["filename"]
        if name == "simple" and not filename.endswith((".whl", ".tar.gz", ".zip")):
            raise web.HTTPMovedPermanently(request.path + "/")
        repository = self._repository(request)
        name = canonicalize_name(name)
        if repository.remote:
            entry = await self._remote.file(repository, name, filename)
        else:
            entry = self._held(repository, f"{name}/{filename}")
        return await self._send(request, entry, "application/octet-stream")

    async def upload(self, request: web.Request) -> web.Response:
        repository = self._repository(request, UPLOAD)
        if repository.remote:
            raise failed_precondition(
                f"Repository {repository.id} is a remote repository; it takes no uploads"
            )
        with self._artifacts.catalog.blobs.writer() as writer:
            form, filename = await _receive(request, writer)
            entry = await self._checked(repository, form, filename, writer)
            await writer.publish()
            try:
                self._artifacts.catalog.add(repository, entry)
            except ApiError as error:
                if error.status != 409:
                    raise
                raise invalid(error.message) from error  # the upload form knows no 409
        return web.Response(text="OK\n")

    async def _checked(
        self, repository: Repository, form: dict[str, str], filename: str, writer: BlobWriter
    ) -> Entry:
        """The entry that this form means, if everything about it is right."""
        if form.get(":action") != "file_upload":
            raise unimplemented(
                f"The form's ':action' is '{form.get(':action')}'; only file_upload is offered"
            )
        try:
            name, version = parse_filename(filename)
            stated = Version(form.get("version", ""))
        except (ValueError, InvalidVersion) as error:
            raise invalid(f"Invalid distribution: {error}") from error
        if canonicalize_name(form.get("name", "")) != name:
            raise invalid(f"The file {filename} is of {name}, the form says '{form.get('name', '')}'")
        if stated != version:
            raise invalid(f"The file {filename} is of version {version}, the form says {stated}")
        digests = await writer.digests()
        promised = form.get("sha256_digest", "").lower()
        if promised != digests.sha256:
            raise invalid(
                f"The bytes of {filename} have the SHA-256 {digests.sha256}, sha256_digest says '{promised}'"
            )
        file_id = f"{name}/{filename}"
        if self._artifacts.catalog.get(repository, file_id) is not None:
            raise invalid("Requested entity already exists")
        details = {"requires_python": form["requires_python"]} if form.get("requires_python") else {}
        return Entry(file_id, name, str(version), digests, details)


async def _receive(request: web.Request, writer: BlobWriter) -> tuple[dict[str, str], str]:
    """Read the whole form: its fields (the first of each name) and the file, into `writer`."""
    if request.content_type != "multipart/form-data":
        raise invalid("An upload is a multipart/form-data POST, as twine and uv send it")
    form: dict[str, str] = {}
    filename: str | None = None
    size = 0
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            if not isinstance(part, BodyPartReader) or part.name is None:
                raise invalid("Every part of the form needs a name")
            if part.name == "content":
                if filename is not None or not part.filename:
                    raise invalid("The form needs exactly one file, in the field 'content'")
                filename = part.filename
                await receive_part(part, writer)
                continue
            value = bytearray()
            while data := await part.read_chunk():
                size += len(data)
                value += data
                if size > _FIELDS_LIMIT:
                    raise invalid(f"The form's fields have more than {_FIELDS_LIMIT} bytes")
            form.setdefault(part.name, value.decode(errors="replace"))
    except ValueError as error:
        raise invalid(f"The form is not whole: {error}") from error
    if filename is None:
        raise invalid("The form has no file; it goes into the field 'content'")
    await note_received(request, writer)
    return form, filename
