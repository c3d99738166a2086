"""A feed of advisories as Cloud Storage serves a public bucket, on 127.0.0.1, with its possible faults."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import google_crc32c
from aiohttp import web

from tests.promotion.advisories.records import packed
from tests.registries.counterpart import serving

BUCKET = "osv-vulnerabilities"


@dataclass
class Stored:
    """One object."""

    data: bytes
    updated: str
    generation: int


@dataclass
class FeedServer:
    """The bucket, for tests to fill and to look at."""

    objects: dict[str, Stored] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """Names of the objects whose content was asked for."""
    identities: set[str] = field(default_factory=set)
    """What stood in the Authorization field."""
    cut_after: int | None = None
    """Bytes of an archive after which the connection breaks."""
    cuts: int = 0
    """How many times it does."""
    ignore_range: bool = False
    damage: bool = False
    """Serve other bytes of an archive than are there."""
    stale: dict[str, bytes] = field(default_factory=dict)
    """What a cache before the bucket still serves, by name."""

    def put(self, name: str, data: bytes, updated: str) -> None:
        """Write an object."""
        before = self.objects.get(name)
        self.objects[name] = Stored(data, updated, before.generation + 1 if before else 1)

    def publish(
        self, records: list[dict[str, Any]], updated: str, ecosystem: str = "PyPI", *, archive: bool = True
    ) -> None:
        """Export an ecosystem as it is published; `archive=False`: the archive stays as it was."""
        lines = sorted(((each["modified"], each["id"]) for each in records), reverse=True)
        for each in records:
            self.put(f"{ecosystem}/{each['id']}.json", json.dumps(each).encode(), updated)
        if archive:
            self.put(f"{ecosystem}/all.zip", packed(*records), updated)
        self.put(f"{ecosystem}/modified_id.csv", "".join(f"{m},{i}\n" for m, i in lines).encode(), updated)

    async def _object(self, request: web.Request) -> web.StreamResponse:
        self.identities.add(request.headers.get("Authorization", ""))
        name = request.match_info["name"]
        found = self.objects.get(name) if request.match_info["bucket"] == BUCKET else None
        generation = request.query.get("generation")
        if found is None or (generation and generation != str(found.generation)):
            return web.json_response({"error": {"code": 404, "message": "No such object"}}, status=404)
        if request.query.get("alt") != "media":
            return web.json_response(_metadata(name, found))
        self.asked.append(name)
        data = found.data
        if not generation and name in self.stale:
            data = self.stale[name]
        if not name.endswith(".zip"):
            return web.Response(body=data)
        return await self._archive(request, data)

    async def _archive(self, request: web.Request, data: bytes) -> web.StreamResponse:
        if self.damage:
            data = data[:-1] + bytes([data[-1] ^ 1])
        start, status = 0, 200
        if (asked := request.headers.get("Range")) and not self.ignore_range:
            start, status = int(asked.removeprefix("bytes=").removesuffix("-")), 206
        rest = data[start:]
        answer = web.StreamResponse(status=status, headers={"Content-Length": str(len(rest))})
        await answer.prepare(request)
        if self.cut_after is not None and self.cuts:
            self.cuts -= 1
            await answer.write(rest[: self.cut_after])
            assert request.transport
            request.transport.close()
            return answer
        await answer.write(rest)
        return answer

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve it on a free port; the address is the endpoint of Cloud Storage's JSON API."""
        with serving([web.get("/storage/v1/b/{bucket}/o/{name:.+}", self._object)]) as url:
            yield f"{url}/storage/v1/"


def _metadata(name: str, stored: Stored) -> dict[str, str]:
    return {
        "name": name,
        "size": str(len(stored.data)),
        "updated": stored.updated,
        "generation": str(stored.generation),
        "crc32c": base64.b64encode(google_crc32c.value(stored.data).to_bytes(4, "big")).decode(),
    }


def at(hour: int, minute: int = 0) -> str:
    """A moment of the day that these tests play on."""
    return datetime(2026, 11, 22, hour, minute, tzinfo=UTC).isoformat().replace("+00:00", "Z")
