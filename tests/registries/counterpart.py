"""A small real server that answers as Artifact Registry, Cloud Storage and IAM Credentials do.

It runs in a thread of its own on 127.0.0.1, keeps everything in memory, and can be told to fail.
"""

from __future__ import annotations

import asyncio
import base64
import email.utils
import gzip
import hashlib
import io
import json
import re
import socket
import struct
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import google_crc32c
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from debian.debfile import DebFile
from packaging.utils import parse_sdist_filename, parse_wheel_filename

CALLER = "token-of-the-caller"
SYNC = "dmz-sync@outer.iam.gserviceaccount.com"
ATTESTOR = "dmz-attestor@outer.iam.gserviceaccount.com"


@dataclass
class Kept:
    """One file of a repository."""

    data: bytes
    package: str
    version: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def owner(self) -> str:
        return f"packages/{quote(self.package)}/versions/{self.version}"


@dataclass
class Fault:
    """What goes wrong once with requests that match."""

    method: str
    path: str
    """Part of the path."""
    status: int | None = None
    truncate: bool = False
    """Announce the whole length, send half, cut the connection."""
    other_bytes: bool = False
    """As many bytes as asked for, but others."""
    lost: bool = False
    """Do what is asked for, and cut the connection without an answer."""
    silent: bool = False
    """Never answer."""
    reset: bool = False
    """Cut the connection before anything is done."""
    early: bool = False
    """Answer before the body was read."""
    text: str = ""
    """What is answered instead."""
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1


