"""Request bodies that frame one streamed file: package indexes' upload form and Google's media uploads."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dmz.errors import TransferError


@dataclass(frozen=True)
class Frame:
    """What goes before and after the file's bytes."""

    content_type: str
    """The request's Content-Type."""
    head: bytes
    tail: bytes

    def length(self, size: int) -> int:
        """Bytes of the whole body around a file of `size` bytes."""
        return len(self.head) + size + len(self.tail)

    def around(self, chunks: Iterator[bytes], size: int, what: str) -> Iterator[bytes]:
        """The body around `chunks`; its last bytes come only after `chunks` ended well at `size` bytes.

        Raises:
            TransferError: the file is shorter or longer. What `chunks` raises passes through.
        """
        yield self.head
        seen = 0
        for chunk in chunks:
            seen += len(chunk)
            if seen > size:
                break
            yield chunk
        if seen != size:
            arrived = f"more than {size}" if seen > size else f"only {seen}"
            raise TransferError(
                f"{what}: {arrived} bytes arrived where {size} are approved; nothing was stored, run again"
            )
        yield self.tail


def form(fields: Mapping[str, str], field: str, filename: str) -> Frame:
    """A `multipart/form-data` body (RFC 7578) whose last field `field` is the file."""
    boundary = secrets.token_hex(16)
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{_quoted(filename)}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return Frame(
        f"multipart/form-data; boundary={boundary}",
        "".join(parts).encode(),
        f"\r\n--{boundary}--\r\n".encode(),
    )


def related(metadata: Mapping[str, object], media_type: str) -> Frame:
    """A `multipart/related` body: metadata as JSON, then the media.

    See https://cloud.google.com/storage/docs/json_api/v1/how-tos/multipart-upload
    """
    boundary = secrets.token_hex(16)
    head = (
        f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{json.dumps(metadata)}\r\n"
        f"--{boundary}\r\nContent-Type: {media_type}\r\n\r\n"
    )
    return Frame(f"multipart/related; boundary={boundary}", head.encode(), f"\r\n--{boundary}--\r\n".encode())


def _quoted(filename: str) -> str:
    return filename.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
