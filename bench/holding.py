"""Two projects whose inner repositories hold a release already. A process of its own.

    python -m bench.holding FOLDER WHEELS DEBS

It is the tests' server, which offers what Artifact Registry, Cloud Storage and IAM Credentials are known to
offer and no more, with pages of a thousand, as the service has them. What it would make anew for each request
it keeps here, so that what is measured is who asks. It writes two checkouts into the folder, each with a
release that is attested: the one that inner holds, and one with another wheel. It prints what leads to it,
and serves until its standard input ends.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

from aiohttp import web

from dmz.artifact import Artifact, Kind
from dmz.attestations import Place
from dmz.promotion import lines
from dmz.promotion import release as releases
from dmz.promotion.attestation import Trust
from dmz.promotion.entry import Entry
from dmz.promotion.release import Release
from dmz.promotion.statement import verifier_id
from dmz.registries.debian import deb_filename
from tests.attestations import ATTESTOR, POLICY, attest, pem
from tests.registries.counterpart import SYNC, Counterpart, Kept, running

_PAGE: Final = 1000
_LOCATION: Final = "us-central1"
_WEEK: Final = timedelta(days=7)


class Holding(Counterpart):
    """The tests' server, quick with many files."""

    def __init__(self) -> None:
        super().__init__(page_size=_PAGE)
        self._entries: dict[tuple[str, str], bytes] = {}
        self._described: dict[tuple[str, str], tuple[bytes, dict[str, str]]] = {}
        self._listed: dict[tuple[str, str, str | None], tuple[list[str], set[str]]] = {}
        """What listings of objects show, as long as there are no others."""
        self._number = 0
        self._index: tuple[tuple[str, ...], dict[str, bytes]] = ((), {})
        self.stanzas: dict[str, str] = {}
        """By path."""

    def application(self) -> web.Application:
        """Adds the address that tells what was asked since the last time."""
        app = super().application()
        app.router.add_get("/asked", self._asked)
        return app

    async def _asked(self, _: web.Request) -> web.Response:
        asked, self.requests = self.requests[:-1], []
        return web.json_response([[method, path] for method, path, _ in asked])

    async def _files(self, request: web.Request) -> web.Response:
        held = self._held(request)
        base = request.path.removeprefix("/v1/").removesuffix("/files")
        if asked := request.query.get("filter"):
            package, version = asked.removeprefix(f'owner="{base}/packages/').rstrip('"').split("/versions/")
            wanted = unquote(package), version
            held = {name: kept for name, kept in held.items() if (kept.package, kept.version) == wanted}
        names = sorted(held)
        start = int(request.query.get("pageToken", "0"))
        page = b",".join(self._entry(base, name, held[name]) for name in names[start : start + _PAGE])
        more = f', "nextPageToken": "{start + _PAGE}"' if start + _PAGE < len(names) else ""
        return web.Response(
            body=b'{"files": [' + page + b"]" + more.encode() + b"}", content_type="application/json"
        )

    def _entry(self, base: str, name: str, kept: Kept) -> bytes:
        found = self._entries.get((base, name))
        if found is None:
            sha256 = base64.b64encode(hashlib.sha256(kept.data).digest()).decode()
            md5 = base64.b64encode(hashlib.md5(kept.data, usedforsecurity=False).digest()).decode()
            found = self._entries[base, name] = json.dumps(
                {
                    "name": f"{base}/files/{quote(name, safe='')}",
                    "sizeBytes": str(len(kept.data)),
                    "hashes": [{"type": "SHA256", "value": sha256}, {"type": "MD5", "value": md5}],
                    "createTime": "2026-11-22T10:00:00.123456Z",
                    "updateTime": "2026-11-22T10:00:00.123456Z",
                    "owner": f"{base}/{kept.owner}",
                }
            ).encode()
        return found

    async def _apt_index(self, request: web.Request) -> web.Response:
        paths = tuple(self._held(request))
        if self._index[0] != paths:
            packages = "\n\n".join(self.stanzas[path] for path in paths).encode()
            self._index = (
                paths,
                {
                    "main/binary-amd64/Packages": packages,
                    "main/binary-amd64/Packages.gz": gzip.compress(packages, 6, mtime=0),
                },
            )
        forms = self._index[1]
        wanted = request.match_info["path"]
        if wanted != "InRelease":
            return web.Response(body=forms[wanted]) if wanted in forms else web.Response(status=404)
        digests = "".join(
            f" {hashlib.sha256(data).hexdigest()} {len(data)} {name}\n" for name, data in forms.items()
        )
        return web.Response(text=f"Components: main\nArchitectures: amd64\nSHA256:\n{digests}")

    def _names(self, bucket: str, prefix: str, delimiter: str | None) -> tuple[list[str], set[str]]:
        asked = bucket, prefix, delimiter
        if asked not in self._listed:
            self._listed[asked] = super()._names(*asked)
        return self._listed[asked]

    async def _object_upload(self, request: web.Request) -> web.Response:
        answer = await super()._object_upload(request)
        self._listed.clear()
        return answer

    async def _object_delete(self, request: web.Request) -> web.Response:
        answer = await super()._object_delete(request)
        self._listed.clear()
        return answer

    def _metadata(self, bucket: str, name: str) -> dict[str, str]:
        kept = self._described.get((bucket, name))
        data = self.buckets[bucket][name]
        if kept is None or kept[0] is not data:
            kept = self._described[bucket, name] = data, super()._metadata(bucket, name)
        return kept[1]

    def generation(self, bucket: str, name: str) -> tuple[int, datetime]:
        """As there, but without looking at all others for the next number."""
        data = self.buckets[bucket][name]
        seen = self.generations.get((bucket, name))
        if seen is None or seen[0] is not data:
            self._number += 1
            seen = self.generations[bucket, name] = data, self._number, self.now()
        return seen[1], seen[2]