@dataclass
class Counterpart:
    """The services' state, for tests to fill and to look at."""

    repositories: dict[str, dict[str, Kept]] = field(default_factory=dict)
    formats: dict[str, str] = field(default_factory=dict)
    buckets: dict[str, dict[str, bytes]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path, identity."""
    page_size: int = 2
    index_components: str = "main"
    """What `InRelease` says of the component `main`."""
    index_delay: dict[str, int] = field(default_factory=dict)
    """How many more times the index of an apt repository is read before it shows the last upload."""
    may_impersonate: bool = True
    token_seconds: int = 3600
    announce_hashes: bool = True
    index_digests: dict[str, str] = field(default_factory=dict)
    """Digests that a Python index announces instead of the true ones."""
    filters: bool = True
    """Whether a listing of files can be filtered."""
    hide_from_record: bool = False
    """Answer a listing of files as a remote repository that has fetched none yet."""
    parts: bool = False
    """Answer with a part of a Python file where one is asked for."""
    remote: dict[str, Any] = field(default_factory=dict)
    """`remoteRepositoryConfig` of every repository."""
    keys: dict[str, ec.EllipticCurvePrivateKey] = field(default_factory=dict)
    """Private key by the resource name of its version."""
    composed: bool = False
    """Whether every object is one that was composed of others, which has no MD5."""
    damage_objects: bool = False
    """Store other bytes than were sent."""
    token_serves: int | None = None
    """Requests after which a token is accepted no longer, whatever was said of its end."""
    import_errors: dict[str, tuple[int, str]] = field(default_factory=dict)
    """google.rpc.Code and reason by part of the URI, for sources that an import refuses, once each."""
    import_fails: tuple[int, str] | None = None
    """How every import ends as a whole."""
    imports: list[list[str]] = field(default_factory=list)
    """The URIs of each import."""
    circular: bool = False
    """Say after every page of a listing that the first one comes next."""
    overlap: int = 0
    """How many files of the page before every page of a listing shows once more."""
    paths: bool = True
    """Whether the names of files in apt repositories tell what they are."""
    ahead: timedelta = timedelta()
    """By how much the services' clock is ahead of this machine's."""
    generations: dict[tuple[str, str], tuple[bytes, int, datetime]] = field(default_factory=dict)
    """Of each object, by bucket and name: the bytes that were seen last, their generation, and when."""
    token_info: dict[str, str] | None = field(
        default_factory=lambda: {"email": "ada@example.org", "email_verified": "true", "sub": "1234"}
    )
    """What the token endpoint says of the caller's token; None: that it is no good."""
    url: str = ""
    _served: dict[str, int] = field(default_factory=dict)
    _issued: int = 0

    def add(self, repository: str, kind: str, files: dict[str, bytes] | None = None) -> None:
        """Make a repository `project/id` of PYTHON or APT with files."""
        self.formats[repository] = kind
        self.repositories[repository] = {}
        for name, data in (files or {}).items():
            self.keep(repository, name, data)

    def keep(self, repository: str, filename: str, data: bytes) -> None:
        """Put a file into a repository, as somebody else would."""
        if self.formats[repository] == "PYTHON":
            parse = parse_wheel_filename if filename.endswith(".whl") else parse_sdist_filename
            name, version = parse(filename)[:2]
            self.repositories[repository][f"{name}/{filename}"] = Kept(data, name, str(version))
        else:
            control = DebFile(fileobj=io.BytesIO(data)).debcontrol()
            # Artifact Registry adds to the names of debs; what apt sees is in the index.
            digest = hashlib.md5(data).hexdigest()
            path = f"pool/{filename.removesuffix('.deb')}_{digest}.deb" if self.paths else f"pool/{digest}"
            self.repositories[repository][path] = Kept(data, control["Package"], control["Version"])

    def environment(self) -> dict[str, str]:
        """The variables that point at this server."""
        return {
            "GOOGLE_ARTIFACT_REGISTRY_CUSTOM_ENDPOINT": f"{self.url}/v1/",
            "GOOGLE_STORAGE_CUSTOM_ENDPOINT": f"{self.url}/storage/v1/",
            "GOOGLE_IAM_CREDENTIALS_CUSTOM_ENDPOINT": f"{self.url}/iam/v1/",
            "GOOGLE_KMS_CUSTOM_ENDPOINT": f"{self.url}/kms/v1/",
            "DMZ_PYTHON_REPOSITORY_ENDPOINT": f"{self.url}/python/",
            "DMZ_APT_REPOSITORY_ENDPOINT": f"{self.url}/apt/",
            "DMZ_OAUTH2_ENDPOINT": f"{self.url}/oauth2/",
            "GOOGLE_OAUTH_ACCESS_TOKEN": CALLER,
        }

    def now(self) -> datetime:
        """What the services' clock says."""
        return datetime.now(UTC) + self.ahead

    def generation(self, bucket: str, name: str) -> tuple[int, datetime]:
        """Generation and time of an object, also of one that a test put there itself."""
        data = self.buckets[bucket][name]
        seen = self.generations.get((bucket, name))
        if seen is None or seen[0] is not data:
            seen = data, max((one for _, one, _ in self.generations.values()), default=0) + 1, self.now()
            self.generations[bucket, name] = seen
        return seen[1], seen[2]

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._guard], client_max_size=1 << 28)
        app.on_response_prepare.append(self._stamp)
        files = "/v1/projects/{project}/locations/{location}/repositories/{repository}"
        app.router.add_get(files, self._describe)
        app.router.add_get(f"{files}/files", self._files)
        app.router.add_post(f"{files}/packages/{{package}}/versions:batchDelete", self._batch_delete)
        app.router.add_post(f"{files}/aptArtifacts:import", self._apt_import)
        app.router.add_get("/v1/projects/{project}/locations/{location}/operations/{id}", self._operation)
        app.router.add_post("/iam/v1/projects/-/serviceAccounts/{account}:generateAccessToken", self._token)
        app.router.add_post("/oauth2/tokeninfo", self._token_info)
        app.router.add_post("/kms/v1/{name:projects/.+/cryptoKeyVersions/.+}:asymmetricSign", self._sign)
        app.router.add_get("/python/{project}/{repository}/simple/{name}/", self._simple)
        app.router.add_post("/python/{project}/{repository}/", self._python_upload)
        app.router.add_get("/python/{project}/{repository}/{name}/{filename}", self._python_file)
        app.router.add_get("/apt/projects/{project}/dists/{repository}/{path:.*}", self._apt_index)
        app.router.add_get("/apt/projects/{project}/{path:pool/.*}", self._apt_file)
        app.router.add_get("/apt/remote/{project}/{repository}/dists/{suite}/{path:.*}", self._apt_index)
        app.router.add_get("/apt/remote/{project}/{repository}/{path:pool/.*}", self._apt_file)
        app.router.add_get("/storage/v1/b/{bucket}/o", self._objects)
        app.router.add_post("/upload/storage/v1/b/{bucket}/o", self._object_upload)
        app.router.add_get("/storage/v1/b/{bucket}/o/{name:.+}", self._object)
        app.router.add_delete("/storage/v1/b/{bucket}/o/{name:.+}", self._object_delete)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        token = base64.b64decode(value).decode().partition(":")[2] if scheme == "Basic" else value
        identity = self._identity(token)
        self.requests.append((request.method, request.path, identity or "nobody"))
        if identity is None:
            return _error(401, "Request had invalid authentication credentials.")
        for fault in self.faults:
            if fault.times and fault.method == request.method and fault.path in request.path:
                fault.times -= 1
                return await _failed(fault, request, handler)
        response: web.StreamResponse = await handler(request)
        return response

    async def _stamp(self, _: web.Request, response: web.StreamResponse) -> None:
        response.headers["Date"] = email.utils.format_datetime(self.now(), usegmt=True)

    def _identity(self, token: str) -> str | None:
        """Whose token it is; None if it is nobody's, or served often enough."""
        self._served[token] = self._served.get(token, 0) + 1
        known = {CALLER: "caller"} | {f"token-of-{one}": one for one in ("sync", "attestor", "publisher")}
        identity = known.get(token.rstrip("~"))
        ended = self.token_serves is not None and self._served[token] > self.token_serves
        return None if ended and identity != "caller" else identity

    # -- Artifact Registry -------------------------------------------------------------------------------

    def _held(self, request: web.Request) -> dict[str, Kept]:
        name = f"{request.match_info['project']}/{request.match_info['repository']}"
        if name not in self.repositories:
            raise web.HTTPNotFound(text=json.dumps({"error": {"message": f"no repository {name}"}}))
        return self.repositories[name]

    async def _describe(self, request: web.Request) -> web.Response:
        self._held(request)
        return web.json_response(
            {"name": request.path.removeprefix("/v1/"), "remoteRepositoryConfig": self.remote}
        )

    async def _files(self, request: web.Request) -> web.Response:
        held = {} if self.hide_from_record else self._held(request)
        base = request.path.removeprefix("/v1/").removesuffix("/files")
        if asked := request.query.get("filter"):
            if not self.filters:
                return _error(400, "Invalid filter")
            held = {path: kept for path, kept in held.items() if asked == f'owner="{base}/{kept.owner}"'}
        start = int(request.query.get("pageToken", "0"))
        names = sorted(held)[max(0, start - self.overlap) : start + self.page_size]
        more = start + self.page_size < len(held)
        entries = [
            {
                "name": f"{base}/files/{quote(name, safe='')}",
                "sizeBytes": str(len(held[name].data)),
                "hashes": [
                    {
                        "type": "SHA256",
                        "value": base64.b64encode(bytes.fromhex(held[name].sha256)).decode(),
                    }
                ],
                "owner": f"{base}/{held[name].owner}",
            }
            for name in names
        ]
        following = "0" if self.circular else str(start + self.page_size) if more else ""
        return web.json_response({"files": entries, **({"nextPageToken": following} if following else {})})

    async def _batch_delete(self, request: web.Request) -> web.Response:
        held = self._held(request)
        for name in (await request.json())["names"]:
            package, _, version = name.split("/packages/")[1].partition("/versions/")
            gone = [path for path, kept in held.items() if (kept.package, kept.version) == (package, version)]
            if not gone:
                return _error(404, f"no version {name}")
            for path in gone:
                del held[path]
        return web.json_response(self._begin())

    def _begin(self, **ended: Any) -> dict[str, Any]:
        """An operation that is not done yet; asking for it again ends it."""
        self._ended = {"done": True, **(ended or {"response": {}})}
        return {"name": "projects/p/locations/l/operations/1"}

    async def _operation(self, request: web.Request) -> web.Response:
        return web.json_response({"name": request.path.removeprefix("/v1/"), **self._ended})

    async def _apt_import(self, request: web.Request) -> web.Response:
        self._held(request)
        repository = f"{request.match_info['project']}/{request.match_info['repository']}"
        uris = (await request.json())["gcsSource"]["uris"]
        self.imports.append(uris)
        if self.import_fails:
            code, message = self.import_fails
            return web.json_response(self._begin(error={"code": code, "message": message}))
        errors = []
        for uri in uris:
            if refusal := self._import(repository, uri):
                status = {"code": refusal[0], "message": refusal[1]}
                errors.append({"gcsSource": {"uris": [uri]}, "error": status})
        return web.json_response(self._begin(response={"errors": errors} if errors else {}))

    def _import(self, repository: str, uri: str) -> tuple[int, str] | None:
        """Take one deb; what is held already is left as it is, without a word."""
        for part in [part for part in self.import_errors if part in uri]:
            return self.import_errors.pop(part)
        bucket, _, name = uri.removeprefix("gs://").partition("/")
        data = self.buckets.get(bucket, {}).get(name)
        if data is None:
            return 5, f"object {uri} not found"
        control = DebFile(fileobj=io.BytesIO(data)).debcontrol()
        held = self.repositories[repository].values()
        fields = ("Package", "Version", "Architecture")
        if any(all(_control(kept)[key] == control[key] for key in fields) for kept in held):
            return None
        filename = f"{control['Package']}_{control['Version'].split(':')[-1]}_{control['Architecture']}.deb"
        self.keep(repository, filename, data)
        return None

    # -- data planes -------------------------------------------------------------------------------------

    async def _simple(self, request: web.Request) -> web.Response:
        files = {
            path: kept
            for path, kept in self._held(request).items()
            if kept.package == request.match_info["name"]
        }
        if not files:
            return _error(404, "no such package")
        links = "".join(
            f'<a href="../../{path}{self._fragment(path, kept)}">x</a>\n' for path, kept in files.items()
        )
        return web.Response(
            text=f"<!DOCTYPE html><html><body>{links}</body></html>", content_type="text/html"
        )

    def _fragment(self, path: str, kept: Kept) -> str:
        digest = self.index_digests.get(path.rsplit("/", 1)[-1], kept.sha256)
        return f"#sha256={digest}" if self.announce_hashes else ""

    async def _python_file(self, request: web.Request) -> web.Response:
        kept = self._held(request).get(f"{request.match_info['name']}/{request.match_info['filename']}")
        if kept is None:
            return _error(404, "no such file")
        if self.parts and "Range" in request.headers:
            return web.Response(status=206, body=kept.data[request.http_range])
        return web.Response(body=kept.data)

    async def _python_upload(self, request: web.Request) -> web.Response:
        held = self._held(request)
        form = await request.post()
        content = form["content"]
        assert isinstance(content, web.FileField)
        assert form[":action"] == "file_upload"
        if f"{form['name']!s}/{content.filename}" in held:
            return _error(400, "Requested entity already exists")
        data = content.file.read()
        assert form["sha256_digest"] == hashlib.sha256(data).hexdigest()
        name = f"{request.match_info['project']}/{request.match_info['repository']}"
        self.keep(name, content.filename, data)
        return web.Response(text="")

    async def _apt_index(self, request: web.Request) -> web.Response:
        stanzas = [_stanza(path, kept) for path, kept in self._held(request).items()]
        name = f"{request.match_info['project']}/{request.match_info['repository']}"
        if self.index_delay.get(name):
            if request.match_info["path"] == "InRelease" and stanzas:
                self.index_delay[name] -= 1
            stanzas = stanzas[:-1]
        packages = "\n\n".join(stanzas).encode()
        forms = {
            "main/binary-amd64/Packages": packages,
            "main/binary-amd64/Packages.gz": gzip.compress(packages, mtime=0),
        }
        path = request.match_info["path"]
        if path == "InRelease":
            digests = "".join(
                f" {hashlib.sha256(data).hexdigest()} {len(data)} {name}\n" for name, data in forms.items()
            )
            text = (
                "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n"
                f"Components: {self.index_components}\nArchitectures: amd64\n"
                f"SHA256:\n{digests}-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----\n"
            )
            return web.Response(text=text)
        return web.Response(body=forms[path]) if path in forms else _error(404, "no such index")

    async def _apt_file(self, request: web.Request) -> web.Response:
        for name, held in self.repositories.items():
            if name.startswith(request.match_info["project"] + "/") and request.match_info["path"] in held:
                return web.Response(body=held[request.match_info["path"]].data)
        return _error(404, "no such file")

    # -- Cloud Storage and IAM Credentials ---------------------------------------------------------------

    async def _objects(self, request: web.Request) -> web.Response:
        bucket = request.match_info["bucket"]
        names, folders = self._names(bucket, request.query.get("prefix", ""), request.query.get("delimiter"))
        start = int(request.query.get("pageToken", "0"))
        shown = names[start : start + self.page_size]
        items = [self._metadata(bucket, name) for name in shown if name not in folders]
        if asked := re.search(r"items\(([^)]*)\)", request.query.get("fields", "")):
            fields = asked[1].split(",")
            items = [{key: item[key] for key in fields if key in item} for item in items]
        page: dict[str, Any] = {"items": items, "prefixes": [name for name in shown if name in folders]}
        if start + self.page_size < len(names):
            page["nextPageToken"] = str(start + self.page_size)
        return web.json_response(page)

    def _names(self, bucket: str, prefix: str, delimiter: str | None) -> tuple[list[str], set[str]]:
        """What a listing shows, by name, and which of that stands for more than one object."""
        names = sorted(name for name in self.buckets[bucket] if name.startswith(prefix))
        folders = {
            prefix + name.removeprefix(prefix).partition(delimiter)[0] + delimiter
            for name in names
            if delimiter and delimiter in name.removeprefix(prefix)
        }
        return sorted({*folders, *(name for name in names if not name.startswith(tuple(folders)))}), folders

    async def _object_upload(self, request: web.Request) -> web.Response:
        bucket = request.match_info["bucket"]
        held = self.buckets[bucket]
        if request.query["uploadType"] == "multipart":
            metadata, data = await _related(request)
            name = json.loads(metadata)["name"]
        else:
            name, data = request.query["name"], await request.read()
        if self._otherwise(request, bucket, name):
            return _error(412, "conditionNotMet")
        # A copy, so that the same bytes once more are another generation.
        held[name] = data[:-1] + b"~" if self.damage_objects else bytes(bytearray(data))
        return web.json_response(self._metadata(bucket, name))

    def _otherwise(self, request: web.Request, bucket: str, name: str) -> bool:
        """Whether an object is not as the request says on the condition of which it is to be done."""
        wanted = request.query.get("ifGenerationMatch")
        there = self.generation(bucket, name)[0] if name in self.buckets[bucket] else 0
        return wanted is not None and wanted != str(there)

    async def _object(self, request: web.Request) -> web.Response:
        bucket, name = request.match_info["bucket"], request.match_info["name"]
        held, wanted = self.buckets[bucket], request.query.get("generation")
        if name not in held or (wanted and wanted != str(self.generation(bucket, name)[0])):
            return _error(404, "no such object")
        if request.query.get("alt") == "media":
            return web.Response(body=held[name])
        return web.json_response(self._metadata(bucket, name))

    def _metadata(self, bucket: str, name: str) -> dict[str, str]:
        generation, updated = self.generation(bucket, name)
        found = _metadata(name, self.buckets[bucket])
        if self.composed:
            del found["md5Hash"]
        return {
            **found,
            "generation": str(generation),
            "updated": updated.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }

    async def _object_delete(self, request: web.Request) -> web.Response:
        bucket, name = request.match_info["bucket"], request.match_info["name"]
        if name not in self.buckets[bucket]:
            return _error(404, "no such object")
        if self._otherwise(request, bucket, name):
            return _error(412, "conditionNotMet")
        del self.buckets[bucket][name]
        return web.Response(status=204)

    async def _token_info(self, request: web.Request) -> web.Response:
        assert not request.query  # a token in an address would stand in every log
        if self.token_info is None:
            return web.json_response({"error_description": "Invalid Value"}, status=400)
        return web.json_response(self.token_info)

    async def _token(self, request: web.Request) -> web.Response:
        if not self.may_impersonate:
            return _error(403, "Permission 'iam.serviceAccounts.getAccessToken' denied")
        name = request.match_info["account"].partition("@")[0].removeprefix("dmz-")
        assert name in {"sync", "attestor", "publisher"}
        end = datetime.now(UTC) + timedelta(seconds=self.token_seconds)
        if self.token_serves is not None:
            self._issued += 1
        return web.json_response(
            {
                "accessToken": f"token-of-{name}" + "~" * self._issued,
                "expireTime": end.isoformat().replace("+00:00", "Z"),
            }
        )

    async def _sign(self, request: web.Request) -> web.Response:
        name, body = request.match_info["name"], await request.json()
        if name not in self.keys:
            return _error(404, f"CryptoKeyVersion {name} not found.")
        digest = base64.b64decode(body["digest"]["sha256"])
        if body["digestCrc32c"] != str(google_crc32c.value(digest)):
            return _error(400, "The checksum in field digest_crc32c did not match the data in field digest.")
        made = self.keys[name].sign(digest, ec.ECDSA(Prehashed(SHA256())))
        return web.json_response(
            {
                "name": name,
                "signature": base64.b64encode(made).decode(),
                "signatureCrc32c": str(google_crc32c.value(made)),
                "verifiedDigestCrc32c": True,
            }
        )


