"""The request log: who called what, and what came of it; never a secret and never a token."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from sandbox.cloud.lines import Lines
from sandbox.cloud.tokens import PATTERN

_LOG: Final = logging.getLogger(__name__)

MASK: Final = "[masked]"
_SECRET: Final = re.compile(
    r"access_?token|id_?token|oauth_?token|refresh_?token|^token$|password|passphrase|secret|private_?key"
    r"|signed_?(blob|jwt)|^assertion$|^key$|^upload_?id$|signature|credential",
    re.IGNORECASE,
)


@dataclass
class Data:
    """What is kept of data that a request moved: an upload's file, or the range of a download."""

    size: int
    """Bytes; of an answer that broke off, those that were handed to the connection."""
    sha256: str
    """64 hexadecimal digits, of these bytes."""


DATA: Final = web.RequestKey("data", Data)
"""Where a handler leaves what is to be logged of the data that it moved."""


@dataclass
class Entry:
    """One request."""

    time: str
    identity: str | None
    host: str
    method: str
    path: str
    query: dict[str, str]
    body: Any
    data: Data | None
    status: int


class RequestLog:
    """Appends one JSON line for each request."""

    def __init__(self, path: Path) -> None:
        """Write to `path`, which is made (0600) when it isn't there."""
        self._lines = Lines(path)

    def write(self, entry: Entry) -> None:
        """Keep one request, with everything secret in it masked."""
        record = asdict(entry)
        record["path"] = masked(entry.path)
        record["query"] = masked(entry.query)
        record["body"] = masked(entry.body)
        try:
            self._lines.append(json.dumps(record, separators=(",", ":")) + "\n")
        except OSError as error:  # what was asked for is answered all the same
            _LOG.warning("%s %s is not in the request log: %s", entry.method, record["path"], error.strerror)

    def close(self) -> None:
        """Close the file."""
        self._lines.close()


def note_data(request: web.BaseRequest, size: int, sha256: str) -> None:
    """For data planes: say how many bytes this request moved and their SHA-256, for the log."""
    request[DATA] = Data(size, sha256)


def masked(value: Any) -> Any:
    """`value` (JSON) with the content of secret fields and anything that looks like a token replaced."""
    if isinstance(value, dict):
        return {key: MASK if _SECRET.search(key) and item else masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    return PATTERN.sub(MASK, value) if isinstance(value, str) else value
