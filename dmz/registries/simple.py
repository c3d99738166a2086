"""The simple repository API, as far as facts about files are in it.

PEP 503, 592, 658, 691, 700, 714, 740 and 792; see
https://packaging.python.org/specifications/simple-repository-api/
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

from packaging.version import Version

from dmz.errors import TransferError

ACCEPT: Final = (
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
)
"""Both forms of the simple API, JSON preferred (PEP 691)."""


# A page may have thousands of links, for which the standard library's parser takes seconds.
_ANCHOR: Final = re.compile(
    r"""<a((?:\s+[^\s"'>=]+(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'>]+))?)*)\s*>""", re.IGNORECASE
)
_PLAIN: Final = re.compile(r"[!-.0-\[\]-~]{1,255}")
"""What can be a distribution's file name; what an index calls otherwise is no file of a project."""
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_STATUS_SINCE: Final = Version("1.4")
_ATTRIBUTE: Final = re.compile(r"""([^\s"'>=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?""")


@dataclass(frozen=True)
class IndexFile:
    """One file that an index offers (https://packaging.python.org/specifications/simple-repository-api/)."""

    filename: str
    sha256: str
    """Empty where the index does not say."""
    size: int | None
    """Bytes; None where the index does not say."""
    uploaded: str | None
    """RFC 3339 (PEP 700); None where the index does not say."""
    yanked: bool
    """Whether its publisher took it back (PEP 592)."""
    reason: str = ""
    """Why it was taken back, as far as the publisher says."""
    address: str = ""
    """Where to fetch it, as the page says: often relative to the page."""
    metadata: str = ""
    """SHA-256 of its core metadata, which stand at its address and `.metadata` (PEP 658, 714); empty where
    the index announces none."""
    provenance: str = ""
    """Where its provenance stands (PEP 740); empty where the index announces none."""

    @property
    def moment(self) -> datetime | None:
        """When it was uploaded, UTC; None where the index does not say, or not so that it can be read."""
        try:
            found = datetime.fromisoformat(self.uploaded or "")
            return found.astimezone(UTC) if found.utcoffset() is not None else None
        except (ValueError, OverflowError):
            return None


@dataclass(frozen=True)
class Page:
    """What an index says of one project."""

    files: tuple[IndexFile, ...] = ()
    status: str | None = None
    """PEP 792: `active`, `archived`, `quarantined`, `deprecated`; None where the index does not know it."""


def parse_simple(content_type: str, text: str) -> list[IndexFile]:
    """The files of one page of the simple API, in its JSON or HTML form."""
    return list(parse_page(content_type, text).files)


def parse_page(content_type: str, text: str) -> Page:
    """One page of the simple API, in its JSON or HTML form. What is no file of a project is left out.

    Raises:
        TransferError: it is no such page, or it offers one file name with two contents.
    """
    if "json" in content_type:
        page = _json_page(text)
    else:
        files = [file for anchor in _ANCHOR.finditer(text) if (file := _from_anchor(anchor[1]))]
        page = Page(tuple(files))
    digests: dict[str, str] = {}
    for file in page.files:
        if file.sha256 and digests.setdefault(file.filename, file.sha256) != file.sha256:
            raise TransferError(
                f"{file.filename} is offered with two contents, sha256:{digests[file.filename]} and "
                f"sha256:{file.sha256}; ask who runs the index"
            )
    return page


def _json_page(text: str) -> Page:
    try:
        document = json.loads(text)
        files = [file for item in document["files"] if (file := _from_json(item))]
        meta, status = document.get("meta"), document.get("project-status")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise TransferError("the index's page is no page of the simple API; check what it is") from None
    said = status.get("status") if isinstance(status, dict) else None
    if not isinstance(said, str):
        # "active" goes without saying in an index that knows the word (PEP 792, API version 1.4).
        said = "active" if isinstance(meta, dict) and _knows_status(meta.get("api-version")) else None
    return Page(tuple(files), said)


def _knows_status(version: object) -> bool:
    try:
        return isinstance(version, str) and Version(version) >= _STATUS_SINCE
    except ValueError:  # too many digits raise one of their own
        return False


def _from_json(file: Mapping[str, Any]) -> IndexFile | None:
    filename, hashes, yanked = file.get("filename"), file.get("hashes"), file.get("yanked")
    if not isinstance(filename, str) or not _PLAIN.fullmatch(filename):
        return None
    # PEP 714 renamed the key; both are in use.
    metadata = file.get("core-metadata", file.get("dist-info-metadata"))
    size = file.get("size")
    return IndexFile(
        filename,
        _sha256(hashes),
        size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None,
        _text(file.get("upload-time")) or None,
        yanked is True or isinstance(yanked, str),
        _text(yanked),
        _text(file.get("url")),
        _sha256(metadata),
        _text(file.get("provenance")),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _sha256(hashes: object) -> str:
    digest = _text(hashes.get("sha256")).lower() if isinstance(hashes, dict) else ""
    return digest if _SHA256.fullmatch(digest) else ""


def _from_anchor(attributes: str) -> IndexFile | None:
    fields = {
        match[1].lower(): html.unescape(match[2] or match[3] or match[4] or "")
        for match in _ATTRIBUTE.finditer(attributes)
    }
    address, _, fragment = fields.get("href", "").partition("#")
    filename = unquote(address.partition("?")[0].rsplit("/", 1)[-1])
    if not _PLAIN.fullmatch(filename):
        return None
    return IndexFile(
        filename,
        _digest(fragment),
        None,
        None,
        "data-yanked" in fields,
        fields.get("data-yanked", ""),
        address,
        _digest(fields.get("data-core-metadata", fields.get("data-dist-info-metadata", ""))),
        fields.get("data-provenance", ""),
    )


def _digest(text: str) -> str:
    algorithm, _, digest = text.partition("=")
    return _sha256({algorithm: digest})