async def _failed(
    fault: Fault, request: web.Request, handler: Callable[[web.Request], Any]
) -> web.StreamResponse:
    assert request.transport is not None
    if fault.silent:
        await asyncio.sleep(60)
    if fault.reset or fault.silent:
        _reset(request.transport)
        return web.Response()
    if fault.early:
        assert fault.status
        answer = _error(fault.status, fault.text or "it fails as told")
        answer.force_close()
        return answer
    if fault.text:
        return web.Response(text=fault.text)
    if fault.status:
        await request.read()
        return _error(fault.status, "it fails as told", fault.headers)
    answer = await handler(request)
    if fault.lost:
        _reset(request.transport)
        return web.Response()
    data = answer.body
    if fault.other_bytes:
        return web.Response(body=bytes(byte ^ 1 for byte in data))
    partial = web.StreamResponse(headers={"Content-Length": str(len(data))})
    await partial.prepare(request)
    await partial.write(data[: len(data) // 2])
    request.transport.close()
    return partial


def _reset(transport: asyncio.Transport) -> None:
    """End a connection with RST instead of FIN."""
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _control(kept: Kept) -> Any:
    return DebFile(fileobj=io.BytesIO(kept.data)).debcontrol()


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(
        {"error": {"code": status, "message": message}}, status=status, headers=headers or {}
    )


async def _related(request: web.Request) -> tuple[bytes, bytes]:
    reader = await request.multipart()
    parts = []
    while (part := await reader.next()) is not None:
        assert not isinstance(part, type(reader))
        parts.append(bytes(await part.read()))  # type: ignore[union-attr]
    metadata, data = parts
    return metadata, data


def _metadata(name: str, held: dict[str, bytes]) -> dict[str, str]:
    data = held[name]
    # One a second, in the order in which they came.
    created = datetime(2026, 11, 22, tzinfo=UTC) + timedelta(seconds=list(held).index(name))
    return {
        "timeCreated": created.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "name": name,
        "size": str(len(data)),
        "crc32c": base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode(),
        "md5Hash": base64.b64encode(hashlib.md5(data).digest()).decode(),
    }


def _stanza(path: str, kept: Kept) -> str:
    control = DebFile(fileobj=io.BytesIO(kept.data)).debcontrol()
    text = "".join(f"{key}: {value}\n" for key, value in control.items())
    return f"{text}Filename: {path}\nSize: {len(kept.data)}\nSHA256: {kept.sha256}"


def deb(
    package: str,
    version: str,
    architecture: str = "amd64",
    payload: bytes = b"payload",
    source: str = "",
    fields: str = "",
) -> bytes:
    """A Debian package: an `ar` archive of a control and a data archive (deb(5))."""
    control = (
        f"Package: {package}\nVersion: {version}\nArchitecture: {architecture}\n"
        f"Source: {source or f'src-{package} (1)'}\n{fields}"
        "Maintainer: Nobody <n@example.com>\nDescription: for a test\n"
    )
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": _tar("./control", control.encode()),
        "data.tar.gz": _tar(f"./usr/share/{package}", payload),
    }
    archive = b"!<arch>\n"
    for name, data in members.items():
        archive += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode()
        archive += data + b"\n" * (len(data) % 2)
    return archive


def _tar(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), mtime=0)


