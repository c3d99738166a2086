"""A cloud with its data planes on ports of this host, and small upstreams for them to fetch from."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import http.client
import json
import os
import subprocess
import threading
import zipfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from aiohttp import BasicAuth, web
from aiohttp.typedefs import Handler

from sandbox.cloud import artifact_registry, policies, storage
from sandbox.cloud.artifact_registry import Options
from sandbox.cloud.context import OPERATOR, Cloud
from sandbox.cloud.control import Control
from sandbox.cloud.discovery import Api
from sandbox.cloud.errors import refusal
from sandbox.cloud.services.artifactregistry import KINDS

T = TypeVar("T")
LOCATION = "projects/p/locations/us-central1"


class Loop:
    """An event loop in a thread of its own, so that real clients can be run beside it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._runners: list[web.AppRunner] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def call(self, work: Callable[[], T]) -> T:
        async def do() -> T:
            return work()

        return self.run(do())

    def serve(self, make: Callable[[], web.Application]) -> int:
        """Serve an application; returns the port."""

        async def start() -> int:
            runner = web.AppRunner(make())
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self._runners.append(runner)
            port: int = runner.addresses[0][1]
            return port

        return self.run(start())

    def close(self) -> None:
        async def stop() -> None:
            for runner in reversed(self._runners):
                await runner.cleanup()

        self.run(stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@dataclass
class Running:
    """A cloud that is being served."""

    loop: Loop
    cloud: Cloud
    options: Options
    python: int = 0
    apt: int = 0
    api: int = 0
    storage: int = 0
    token: str = ""

    def repository(self, name: str, package_format: str, remote: dict[str, Any] | None = None) -> str:
        """Declare a repository; returns its full name."""
        full = f"{LOCATION}/repositories/{name}"
        resource: dict[str, Any] = {"name": full, "format": package_format, "createTime": os.urandom(4).hex()}
        resource["mode"] = "STANDARD_REPOSITORY" if remote is None else "REMOTE_REPOSITORY"
        if remote is not None:
            resource["remoteRepositoryConfig"] = remote
        self.loop.call(lambda: self.cloud.store.put(f"artifactregistry/{full}", resource))
        return full

    def bucket(self, name: str, **fields: Any) -> str:
        resource = {"name": name, "timeCreated": os.urandom(4).hex(), **fields}
        self.loop.call(lambda: self.cloud.store.put(f"storage/b/{name}", resource))
        self.grant(f"storage/b/{name}", "roles/storage.objectAdmin", OPERATOR)
        return name

    def grant(self, name: str, role: str, *members: str) -> None:
        """Give members one role on what the store has as `name`, and take all others away."""
        policy = {"bindings": [{"role": role, "members": list(members)}]}
        self.loop.call(lambda: policies.put(self.cloud.store, name, policy))

    def client(self, port: int) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60)

    def python_url(self, repository: str, tail: str = "simple/") -> str:
        return f"http://oauth2accesstoken:{quote(self.token)}@127.0.0.1:{self.python}/p/{repository}/{tail}"

    def files(self, repository: str) -> list[dict[str, Any]]:
        with self.client(self.api) as client:
            answer = client.get(f"/v1/{LOCATION}/repositories/{repository}/files")
            assert answer.status_code == 200, answer.text
            files: list[dict[str, Any]] = answer.json().get("files", [])
            return files

    def leftovers(self) -> list[Path]:
        """Files in folders for what is incoming."""
        folders = (*self.cloud.root.rglob("incoming"), *self.cloud.cache.rglob("incoming"))
        return [path for folder in folders for path in folder.iterdir()]


@contextmanager
def running(root: Path, options: Options, cache: Path | None = None) -> Iterator[Running]:
    """Serve a cloud whose state is in `root`."""
    loop = Loop()
    try:
        cloud = loop.call(lambda: Cloud.open(root, cache, options))
        here = Running(loop, cloud, options, token=cloud.tokens.issue(OPERATOR))
        here.python = loop.serve(lambda: _guarded(cloud, artifact_registry.application_python(cloud)))
        here.apt = loop.serve(lambda: _guarded(cloud, artifact_registry.application_apt(cloud)))
        here.storage = loop.serve(lambda: _guarded(cloud, storage.application(cloud)))
        here.api = loop.serve(lambda: _guarded(cloud, _control(cloud)))
        yield here
        loop.run(cloud.close())
    finally:
        loop.close()


