"""The metadata of a wheel without its bytes."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from dmz.artifact import Artifact, Kind
from dmz.errors import RefusedError, TransferError
from dmz.registries import wheel_parts, wheels
from tests.registries.conftest import as_sync
from tests.registries.counterpart import Counterpart, serving

METADATA = b"Metadata-Version: 2.1\nName: a\nVersion: 1.0\n"
NAME = "a-1.0.dist-info/METADATA"


def archive(
    *, before: int = 0, after: int = 0, metadata: bytes = METADATA, members: int = 0, name: str = NAME
) -> bytes:
    """A wheel with this many bytes before and after its metadata."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("a/before", bytes(before))
        file.writestr(zipfile.ZipInfo(name), metadata, zipfile.ZIP_DEFLATED)
        file.writestr("a/after", bytes(after))
        for number in range(members):
            file.writestr(f"a/{number:0100}", b"")
    return out.getvalue()


def artifact(body: bytes, sha256: str = "") -> Artifact:
    digest = sha256 or hashlib.sha256(body).hexdigest()
    return Artifact(Kind.PYPI, "a", "", "1.0", "a-1.0-py3-none-any.whl", digest, len(body), "python-remote")


def test_damage_is_damage() -> None:
    assert archive() != archive().replace(zlib.compress(METADATA)[2:12], b"?" * 10)


class Served:
    """A server of one file that counts what it gave."""

    def __init__(self, body: bytes, *, ranges: bool = True) -> None:
        self.body, self.ranges = body, ranges
        self.sent = 0

    async def answer(self, request: web.Request) -> web.Response:
        part = request.http_range
        if not self.ranges or part.start is None:
            self.sent += len(self.body)
            return web.Response(body=self.body)
        data = self.body[part]
        self.sent += len(data)
        return web.Response(status=206, body=data)


Handler = Callable[[web.Request], Awaitable[web.Response]]


def read(served: Handler, wanted: Artifact, cloud: Counterpart, path: str = "/a.whl") -> bytes | None:
    with serving([web.get("/a.whl", served)]) as url:
        return as_sync(lambda google: wheels.metadata(google, url + path, wanted))


@pytest.mark.parametrize(
    ("before", "after", "members", "most"),
    [
        (0, 0, 0, 64 << 10),
        (5 << 20, 0, 0, 64 << 10),  # as wheels are
        (5 << 20, 5 << 20, 0, 200 << 10),  # in the middle
        (5 << 20, 0, 2000, 800 << 10),  # a directory larger than the first part
    ],
)
def test_a_part_is_enough(cloud: Counterpart, before: int, after: int, members: int, most: int) -> None:
    body = archive(before=before, after=after, members=members)
    served = Served(body)
    assert read(served.answer, artifact(body), cloud) == METADATA
    assert served.sent <= most


@pytest.mark.parametrize("before", [1000, 100_000])
def test_without_ranges_the_whole_is_read_and_compared(cloud: Counterpart, before: int) -> None:
    body = archive(before=before)
    assert read(Served(body, ranges=False).answer, artifact(body), cloud) == METADATA
    with pytest.raises(RefusedError, match=r"serves sha256:\w+ where its index says sha256:0000"):
        read(Served(body, ranges=False).answer, artifact(body, "0" * 64), cloud)


def test_one_part_that_is_all_of_it_is_compared(cloud: Counterpart) -> None:
    body = archive()
    with pytest.raises(RefusedError, match=r"serves sha256:\w+ where its index says sha256:0000"):
        read(Served(body).answer, artifact(body, "0" * 64), cloud)


def test_without_ranges_a_huge_one_is_left(cloud: Counterpart, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "_WHOLE", 100)
    body = archive(before=100_000)
    assert read(Served(body, ranges=False).answer, artifact(body), cloud) is None


def test_a_range_that_is_another_one_is_an_error(cloud: Counterpart) -> None:
    async def short(_: web.Request) -> web.Response:
        return web.Response(status=206, body=b"x")

    body = archive()
    with pytest.raises(TransferError, match="with another one"):
        read(short, artifact(body), cloud)


def test_a_file_that_is_not_there_is_an_error(cloud: Counterpart) -> None:
    body = archive()
    with pytest.raises(TransferError, match="404"):
        read(Served(body).answer, artifact(body), cloud, "/b.whl")


def test_metadata_that_unpack_to_more_than_is_read_are_left(
    cloud: Counterpart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheel_parts, "_METADATA", 1000)
    body = archive(metadata=METADATA + b"x" * 100_000)
    assert read(Served(body).answer, artifact(body), cloud) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no archive",
        b"PK\x05\x06" + bytes(18),
        b"PK\x05\x06" + b"\xff" * 18,
        archive(name="a/METADATA"),
        archive(name="x/a-1.0.dist-info/METADATA"),
        archive()[:-30],
        archive().replace(zlib.compress(METADATA)[2:12], b"?" * 10),
    ],
)
def test_what_is_no_wheel_tells_nothing(cloud: Counterpart, body: bytes) -> None:
    assert read(Served(body).answer, artifact(body), cloud) is None


def test_two_metadata_tell_nothing(cloud: Counterpart) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr(NAME, METADATA)
        file.writestr("b-1.0.dist-info/METADATA", METADATA)
    assert read(Served(out.getvalue()).answer, artifact(out.getvalue()), cloud) is None
