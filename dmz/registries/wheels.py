"""The core metadata of a wheel, out of the wheel as its repository serves it, without all of its bytes.

What is read so is the word of the repository that serves the approved bytes, and of nobody else. It is not
compared with the approved SHA-256, which is over all of them; that comparison is made when the file is
copied. Where all bytes are read, because they are few or the repository gives no parts, they are compared.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from typing import Final

import httpx

from dmz.artifact import Artifact
from dmz.errors import RefusedError, TransferError
from dmz.registries import wheel_parts
from dmz.registries.failures import failure, unreachable
from dmz.registries.google import Google
from dmz.registries.wheel_parts import NoPartsError
from dmz.threads import in_thread

_WHOLE: Final = 2 << 30
"""Bytes of the largest wheel that is fetched whole where there are no parts."""


async def metadata(google: Google, url: str, artifact: Artifact, *, basic: bool = True) -> bytes | None:
    """The `METADATA` of a wheel; None if it has none that can be read.

    Args:
        url: where its repository serves it.
        basic: whether that takes basic authentication, as repositories do, or a bearer token.

    Raises:
        TransferError: the repository did not answer.
        RefusedError: it sent other bytes than the approved ones.
    """
    if not artifact.size:
        return None
    what = f"{artifact.origin}/{artifact.filename}"
    try:
        return await parts_of(google, url, what, artifact.size, artifact.sha256, basic=basic)
    except NoPartsError:
        return await _whole(google, url, what, artifact, basic=basic)


async def parts_of(
    google: Google, url: str, what: str, size: int, sha256: str, *, basic: bool = True
) -> bytes | None:
    """The same by parts alone, of a wheel of `size` bytes; `what` names it in errors.

    Raises:
        NoPartsError: the repository gives none; nothing of the whole was read.
        TransferError: it did not answer.
        RefusedError: one part is all of it, and of another SHA-256.
    """

    async def read(start: int, stop: int) -> bytes:
        whole = (start, stop) == (0, size)
        data = await _range(google, url, what, start, stop, whole=whole, basic=basic)
        if whole:
            _compare(what, hashlib.sha256(data).hexdigest(), sha256)
        return data

    return await wheel_parts.metadata(read, size)


def _compare(what: str, found: str, sha256: str) -> None:
    if found != sha256:
        raise RefusedError(
            f"{what}: serves sha256:{found} where its index says sha256:{sha256}; find out who changed it "
            "before you go on"
        )


async def _range(
    google: Google, url: str, what: str, start: int, stop: int, *, whole: bool, basic: bool
) -> bytes:
    """These bytes of a file (RFC 9110, section 14), which are all (`whole`) or a part."""
    headers = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
    try:
        async with google.client.stream(
            "GET",
            url,
            auth=google.basic if basic else google.bearer,
            headers=headers,
            follow_redirects=True,
        ) as response:
            if response.status_code == 200 and not whole:
                raise NoPartsError
            if response.status_code not in {200, 206}:
                await response.aread()
                raise failure(what, response)
            data = bytearray()
            async for chunk in response.aiter_raw():
                data += chunk
                if len(data) > stop - start:
                    break
    except httpx.RequestError as error:
        raise unreachable(url, error) from error
    if len(data) != stop - start:
        raise TransferError(f"{what}: answers a range of bytes with another one; run again")
    return bytes(data)


async def _whole(google: Google, url: str, what: str, artifact: Artifact, *, basic: bool) -> bytes | None:
    if artifact.size > _WHOLE:
        return None
    digest = hashlib.sha256()
    with tempfile.TemporaryFile() as file:

        def keep(chunks: Iterator[bytes]) -> None:
            for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)

        async with google.download(url, what, basic=basic) as chunks:
            await in_thread(lambda: keep(chunks))
        _compare(what, digest.hexdigest(), artifact.sha256)
        file.seek(0)
        return wheel_parts.unpack(file)
