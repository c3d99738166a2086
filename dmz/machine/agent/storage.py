"""Cloud Storage by its JSON API: the machine reads releases and creates reports.

Source: https://cloud.google.com/storage/docs/json_api/v1/objects
"""

from __future__ import annotations

import hashlib
import json
import shutil
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from . import metadata

_HOST = "https://storage.googleapis.com"


def _open(request: urllib.request.Request) -> Any:
    request.add_header("Authorization", f"Bearer {metadata.token()}")
    return urllib.request.urlopen(request, timeout=60)  # noqa: S310


def _object(bucket: str, name: str) -> str:
    quoted = urllib.parse.quote(name, safe="")
    return f"{_HOST}/storage/v1/b/{bucket}/o/{quoted}?alt=media"


def read(bucket: str, name: str) -> bytes | None:
    """The object's bytes, or None if there is no such object."""
    try:
        with _open(urllib.request.Request(_object(bucket, name))) as response:  # noqa: S310
            content: bytes = response.read()
            return content
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise


def download(bucket: str, name: str, to: Path) -> str:
    """Stream an object into a file; returns the SHA-256 of what was written."""
    with _open(urllib.request.Request(_object(bucket, name))) as response, to.open("wb") as out:  # noqa: S310
        shutil.copyfileobj(response, out, 1 << 20)
    return sha256(to)


def create(bucket: str, name: str, body: bytes, content_type: str = "application/octet-stream") -> bool:
    """Create an object; False if it exists already, since this identity can only create."""
    query = urllib.parse.urlencode({"uploadType": "media", "name": name, "ifGenerationMatch": "0"})
    request = urllib.request.Request(  # noqa: S310
        f"{_HOST}/upload/storage/v1/b/{bucket}/o?{query}",
        data=body,
        method="POST",
        headers={"Content-Type": content_type},
    )
    try:
        with _open(request):
            return True
    except urllib.error.HTTPError as error:
        if error.code == 412:
            return False
        raise


def create_json(bucket: str, name: str, value: Any) -> bool:
    """Create an object that holds a JSON value."""
    return create(bucket, name, json.dumps(value, indent=1).encode(), "application/json")


def sha256(path: Path) -> str:
    """The file's SHA-256, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while chunk := content.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
