"""The two simple ways in which Google's clients send a file: bytes alone, or JSON and bytes in one body.

See https://cloud.google.com/storage/docs/uploading-objects (media and multipart).
"""

from __future__ import annotations

import json
from typing import Any, Final

from aiohttp import BodyPartReader, hdrs, web

from sandbox.cloud.errors import invalid, unimplemented
from sandbox.cloud.requests import note_data
from sandbox.cloud.storage.blobs import CHUNK, BlobWriter

_JSON_LIMIT: Final = 1 << 20


async def receive(request: web.Request, writer: BlobWriter) -> tuple[dict[str, Any], str | None]:
    """Read an upload into `writer`; returns the JSON that came with it and the media's content type.

    Raises:
        ApiError: the body is not whole or not of the announced form.
    """
    metadata: dict[str, Any] = {}
    content_type = request.headers.get(hdrs.CONTENT_TYPE)
    match request.query.get("uploadType", ""):
        case "media":
            async for data in request.content.iter_chunked(CHUNK):
                await writer.write(data)
        case "multipart":
            metadata, content_type = await _multipart(request, writer)
        case other:
            raise unimplemented(f"uploadType '{other}' is not offered here; use media or multipart")
    await note_received(request, writer)
    return metadata, content_type


async def note_received(request: web.Request, writer: BlobWriter) -> None:
    """For the request log: `writer` has all the data of this request."""
    digests = await writer.digests()
    note_data(request, digests.size, digests.sha256)


async def receive_part(part: BodyPartReader, writer: BlobWriter) -> None:
    """Read one part of a multipart body into `writer`."""
    while data := await part.read_chunk(1 << 16):
        await writer.write(data)


async def _multipart(request: web.Request, writer: BlobWriter) -> tuple[dict[str, Any], str | None]:
    if not request.content_type.startswith("multipart/"):
        raise invalid("uploadType is multipart, but the body is not; send multipart/related")
    try:
        reader = await request.multipart()
        first = await reader.next()
        if not isinstance(first, BodyPartReader):
            raise invalid("The first part of a multipart upload has to be the JSON of the resource")
        text = bytearray()
        while data := await first.read_chunk():
            text += data
            if len(text) > _JSON_LIMIT:
                raise invalid("The JSON part of a multipart upload may have 1 MiB at most")
        metadata = json.loads(bytes(text) or b"{}")
        media = await reader.next()
        if not isinstance(media, BodyPartReader):
            raise invalid("A multipart upload needs a second part, the media")
        await receive_part(media, writer)
        if await reader.next() is not None:
            raise invalid("A multipart upload has two parts, and ends with its closing boundary")
    except ValueError as error:
        raise invalid(f"The multipart body is not whole: {error}") from error
    if not isinstance(metadata, dict):
        raise invalid("The JSON part of a multipart upload has to be an object")
    return metadata, media.headers.get(hdrs.CONTENT_TYPE)