def wheel(
    name: str, version: str, *, requires: tuple[str, ...] = (), tag: str = "py3-none-any"
) -> tuple[str, bytes]:
    """A wheel's file name and bytes."""
    import zipfile

    folder = f"{name.replace('-', '_')}-{version}"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + "".join(
        f"Requires-Dist: {one}\n" for one in requires
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"{folder}.dist-info/METADATA", metadata)
        archive.writestr(
            f"{folder}.dist-info/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n"
        )
        archive.writestr(f"{folder}.dist-info/RECORD", "")
    return f"{folder}-{tag}.whl", buffer.getvalue()


@contextmanager
def running(counterpart: Counterpart) -> Iterator[Counterpart]:
    """Serve `counterpart` on a free port of 127.0.0.1."""
    with _serving(counterpart.application()) as url:
        counterpart.url = url
        yield counterpart


@contextmanager
def serving(routes: list[web.RouteDef]) -> Iterator[str]:
    """Serve a few routes on a free port of 127.0.0.1."""
    app = web.Application()
    app.add_routes(routes)
    with _serving(app) as url:
        yield url


@contextmanager
def _serving(app: web.Application) -> Iterator[str]:
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    address: list[str] = []

    def serve() -> None:
        asyncio.set_event_loop(loop)
        runner = web.AppRunner(app, shutdown_timeout=0.2, lingering_time=0.2)

        async def start() -> None:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            address.append(f"http://127.0.0.1:{runner.addresses[0][1]}")

        loop.run_until_complete(start())
        # Said by the loop that is then stopped: one that ends `start` would swallow the stop.
        loop.call_soon(ready.set)
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield address[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        assert not thread.is_alive(), "the server does not end"
