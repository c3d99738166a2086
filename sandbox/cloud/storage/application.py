"""Cloud Storage's objects, for Google's own client and for plain REST (JSON API v1 and path-style XML reads).

Buckets themselves are ordinary resources of the control plane. See https://cloud.google.com/storage/docs/json_api.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import quote
from xml.sax.saxutils import escape

from aiohttp import hdrs, web

from sandbox.cloud import access
from sandbox.cloud.context import Cloud
from sandbox.cloud.errors import ApiError, invalid, unimplemented
from sandbox.cloud.storage.attached import attached
from sandbox.cloud.storage.blobs import Digests
from sandbox.cloud.storage.objects import WRITABLE, Object, Objects, Preconditions, blob_path
from sandbox.cloud.storage.resumable import Session, Sessions, take
from sandbox.cloud.storage.serving import send_file
from sandbox.cloud.storage.uploads import receive

PAGE: Final = 1000
"""Objects on one page of a listing, at most."""

_COMMON: Final = {
    "alt", "fields", "key", "prettyPrint", "projection", "quotaUser", "uploadType", "userIp", "userProject",
}  # fmt: skip
_CONDITIONS: Final = {
    f"if{part}{name}" for part in ("Generation", "Metageneration") for name in ("Match", "NotMatch")
}
_SOURCE_CONDITIONS: Final = {name.replace("if", "ifSource", 1) for name in _CONDITIONS}


def application(cloud: Cloud) -> web.Application:
    """All object paths of `storage.googleapis.com`: JSON, uploads, downloads, XML reads of `/BUCKET/OBJECT`.

    The server in front authenticates and renders `ApiError`; paths of buckets (`/storage/v1/b`,
    `/storage/v1/b/BUCKET`, `/storage/v1/b/BUCKET/iam`) are its own.
    """
    service = _Service(cloud)
    app = web.Application(client_max_size=1 << 20)
    named = "/storage/v1/b/{bucket}/o/{object:.+}"
    source = "/storage/v1/b/{source_bucket}/o/{source:.+}"
    app.add_routes(
        [
            web.get("/storage/v1/b/{bucket}/o", service.listing),
            web.post(source + "/copyTo/b/{bucket}/o/{object:.+}", service.copy),
            web.post(source + "/rewriteTo/b/{bucket}/o/{object:.+}", service.rewrite),
            web.post("/storage/v1/b/{bucket}/o", service.refuse_metadata_only),
            web.post(named, service.refuse),
            web.get(named, service.get),
            web.get("/download" + named, service.get),
            web.patch(named, service.patch),
            web.delete(named, service.delete),
            web.post("/upload/storage/v1/b/{bucket}/o", service.insert),
            web.post("/resumable/upload/storage/v1/b/{bucket}/o", service.insert),
            web.put("/upload/storage/v1/b/{bucket}/o", service.resume),
            web.put("/resumable/upload/storage/v1/b/{bucket}/o", service.resume),
            web.delete("/upload/storage/v1/b/{bucket}/o", service.cancel),
            web.get("/{bucket}/{object:.+}", service.read_xml),
        ]
    )
    return app


_Entry: TypeAlias = tuple[tuple[str, int], str, Object | None]
"""A line of a listing: the key it is paged by, a prefix or "", an object or None."""


class _Service:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._objects = attached(cloud, Objects)
        self._sessions = attached(cloud, Sessions)

    async def listing(self, request: web.Request) -> web.Response:
        query = _query(
            request,
            "delimiter", "endOffset", "includeTrailingDelimiter", "maxResults", "pageToken", "prefix",
            "startOffset", "versions",
        )  # fmt: skip
        bucket = request.match_info["bucket"]
        self._require(request, bucket, "list")
        size = min(_number(query, "maxResults") or PAGE, PAGE)
        after = _page_start(query.get("pageToken"))
        items: list[dict[str, Any]] = []
        prefixes: list[str] = []
        last = after
        token: str | None = None
        for key, prefix, found in self._entries(bucket, query, after[0], size):
            if key <= after:
                continue
            if len(items) + len(prefixes) == size:
                token = _page_token(last)
                break
            last = key
            if found is None:
                prefixes.append(prefix)
            else:
                items.append(_resource(request, found))
                if prefix:
                    prefixes.append(prefix)
        answer: dict[str, Any] = {"kind": "storage#objects"}
        if token is not None:
            answer["nextPageToken"] = token
        if prefixes:
            answer["prefixes"] = prefixes
        if items:
            answer["items"] = items
        return web.json_response(answer)

    def _entries(self, bucket: str, query: Mapping[str, str], after: str, size: int) -> list[_Entry]:
        """What a listing shows, in order, from what the last page ended with; at least a page of it."""
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        start, end = query.get("startOffset", ""), query.get("endOffset")
        trailing, versions = _flag(query, "includeTrailingDelimiter"), _flag(query, "versions")
        entries: list[_Entry] = []
        seen: set[str] = set()
        limit = (
            -1 if delimiter or versions else size + 2
        )  # what the last page ended with, and whether more is
        for found in self._objects.list(
            bucket, prefix, start=max(start, after), limit=limit, versions=versions
        ):
            if end is not None and found.name >= end:
                break
            head, cut, tail = found.name[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            if not cut:
                entries.append(((found.name, found.generation), "", found))
                continue
            folder = prefix + head + cut
            shown = found if trailing and not tail else None
            if folder not in seen or shown is not None:
                fresh = "" if folder in seen else folder
                seen.add(folder)
                entries.append(((found.name, found.generation), fresh, shown))
        return entries

    async def get(self, request: web.Request) -> web.StreamResponse:
        query = _query(request, "generation", *_CONDITIONS)
        found = self._found(request, query, "get")
        Preconditions.parse(query).check(found, reading=True)
        if query.get("alt") == "media":
            return await self._send(request, found)
        return web.json_response(_resource(request, found), headers={hdrs.ETAG: found.etag})

    async def read_xml(self, request: web.Request) -> web.StreamResponse:
        """Path-style read of the XML API (https://cloud.google.com/storage/docs/xml-api/get-object-download)."""
        query = _query(request, "generation")
        try:
            return await self._send(request, self._found(request, query, "get"))
        except ApiError as error:
            if error.status == 403:
                details = escape(error.message)
                return _xml_error(403, "AccessDenied", "Access denied.", f"<Details>{details}</Details>")
            if error.status != 404:
                raise
            code = "NoSuchKey" if "object" in error.message else "NoSuchBucket"
            return _xml_error(404, code, "Not found.")

    async def patch(self, request: web.Request) -> web.Response:
        query = _query(request, "generation", *_CONDITIONS)
        found = self._found(request, query, "get", "update")
        Preconditions.parse(query).check(found)
        body = await request.json()
        if not isinstance(body, dict):
            raise invalid("The body has to be a JSON object")
        return web.json_response(_resource(request, self._objects.patch(found, _fields(body))))

    async def delete(self, request: web.Request) -> web.Response:
        query = _query(request, "generation", *_CONDITIONS)
        found = self._found(request, query, "delete")
        Preconditions.parse(query).check(found)
        self._objects.delete(found, generation_named="generation" in query)
        return web.Response(status=204)

    async def copy(self, request: web.Request) -> web.Response:
        return web.json_response(_resource(request, await self._copied(request)))

    async def rewrite(self, request: web.Request) -> web.Response:
        copied = await self._copied(request)
        size = str(copied.digests.size)
        return web.json_response(
            {
                "kind": "storage#rewriteResponse",
                "totalBytesRewritten": size,
                "objectSize": size,
                "done": True,
                "resource": _resource(request, copied),
            }
        )

    async def _copied(self, request: web.Request) -> Object:
        query = _query(request, "sourceGeneration", *_CONDITIONS, *_SOURCE_CONDITIONS)
        names = request.match_info
        generation = _number(query, "sourceGeneration")
        self._require(request, names["source_bucket"], "get", names["source"])
        source = self._objects.get(names["source_bucket"], names["source"], generation)
        Preconditions.parse(query, "ifSource").check(source)
        body = await request.json() if request.can_read_body else {}
        fields = _fields(body) if body else source.fields
        conditions = Preconditions.parse(query)
        return self._put(request, names["bucket"], names["object"], source.digests, fields, conditions)

    async def insert(self, request: web.Request) -> web.Response:
        query = _query(request, "contentEncoding", "name", *_CONDITIONS)
        bucket = request.match_info["bucket"]
        self._require(request, bucket, "create")
        conditions = Preconditions.parse(query)
        if query.get("uploadType") == "resumable":
            return await self._begin(request, bucket, conditions)
        with self._objects.blobs.writer() as writer:
            metadata, content_type = await receive(request, writer)
            name = _name(query, metadata)
            self._check_write(request, bucket, name, conditions)
            _verify(await writer.digests(), metadata, request)
            digests = await writer.publish()
        fields = {"contentType": content_type, **_fields(metadata)}
        if "contentEncoding" in query:
            fields["contentEncoding"] = query["contentEncoding"]
        return web.json_response(
            _resource(request, self._put(request, bucket, name, digests, fields, conditions)), status=200
        )

    async def _begin(self, request: web.Request, bucket: str, conditions: Preconditions) -> web.Response:
        metadata = await request.json() if request.can_read_body else {}
        if not isinstance(metadata, dict):
            raise invalid("The body has to be the JSON of the object")
        name = _name(request.query, metadata)
        self._check_write(request, bucket, name, conditions)
        content_type = request.headers.get("X-Upload-Content-Type")
        if content_type:
            metadata = {"contentType": content_type, **metadata}
        _fields(metadata)
        key = self._sessions.begin(
            Session(bucket, name, metadata, conditions, request.get("identity"), self._objects.blobs.writer())
        )
        location = request.url.with_query(uploadType="resumable", upload_id=key)
        return web.Response(headers={hdrs.LOCATION: str(location), "X-GUploader-UploadID": key})

    async def resume(self, request: web.Request) -> web.Response:
        key = _query(request, "upload_id", "name", *_CONDITIONS).get("upload_id", "")
        session = self._sessions.get(key)
        if session.identity != request.get("identity"):
            raise ApiError(403, "PERMISSION_DENIED", "This resumable upload was begun by another identity")
        try:
            whole = await take(request, session)
        except OSError:
            self._sessions.end(key)  # what was counted is not all written
            raise
        if not whole:
            size = session.writer.size
            headers = {hdrs.RANGE: f"bytes=0-{size - 1}"} if size else {}
            return web.Response(status=308, headers=headers, reason="Resume Incomplete")
        try:
            _verify(await session.writer.digests(), session.metadata, request)
            digests = await session.writer.publish()
            fields, conditions = _fields(session.metadata), session.preconditions
            made = self._put(request, session.bucket, session.name, digests, fields, conditions)
        finally:
            self._sessions.end(key)
        return web.json_response(_resource(request, made))

    async def cancel(self, request: web.Request) -> web.Response:
        key = _query(request, "upload_id", "name").get("upload_id", "")
        self._sessions.get(key)
        self._sessions.end(key)
        return web.Response(status=499, reason="Client Closed Request")

    async def refuse(self, request: web.Request) -> web.Response:
        verb = request.path.rpartition("/")[2]
        raise unimplemented(
            f"Cloud Storage's '{verb}' on objects is not offered here; copy or insert instead"
        )

    async def refuse_metadata_only(self, request: web.Request) -> web.Response:
        del request
        raise invalid("An object is inserted with its bytes: POST to /upload/storage/v1/b/BUCKET/o")

    def _require(self, request: web.Request, bucket: str, verb: str, name: str = "") -> None:
        """Refuse whoever may not do this to the objects of a bucket that exists."""
        self._objects.bucket(bucket)
        path = f"storage/b/{bucket}/o/{name}" if name else f"storage/b/{bucket}"
        access.require(self._cloud, request["identity"], f"storage.objects.{verb}", path)

    def _found(self, request: web.Request, query: Mapping[str, str], *verbs: str) -> Object:
        """The object of a request by somebody who may do all of `verbs` to it.

        That there is none is told only to who may list the bucket
        (https://cloud.google.com/storage/docs/json_api/v1/status-codes#403-forbidden).
        """
        bucket, name = request.match_info["bucket"], request.match_info["object"]
        for verb in verbs:
            self._require(request, bucket, verb, name)
        try:
            return self._objects.get(bucket, name, _number(query, "generation"))
        except ApiError as error:
            if error.status == 404:
                self._require(request, bucket, "list")
            raise

    def _check_write(self, request: web.Request, bucket: str, name: str, conditions: Preconditions) -> None:
        """Refuse a write that its conditions or the writer's roles do not allow.

        To replace an object is to delete it, so who may only create can't.
        """
        self._require(request, bucket, "create", name)
        current = self._objects.live(bucket, name)
        conditions.check(current)
        if current is not None:
            self._require(request, bucket, "delete", name)

    def _put(
        self,
        request: web.Request,
        bucket: str,
        name: str,
        digests: Digests,
        fields: Mapping[str, Any],
        conditions: Preconditions,
    ) -> Object:
        try:
            self._check_write(request, bucket, name, conditions)
            return self._objects.put(bucket, name, digests, fields, conditions)
        except BaseException:
            self._objects.collect(digests.sha256)
            raise

    async def _send(self, request: web.Request, found: Object) -> web.StreamResponse:
        headers = {
            hdrs.CONTENT_TYPE: found.content_type,
            hdrs.ETAG: found.etag,
            "X-Goog-Generation": str(found.generation),
            "X-Goog-Metageneration": str(found.metageneration),
            "X-Goog-Stored-Content-Length": str(found.digests.size),
            "X-Goog-Stored-Content-Encoding": str(found.fields.get("contentEncoding") or "identity"),
            "X-Goog-Storage-Class": "STANDARD",
            "X-Goog-Hash": f"crc32c={found.crc32c},md5={found.md5}",
        }
        for key, header in {
            "cacheControl": hdrs.CACHE_CONTROL,
            "contentDisposition": hdrs.CONTENT_DISPOSITION,
            "contentEncoding": hdrs.CONTENT_ENCODING,
            "contentLanguage": hdrs.CONTENT_LANGUAGE,
        }.items():
            if found.fields.get(key):
                headers[header] = str(found.fields[key])
        return await send_file(request, blob_path(self._objects, found), headers)


def _xml_error(status: int, code: str, message: str, more: str = "") -> web.Response:
    """A refusal in the form of the XML API."""
    error = f"<Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>"
    text = f"<?xml version='1.0' encoding='UTF-8'?>{error}"
    return web.Response(status=status, text=text, content_type="application/xml")


def _resource(request: web.Request, found: Object) -> dict[str, Any]:
    """The object's JSON."""
    origin = request.url.origin()
    path = f"/storage/v1/b/{found.bucket}/o/{quote(found.name, safe='')}"
    resource: dict[str, Any] = {
        "kind": "storage#object",
        "id": f"{found.bucket}/{found.name}/{found.generation}",
        "selfLink": f"{origin}{path}",
        "mediaLink": f"{origin}/download{path}?generation={found.generation}&alt=media",
        "name": found.name,
        "bucket": found.bucket,
        "generation": str(found.generation),
        "metageneration": str(found.metageneration),
        "storageClass": "STANDARD",
        "size": str(found.digests.size),
        "md5Hash": found.md5,
        "crc32c": found.crc32c,
        "etag": found.etag,
        "timeCreated": found.created,
        "updated": found.updated,
        "timeStorageClassUpdated": found.created,
        "timeFinalized": found.created,
    }
    if found.retained_until:
        resource["retentionExpirationTime"] = found.retained_until
    resource.update({key: value for key, value in found.fields.items() if value is not None})
    if found.deleted is not None:
        resource["timeDeleted"] = found.deleted
    return resource


def _query(request: web.Request, *known: str) -> Mapping[str, str]:
    unknown = sorted(set(request.query) - _COMMON - set(known))
    if unknown:
        raise unimplemented(f"The parameter '{unknown[0]}' is not offered by this sandbox for {request.path}")
    return request.query


def _number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not text.isdecimal():
        raise invalid(f"{name} has to be a number, not '{text}'")
    return int(text)


def _flag(query: Mapping[str, str], name: str) -> bool:
    text = query.get(name, "false").lower()  # Google's own client writes True
    if text not in {"true", "false"}:
        raise invalid(f"{name} has to be true or false, not '{text}'")
    return text == "true"


def _name(query: Mapping[str, str], metadata: Mapping[str, Any]) -> str:
    name = query.get("name") or metadata.get("name")
    if not isinstance(name, str) or not name:
        raise invalid("Required: the object's name, as a parameter or in its JSON")
    return name


_IGNORED: Final = {"name", "bucket", "kind", "id", "crc32c", "md5Hash", "size", "storageClass"}


def _fields(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What a writer may say of an object; anything else is refused."""
    unknown = sorted(set(metadata) - WRITABLE - _IGNORED)
    if unknown:
        raise unimplemented(f"The object field '{unknown[0]}' is not offered by this sandbox")
    if metadata.get("storageClass", "STANDARD") != "STANDARD":
        raise unimplemented("The sandbox has the storage class STANDARD only")
    return {key: value for key, value in metadata.items() if key in WRITABLE}


def _verify(digests: Digests, metadata: Mapping[str, Any], request: web.Request) -> None:
    """Compare with the checksums that the client announced, in the JSON or in `X-Goog-Hash`."""
    announced: dict[str, str | None] = {"md5": metadata.get("md5Hash"), "crc32c": metadata.get("crc32c")}
    for header in request.headers.getall("X-Goog-Hash", []):
        for item in header.split(","):
            algorithm, _, promised = item.strip().partition("=")
            announced[algorithm] = promised
    if announced.get("md5") is None:
        announced["md5"] = request.headers.get(hdrs.CONTENT_MD5)
    actual = {
        "md5": base64.b64encode(bytes.fromhex(digests.md5)).decode(),
        "crc32c": base64.b64encode(digests.crc32c.to_bytes(4, "big")).decode(),
    }
    for algorithm, value in announced.items():
        if value is not None and actual.get(algorithm) != value:
            computed = actual.get(algorithm)
            raise invalid(
                f"Provided {algorithm} hash '{value}' doesn't match calculated {algorithm} hash '{computed}'."
            )


def _page_token(key: tuple[str, int]) -> str:
    return base64.urlsafe_b64encode(f"{key[1]}/{key[0]}".encode()).decode()


def _page_start(token: str | None) -> tuple[str, int]:
    if not token:
        return "", -1
    try:
        generation, _, name = base64.urlsafe_b64decode(token).decode().partition("/")
        return name, int(generation)
    except (ValueError, binascii.Error) as error:
        raise invalid("Invalid pageToken") from error