def _control(cloud: Cloud) -> web.Application:
    api, charge = Api("artifactregistry", "v1"), artifact_registry.charge_method
    control = Control(cloud, api, KINDS, artifact_registry.OVERRIDES, charge)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", control.handle)
    return app


def _guarded(cloud: Cloud, inner: web.Application) -> web.Application:
    """The application behind authentication and Google's form of errors."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        request["identity"] = _identity(cloud, request)
        try:
            if request["identity"] is None and request.path != artifact_registry.KEY_PATH:
                return web.Response(status=401, headers={"WWW-Authenticate": "Basic"})
            return await handler(request)
        except Exception as error:
            known = refusal(error)
            if known is None:
                raise
            return web.json_response(known.body(), status=known.status, headers=known.headers)

    inner.middlewares.insert(0, guard)
    return inner


def _identity(cloud: Cloud, request: web.Request) -> str | None:
    header = request.headers.get("Authorization", "")
    if header.startswith("Bearer "):
        return cloud.tokens.identity(header.removeprefix("Bearer "))
    if header.startswith("Basic "):
        return cloud.tokens.identity(BasicAuth.decode(header).password)
    return None


def as_(here: Running, identity: str, port: int) -> httpx.Client:
    """A client with a token of `identity`."""
    headers = {"Authorization": f"Bearer {here.cloud.tokens.issue(identity)}"}
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60)


class Counted:
    """A folder on a port; counts what was asked for."""

    def __init__(self, loop: Loop, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.busy: list[int] = []
        """Statuses that are answered first, whatever is asked for."""
        self.port = loop.serve(self._application)
        self.url = f"http://127.0.0.1:{self.port}"

    def _application(self) -> web.Application:
        async def answer(request: web.Request) -> web.StreamResponse:
            self.asked.append(request.path)
            if self.busy:
                return web.Response(status=self.busy.pop(0))
            path = self.folder / request.path.lstrip("/")
            if path.is_dir():
                path = path / "index.html"
            if not path.is_file():
                raise web.HTTPNotFound
            return web.FileResponse(path)

        app = web.Application()
        app.router.add_get("/{path:.*}", answer)
        return app


def wheel(folder: Path, name: str, version: str, size: int = 0, requires: tuple[str, ...] = ()) -> Path:
    """A tiny wheel with one module; `size` bytes of padding that doesn't compress."""
    module = name.replace("-", "_")
    path = folder / f"{module}-{version}-py3-none-any.whl"
    info = f"{module}-{version}.dist-info"
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Python: >=3.8\n"]
    lines += [f"Requires-Dist: {item}\n" for item in requires]
    members = {
        f"{module}.py": f"__version__ = {version!r}\n".encode(),
        f"{module}.bin": os.urandom(size),
        f"{info}/METADATA": "".join(lines).encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for member, data in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{member},sha256={digest},{len(data)}\n"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in {**members, f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode()}.items():
            archive.writestr(member, data)
    return path


def index_page(root: Path, name: str, wheels: list[Path], attributes: str = "") -> None:
    """Write a project's page of a static index in `root`; the wheels lie in `root/files`."""
    page = root / "simple" / name / "index.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    links = "".join(
        f'<a href="/files/{path.name}#sha256={sha256(path)}" data-requires-python="&gt;=3.8"{attributes}>'
        f"{path.name}</a>\n"
        for path in wheels
    )
    page.write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")


def deb(folder: Path, name: str, version: str, architecture: str = "all", text: str = "") -> Path:
    """A tiny Debian package with one file."""
    tree = folder / f"tree-{name}-{version}-{architecture}"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "usr/share" / name).mkdir(parents=True)
    (tree / "usr/share" / name / "text").write_text(text or f"{name} {version}\n")
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: T <t@example.com>\n"
        f"Description: {name}\n A package of a test.\n"
    )
    path = folder / f"{name}_{version.rpartition(':')[2]}_{architecture}.deb"
    run("dpkg-deb", "--root-owner-group", "-b", tree, path)
    return path


