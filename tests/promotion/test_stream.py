from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmz.artifact import Artifact
from dmz.errors import DmzError, TransferError
from dmz.promotion.stream import UnapprovedError, approved, split
from dmz.threads import in_thread
from tests.promotion.builders import sha, wheel


def stream(*chunks: bytes) -> Iterator[bytes]:
    yield from chunks


def passed(artifact: Artifact, *chunks: bytes) -> tuple[list[bytes], DmzError | None]:
    """What got through, and what was raised at the end."""
    seen: list[bytes] = []
    try:
        for chunk in approved(artifact, stream(*chunks), "python-remote"):
            seen.append(chunk)
    except DmzError as error:
        return seen, error
    return seen, None


@given(chunks=st.lists(st.binary(max_size=5), max_size=6))
def test_approved_bytes_pass_unchanged(chunks: list[bytes]) -> None:
    content = b"".join(chunks)
    seen, error = passed(wheel(content=content), *chunks)
    assert error is None
    assert b"".join(seen) == content


@given(chunks=st.lists(st.binary(max_size=5), max_size=6), approved_content=st.binary(max_size=20))
def test_other_bytes_never_pass_whole(chunks: list[bytes], approved_content: bytes) -> None:
    content = b"".join(chunks)
    if content == approved_content:
        return
    seen, error = passed(wheel(content=approved_content), *chunks)
    assert isinstance(error, TransferError)
    # Fewer bytes may be a connection that broke; a further try may bring the rest.
    assert isinstance(error, UnapprovedError) == (len(content) >= len(approved_content))
    if content:
        assert len(b"".join(seen)) < len(content), "the last bytes were not withheld"
    assert len(b"".join(seen)) <= len(approved_content)


def test_the_refusal_names_the_artifact_and_both_digests() -> None:
    _, error = passed(wheel("jax", content=b"good"), b"evil")
    assert error is not None
    for part in ("pypi/jax", "jax-0.4.1-py3-none-any.whl", "python-remote", sha(b"good"), sha(b"evil")):
        assert part in str(error)


def test_a_right_digest_with_a_wrong_size_is_refused() -> None:
    seen, error = passed(replace(wheel(content=b"good"), size=5), b"good")
    assert isinstance(error, TransferError)
    assert seen == []
    seen, error = passed(replace(wheel(content=b"good"), size=3), b"go", b"od")
    assert isinstance(error, UnapprovedError)
    assert seen == []


class Writer:
    """Takes chunks; may fail after some, or want none."""

    def __init__(self, takes: int | None = None, *, fails: bool = False) -> None:
        self.takes = takes
        self.fails = fails
        self.seen: list[bytes] = []
        self.complete = False

    async def __call__(self, chunks: Iterator[bytes]) -> None:
        await in_thread(lambda: self.read(chunks))

    def read(self, chunks: Iterator[bytes]) -> None:
        if self.takes == 0 and not self.fails:
            return
        for chunk in chunks:
            self.seen.append(chunk)
            if self.takes is not None and len(self.seen) >= self.takes:
                if self.fails:
                    raise TransferError("this writer broke")
                return
        self.complete = True


def broken(*chunks: bytes) -> Iterator[bytes]:
    yield from chunks
    raise TransferError("the stream broke")


@given(chunks=st.lists(st.binary(min_size=1, max_size=3), max_size=20), writers=st.integers(1, 3))
def test_one_reading_serves_every_writer(chunks: list[bytes], writers: int) -> None:
    several = [Writer() for _ in range(writers)]
    asyncio.run(split(stream(*chunks), several))
    assert all(writer.seen == chunks and writer.complete for writer in several)


@given(takes=st.integers(0, 30))
def test_a_writer_that_has_the_file_already_holds_nobody_up(takes: int) -> None:
    chunks = [b"x"] * 20
    early, whole = Writer(takes), Writer()
    asyncio.run(split(stream(*chunks), [early, whole]))
    assert whole.seen == chunks
    assert whole.complete


@pytest.mark.parametrize("takes", [1, 5, 10])
def test_when_one_writer_fails_no_other_gets_the_end(takes: int) -> None:
    good = Writer()
    with pytest.raises(TransferError, match="this writer broke"):
        asyncio.run(split(stream(*[b"x"] * 20), [Writer(takes, fails=True), good]))
    assert not good.complete


def test_when_the_stream_fails_no_writer_gets_the_end() -> None:
    several = [Writer(), Writer()]
    with pytest.raises(TransferError, match="the stream broke"):
        asyncio.run(split(broken(*[b"x"] * 20), several))
    assert not any(writer.complete for writer in several)


def test_no_writer_is_far_ahead_of_another() -> None:
    sent = 0

    def counted() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield b"x"

    class Slow(Writer):
        def read(self, chunks: Iterator[bytes]) -> None:
            for _ in chunks:
                self.seen.append(b"")
                time.sleep(0.001)
                assert sent - len(self.seen) < 10, "more is held than a few chunks"

    asyncio.run(split(counted(), [Slow(), Writer()]))
