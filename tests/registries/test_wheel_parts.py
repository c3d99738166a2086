"""Reading a wheel by parts tells what the whole tells."""

from __future__ import annotations

import asyncio
import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmz.registries import wheel_parts

NAME = "a-1.0.dist-info/METADATA"


def archive(names: list[tuple[str, int]], *, comment: bytes = b"", before: bytes = b"") -> bytes:
    """An archive with these members, of these sizes."""
    out = io.BytesIO(before)
    out.seek(0, io.SEEK_END)
    with zipfile.ZipFile(out, "a") as file:
        for number, (name, size) in enumerate(names):
            file.writestr(zipfile.ZipInfo(name), bytes([number % 256]) * size)
        file.comment = comment
    return out.getvalue()


def by_parts(body: bytes, end: int = 0) -> tuple[bytes | None, int]:
    """What is found by parts, and the bytes that were read for it; `end`: the bytes known before."""
    read = 0

    async def part(start: int, stop: int) -> bytes:
        nonlocal read
        assert 0 <= start < stop <= len(body)
        read += stop - start
        return body[start:stop]

    return asyncio.run(wheel_parts.metadata(part, len(body), body[len(body) - end :] if end else b"")), read


def whole(body: bytes) -> bytes | None:
    return wheel_parts.unpack(io.BytesIO(body))


MANY = [(f"a/{number:080}.py", 10) for number in range(3000)]


@pytest.mark.parametrize(
    ("body", "most"),
    [
        (archive([("a/data", 9 << 20), (NAME, 99), ("a-1.0.dist-info/RECORD", 99)]), 64 << 10),
        (archive([(NAME, 99), ("a/data", 9 << 20)]), 140 << 10),
        (archive([*MANY, (NAME, 99), ("a-1.0.dist-info/RECORD", 300 << 10)]), 900 << 10),
        (archive([(NAME, 99), *MANY, ("a/data", 9 << 20)]), 900 << 10),
        (archive([("a/data", 1 << 20), (NAME, 200 << 10)]), 500 << 10),
        (archive([("a/data", 1 << 20), (NAME, 99)], comment=b"hello"), 200 << 10),
        (archive([("a/data", 1 << 20), (NAME, 99)], before=b"#!/bin/sh\n"), 200 << 10),
    ],
)
def test_a_few_parts_tell_the_same(body: bytes, most: int) -> None:
    expected = whole(body)
    assert expected is not None
    found, read = by_parts(body)
    assert found == expected
    assert read <= most


def test_an_end_that_is_known_is_not_read_again() -> None:
    body = archive([("a/data", 1 << 20), (NAME, 99)])
    assert by_parts(body, 1 << 10) == (whole(body), 0)
    assert by_parts(body, 10)[0] == whole(body)


@pytest.mark.parametrize(
    "names",
    [
        [("a/METADATA", 9)],
        [(NAME, 9), ("b-1.0.dist-info/METADATA", 9)],
        [(NAME, 9), ("b-1.0.dist-info/METADATA\0.txt", 9)],
        [("deep/a-1.0.dist-info/METADATA", 9)],
    ],
)
def test_what_the_whole_does_not_tell_no_part_does(names: list[tuple[str, int]]) -> None:
    body = archive([("a/data", 1 << 20), *names])
    assert whole(body) is None or "\0" in names[-1][0]
    assert by_parts(body)[0] == whole(body)


def test_a_directory_of_the_long_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    body = archive([("a/data", 1 << 20), (NAME, 99)])
    assert b"PK\6\7" in body
    assert by_parts(body)[0] == whole(body) == b"\1" * 99


ARCHIVE = archive([("a/data", 1000), (NAME, 500), ("a-1.0.dist-info/RECORD", 50)])


@given(st.integers(0, len(ARCHIVE) - 1), st.integers(0, 255), st.integers(0, len(ARCHIVE)))
def test_damage_is_told_as_by_the_whole(place: int, value: int, end: int) -> None:
    body = bytearray(ARCHIVE)
    body[place] = value
    assert by_parts(bytes(body), end)[0] == whole(bytes(body))


@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_are_no_trouble(body: bytes) -> None:
    assert by_parts(body)[0] is None
    assert by_parts(b"PK\5\6" + body)[0] is None