class Archive:
    """A small apt archive in a folder, signed by a key of its own."""

    def __init__(self, folder: Path, suite: str = "bookworm") -> None:
        self.folder = folder
        self.suite = suite
        self._home = folder.parent / "gpg"
        self._home.mkdir(mode=0o700)
        self._gpg("--quick-generate-key", "upstream", "ed25519", "sign", "never")
        self.keyring = folder.parent / "upstream.gpg"
        self.keyring.write_bytes(self._gpg("--export"))
        run("gpgconf", "--homedir", self._home, "--kill", "all")

    def publish(self, debs: list[Path]) -> None:
        """Put packages into the pool and write the signed suite."""
        architecture = run("dpkg", "--print-architecture").strip()
        stanzas = []
        for path in debs:
            place = self.folder / "pool/main" / path.name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
            control = run("dpkg-deb", "-f", path).strip()
            size = path.stat().st_size
            stanzas.append(
                f"{control}\nFilename: pool/main/{path.name}\nSize: {size}\nSHA256: {sha256(path)}\n"
            )
        packages = "\n".join(stanzas).encode()
        base = self.folder / "dists" / self.suite
        files = {
            f"main/binary-{architecture}/Packages": packages,
            f"main/binary-{architecture}/Packages.gz": gzip.compress(packages, mtime=0),
        }
        lines = [f"Suite: {self.suite}", f"Codename: {self.suite}", f"Architectures: {architecture}"]
        lines += ["Components: main", "Date: Sat, 01 Jan 2022 00:00:00 UTC", "SHA256:"]
        for name, data in files.items():
            (base / name).parent.mkdir(parents=True, exist_ok=True)
            (base / name).write_bytes(data)
            lines.append(f" {hashlib.sha256(data).hexdigest()} {len(data)} {name}")
        (base / "Release").write_text("\n".join(lines) + "\n")
        (base / "InRelease").unlink(missing_ok=True)
        self._gpg("--clearsign", "--output", base / "InRelease", base / "Release")
        run("gpgconf", "--homedir", self._home, "--kill", "all")

    def _gpg(self, *arguments: str | Path) -> bytes:
        command: list[str | Path] = ["gpg", "--homedir", self._home, "--batch", "--quiet"]
        command += ["--pinentry-mode", "loopback"]
        done = subprocess.run([*command, "--passphrase", "", *arguments], capture_output=True, check=True)
        return done.stdout


class AptClient:
    """The real apt-get with folders of its own."""

    def __init__(self, root: Path, source: str, port: int, token: str) -> None:
        self.root = root
        for folder in ("etc/auth.conf.d", "state/lists/partial", "cache/archives/partial", "etc/empty"):
            (root / folder).mkdir(parents=True)
        (root / "status").write_text("")
        (root / "etc/sources.list").write_text(source + "\n")
        login = f"machine http://127.0.0.1:{port} login oauth2accesstoken password {token}\n"
        (root / "etc/auth.conf.d/sandbox.conf").write_text(login)
        (root / "apt.conf").write_text(
            f'Dir::Etc "{root}/etc"; Dir::Etc::sourcelist "sources.list"; Dir::Etc::sourceparts "empty";\n'
            f'Dir::Etc::netrcparts "auth.conf.d"; Dir::Etc::trusted "none"; Dir::Etc::trustedparts "empty";\n'
            f'Dir::Etc::parts "empty"; Dir::State "{root}/state"; Dir::State::status "{root}/status";\n'
            f'Dir::Cache "{root}/cache"; APT::Sandbox::User "root"; Acquire::Retries "0";\n'
        )

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "APT_CONFIG": str(self.root / "apt.conf"), "LC_ALL": "C"}
        return subprocess.run(
            ["apt-get", "-y", *arguments],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )


def run(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def change_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut_off(port: int, path: str, headers: dict[str, str], body: bytes) -> None:
    """Send a POST that announces more than comes, and hang up."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.putrequest("POST", path)
    for name, value in {**headers, "Content-Length": str(len(body))}.items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(body[: len(body) * 2 // 3])
    connection.close()


def related(metadata: dict[str, Any], data: bytes) -> tuple[str, bytes]:
    """Content type and body of a multipart/related upload."""
    head = f"--b\r\nContent-Type: application/json\r\n\r\n{json.dumps(metadata)}\r\n--b\r\n"
    return (
        "multipart/related; boundary=b",
        head.encode() + b"Content-Type: text/x\r\n\r\n" + data + b"\r\n--b--\r\n",
    )
