"""What a copy costs that checks nothing: aiohttp's client, from its download straight into its upload.

A process of its own. As many connections as the copy that it is compared with has at most, the largest file
first, no hash, no look at what came, no second try. It prints the seconds from its first request to its last
answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import aiohttp

from bench.material import ORIGIN, read
from dmz.artifact import Artifact

_BOUNDARY: Final = "plain"


async def main(file: str, repository: str, connections: str) -> None:
    """Copy the artifacts of a file into a repository."""
    base = os.environ["DMZ_PYTHON_REPOSITORY_ENDPOINT"]
    auth = aiohttp.BasicAuth("oauth2accesstoken", os.environ["GOOGLE_OAUTH_ACCESS_TOKEN"])
    waiting = iter(sorted(read(Path(file)), key=lambda each: -each.size))
    started = time.perf_counter()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, auth=auth, read_bufsize=1 << 18) as session:

        async def work() -> None:
            for each in waiting:
                url = f"{base}p/{ORIGIN}/{each.name}/{each.filename}"
                async with session.get(url, raise_for_status=True) as source:
                    head, tail = _frame(each)
                    async with session.post(
                        f"{base}p/{repository}/",
                        data=_body(head, source.content.iter_any(), tail),
                        headers={
                            "Content-Type": f"multipart/form-data; boundary={_BOUNDARY}",
                            "Content-Length": str(len(head) + each.size + len(tail)),
                        },
                        raise_for_status=True,
                    ) as answer:
                        await answer.read()

        await asyncio.gather(*(work() for _ in range(int(connections))))
    print(json.dumps({"seconds": time.perf_counter() - started}))


def _frame(each: Artifact) -> tuple[bytes, bytes]:
    """What stands before the bytes and after them in the upload form; the digest is the one that is known."""
    fields = {
        ":action": "file_upload",
        "protocol_version": "1",
        "metadata_version": "2.1",
        "name": each.name,
        "version": each.version,
        "filetype": "bdist_wheel",
        "pyversion": "py3",
        "sha256_digest": each.sha256,
    }
    head = "".join(
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    head += (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="content"; filename="{each.filename}"\r\n\r\n'
    )
    return head.encode(), f"\r\n--{_BOUNDARY}--\r\n".encode()


async def _body(head: bytes, chunks: AsyncIterator[bytes], tail: bytes) -> AsyncIterator[bytes]:
    yield head
    async for chunk in chunks:
        yield chunk
    yield tail


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
