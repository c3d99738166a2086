"""A Python index of the tests' own, on loopback: tiny wheels, and bytes that change behind its back."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def wheel(name: str, version: str, requires: Sequence[str] = (), payload: str = "") -> tuple[str, bytes]:
    """File name and bytes of a pure wheel whose module knows its own version."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": f"version = {version!r}\npayload = {payload!r}\n",
        f"{info}/METADATA": "\n".join(
            ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
            + [f"Requires-Dist: {requirement}" for requirement in requires]
        )
        + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text.encode())}\n"
    files[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path, (2026, 1, 1, 0, 0, 0)), text)
    return f"{name}-{version}-py3-none-any.whl", out.getvalue()


class Upstream:
    """The index; `announced` digests stay as they were when a file was added."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.announced: dict[str, str] = {}
        self.silent = False
        """Whether it answers nothing any more but that it is not available."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer._answer(self)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/simple/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def add(self, name: str, version: str, requires: Sequence[str] = ()) -> str:
        """Offer a wheel; returns its file name."""
        filename, body = wheel(name, version, requires)
        self.put(name, filename, body)
        return filename

    def put(self, name: str, filename: str, body: bytes) -> None:
        """Offer a file of any kind."""
        self.files.setdefault(name, {})[filename] = body
        self.announced[filename] = hashlib.sha256(body).hexdigest()

    def tamper(self, name: str, filename: str) -> None:
        """Change one byte of a file, and nothing of what the index says of it."""
        body = bytearray(self.files[name][filename])
        body[len(body) // 2] ^= 1
        self.files[name][filename] = bytes(body)

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        parts = request.path.strip("/").split("/")
        if self.silent:
            request.send_error(503)
        elif parts[0] == "simple" and len(parts) == 2 and parts[1] in self.files:
            files = [
                {
                    "filename": filename,
                    "url": f"../../files/{parts[1]}/{filename}",
                    "hashes": {"sha256": self.announced[filename]},
                    "size": len(body),
                    "upload-time": "2026-01-02T03:04:05Z",
                    "yanked": False,
                }
                for filename, body in self.files[parts[1]].items()
            ]
            page = {"meta": {"api-version": "1.1"}, "name": parts[1], "files": files, "versions": []}
            self._send(request, json.dumps(page).encode(), "application/vnd.pypi.simple.v1+json")
        elif parts[0] == "files" and parts[2] in self.files.get(parts[1], {}):
            self._send(request, self.files[parts[1]][parts[2]], "application/octet-stream")
        else:
            request.send_error(404)

    @staticmethod
    def _send(request: BaseHTTPRequestHandler, body: bytes, kind: str) -> None:
        request.send_response(200)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)