def wheel(number: int, version: str = "") -> tuple[Artifact, bytes]:
    """A wheel's description and its bytes."""
    name, version = f"package-{number:05}", version or f"{number % 9}.{number % 7}.{number % 5}"
    data = f"wheel {number} {version}".encode() * 30
    filename = f"package_{number:05}-{version}-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
    return _artifact(Kind.PYPI, name, "", version, filename, data, "python-remote"), data


def deb(number: int) -> tuple[Artifact, bytes]:
    """A deb's."""
    name, version = (
        f"libpackage{number:05}-dev",
        f"{number % 3}:{number % 9}.{number % 7}-{number % 5}+deb12u1",
    )
    data = f"deb {number}".encode() * 30
    filename = deb_filename(name, version, "amd64")
    return _artifact(Kind.APT, name, "amd64", version, filename, data, "apt-bookworm"), data


def _artifact(
    kind: Kind, name: str, architecture: str, version: str, filename: str, data: bytes, origin: str
) -> Artifact:
    digest = hashlib.sha256(data).hexdigest()
    why = ("package-00000", "package-00001")
    return Artifact(kind, name, architecture, version, filename, digest, len(data), origin, why)


def _release(artifacts: list[Artifact]) -> Release:
    entries = tuple(
        Entry(each, "package", each.version) if each.kind is Kind.APT else Entry(each) for each in artifacts
    )
    return Release("large", "0" * 64, "sandbox-debian-12", "1" * 64, "3.11", entries)


def _stanza(artifact: Artifact, path: str) -> str:
    return (
        f"Package: {artifact.name}\nVersion: {artifact.version}\nArchitecture: {artifact.architecture}\n"
        "Maintainer: Somebody <somebody@example.org>\nInstalled-Size: 123\n"
        "Depends: libc6 (>= 2.36), libgcc-s1 (>= 3.0), libstdc++6 (>= 11)\nSection: libdevel\n"
        f"Priority: optional\nDescription: development files\nFilename: {path}\nSize: {artifact.size}\n"
        f"SHA256: {artifact.sha256}"
    )


def main(folder: str, wheels: str, debs: str) -> None:
    """Fill the repositories, write the checkout, and serve."""
    here, checkout = Holding(), Path(folder)
    held = [*map(wheel, range(int(wheels))), *map(deb, range(int(debs)))]
    changed = wheel(0, "99.0")
    for name, kind in (("inner/python", "PYTHON"), ("inner/apt", "APT"), ("outer/python-remote", "PYTHON")):
        here.add(name, kind)
    buckets = ("outer-files", "outer-attestations", "outer-archive", "inner-release", "inner-staging")
    here.buckets = {name: {} for name in buckets}
    for artifact, data in held:
        if artifact.kind is Kind.PYPI:
            here.keep("inner/python", artifact.filename, data)
        else:
            path = f"pool/apt/{artifact.filename.removesuffix('.deb')}_{artifact.sha256[:32]}.deb"
            here.repositories["inner/apt"][path] = Kept(data, artifact.name, artifact.version)
            here.stanzas[path] = _stanza(artifact, path)
    for artifact, data in (held[0], changed):
        here.keep("outer/python-remote", artifact.filename, data)
    for artifact, data in (*held, changed):
        here.buckets["outer-archive"][f"sha256/{artifact.sha256}"] = data
    trust = Trust(pem(), verifier_id(ATTESTOR), POLICY, _WEEK)
    place = Place("inner", _LOCATION, "outer-attestations", trust)
    for which, artifacts in (("held", held), ("changed", [changed, *held[1:]])):
        release = _release([artifact for artifact, _ in artifacts])
        releases.write(release, checkout / which / "releases")
        attest(here.buckets["outer-attestations"], release, place)
        (checkout / which / "inputs.json").write_text(json.dumps(_inputs(release, trust)))
    with running(here):
        print(json.dumps(here.environment()), flush=True)
        sys.stdin.read()


def _inputs(release: Release, trust: Trust) -> dict[str, Any]:
    """What the stack's program tells the sync."""
    return {
        "packages": lines.render(releases.union([release])),
        "releases": {release.workload: release.digest},
        "releaseFolder": "releases",
        "attestation": {
            "key": trust.key,
            "verifier": trust.verifier,
            "bucket": "outer-attestations",
            "policyDigest": trust.policy_digest,
            "maxAgeSeconds": _WEEK.total_seconds(),
        },
        "attestations": {},
        "project": "inner",
        "location": _LOCATION,
        "aptRepository": "apt",
        "pythonRepository": "python",
        "releaseBucket": "inner-release",
        "stagingBucket": "inner-staging",
        "outerProject": "outer",
        "filesBucket": "outer-files",
        "archiveBucket": "outer-archive",
        "syncServiceAccount": SYNC,
        "adopt": False,
        "withdrawOnDelete": False,
        "providerVersion": "3",
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
