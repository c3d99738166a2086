"""A server that costs little: it serves the files of a folder and keeps what it is sent.

It checks nothing and hashes nothing, so that what is measured is who copies. It speaks as much as each side
needs: the upload form of Python repositories, which twine sends, and Artifact Registry's list of files (with
the digests that the uploads named); the list of projects and the JSON of each that bandersnatch reads.
A process of its own: it prints its port, and serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from bench.material import artifacts
from dmz.artifact import Artifact

_BLOCK: Final = 1 << 20


class Shelf:
    """The files to copy, and what was kept by repository."""

    def __init__(self, served: Path, kept: Path) -> None:
        self._served = served
        self._kept = kept
        self._known = artifacts(served)
        self._taken: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)

    def application(self) -> web.Application:
        """What it answers."""
        app = web.Application(client_max_size=1 << 40)
        app.add_routes(
            [
                web.get("/p/{repository}/{name}/{filename}", self.file),
                web.get("/packages/{name}/{filename}", self.file),
                web.post("/p/{repository}/", self.upload),
                web.get("/v1/projects/p/locations/{location}/repositories/{repository}/files", self.listing),
                web.get("/simple", self.projects),
                web.get("/simple/", self.projects),
                web.get("/pypi/{name}/json", self.project),
            ]
        )
        return app

    async def file(self, request: web.Request) -> web.FileResponse:
        """One of the files, by the kernel's own copy."""
        return web.FileResponse(self._served / Path(request.match_info["filename"]).name, chunk_size=_BLOCK)

    async def upload(self, request: web.Request) -> web.Response:
        """Keep the last part of a form, which is the file."""
        closing = len(
            b"\r\n--" + request.headers["Content-Type"].partition("boundary=")[2].encode() + b"--\r\n"
        )
        chunks = request.content.iter_any()
        head = b""
        async for chunk in chunks:
            head += chunk
            fields, found, rest = head.partition(b'name="content"')
            properties, ended, begun = rest.partition(b"\r\n\r\n")
            if found and ended:
                break
        filename = properties.partition(b'filename="')[2].partition(b'"')[0].decode()
        sha256 = fields.partition(b'name="sha256_digest"')[2].lstrip(b"\r\n")[:64].decode()
        folder = self._kept / request.match_info["repository"]
        folder.mkdir(exist_ok=True)
        with (folder / Path(filename).name).open("wb") as file:
            file.write(begun)
            async for chunk in chunks:
                file.write(chunk)
            size = file.tell() - closing
            file.truncate(size)
        self._taken[request.match_info["repository"]][filename] = {
            "name": f"projects/p/files/{filename}",
            "sizeBytes": str(size),
            "hashes": [{"type": "SHA256", "value": base64.b64encode(bytes.fromhex(sha256)).decode()}],
        }
        return web.Response(text="OK")

    async def listing(self, request: web.Request) -> web.Response:
        """What a repository has taken, as `files.list` says it."""
        return web.json_response({"files": list(self._taken[request.match_info["repository"]].values())})

    async def projects(self, request: web.Request) -> web.Response:
        """The projects of the files to copy (PEP 691, with serials as the public index has them)."""
        del request
        return web.json_response(
            {
                "meta": {"_last-serial": 1, "api-version": "1.1"},
                "projects": [{"_last-serial": 1, "name": each.name} for each in self._known],
            },
            content_type="application/vnd.pypi.simple.v1+json",
        )

    async def project(self, request: web.Request) -> web.Response:
        """One project's files."""
        name = request.match_info["name"]
        found = [each for each in self._known if each.name == name]
        base = f"http://{request.host}/packages/{name}"
        return web.json_response(
            {
                "info": {"name": name, "version": found[0].version, "requires_python": None},
                "last_serial": 1,
                "releases": {each.version: [_release(each, base)] for each in found},
                "urls": [_release(each, base) for each in found],
            },
            headers={"X-PyPI-Last-Serial": "1"},
        )


def _release(each: Artifact, base: str) -> dict[str, Any]:
    return {
        "filename": each.filename,
        "url": f"{base}/{each.filename}",
        "digests": {"sha256": each.sha256},
        "size": each.size,
        "packagetype": "bdist_wheel",
        "python_version": "py3",
        "requires_python": None,
        "upload_time": "2026-01-01T00:00:00",
        "upload_time_iso_8601": "2026-01-01T00:00:00.000000Z",
        "yanked": False,
        "yanked_reason": None,
    }


async def main(served: str, kept: str) -> None:
    """Serve on a free port of 127.0.0.1."""
    runner = web.AppRunner(Shelf(Path(served), Path(kept)).application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(json.dumps({"port": runner.addresses[0][1]}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
