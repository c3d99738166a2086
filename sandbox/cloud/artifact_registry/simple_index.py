"""The simple repository API (PEP 503, 592, 691): pages that pip and uv read."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import quote, unquote, urldefrag, urljoin, urlsplit

from packaging.utils import NormalizedName, parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

JSON_TYPE: Final = "application/vnd.pypi.simple.v1+json"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Link:
    """One file on a project's page."""

    filename: str
    url: str
    sha256: str
    requires_python: str | None = None
    yanked: str | bool = False
    """The reason, or whether; PEP 592."""
    size: int | None = None
    """Bytes, where the index says."""


def parse_filename(filename: str) -> tuple[NormalizedName, Version]:
    """Project and version of a wheel or source distribution.

    Raises:
        ValueError: it is neither, or its name would leave its folder.
    """
    if (
        not filename
        or filename != filename.strip()
        or any(c in filename for c in "/\\\0")
        or filename[0] == "."
    ):
        raise ValueError(f"'{filename}' is no plain file name")
    if any(ord(c) < 33 or ord(c) > 126 for c in filename):
        raise ValueError(f"'{filename}' has characters that no distribution's name has")
    if filename.endswith(".whl"):
        name, version, _, _ = parse_wheel_filename(filename)
    else:
        name, version = parse_sdist_filename(filename)
    return name, version


def parse_page(content_type: str, body: bytes, url: str) -> list[Link]:
    """The files on an upstream's page, JSON or HTML.

    Files without a SHA-256 are left out, for nothing could be checked against it; so is what is neither a
    wheel nor a source distribution (`.tar.gz`, `.zip`).
    """
    links = _parse_json(body, url) if content_type == JSON_TYPE else _parse_html(body, url)
    return [link for link in links if _usable(link)]


def render_page(name: str, links: Iterable[Link]) -> str:
    """A project's page, as PEP 503 has it; file addresses are relative to `PROJECT/REPO/simple/NAME/`."""
    lines = [_anchor(link, f"../../{quote(name)}/{quote(link.filename)}") for link in links]
    return _document(f"Links for {name}", lines)


def render_root(names: Iterable[str]) -> str:
    """The list of all projects."""
    return _document("Simple index", [f'<a href="{quote(name)}/">{html.escape(name)}</a>' for name in names])


def render_json(name: str, links: Iterable[Link]) -> str:
    """A project's page in JSON (PEP 691)."""
    files = []
    for link in links:
        file: dict[str, Any] = {
            "filename": link.filename,
            "url": f"../../{quote(name)}/{quote(link.filename)}",
            "hashes": {"sha256": link.sha256},
        }
        if link.requires_python:
            file["requires-python"] = link.requires_python
        if link.yanked is not False:
            file["yanked"] = link.yanked
        files.append(file)
    return json.dumps({"meta": {"api-version": "1.0"}, "name": name, "files": files})


def _anchor(link: Link, address: str) -> str:
    attributes = f'href="{address}#sha256={link.sha256}"'
    if link.requires_python:
        attributes += f' data-requires-python="{html.escape(link.requires_python)}"'
    if link.yanked is not False:
        reason = link.yanked if isinstance(link.yanked, str) else ""
        attributes += f' data-yanked="{html.escape(reason)}"'
    return f"<a {attributes}>{html.escape(link.filename)}</a><br/>"


def _document(title: str, lines: list[str]) -> str:
    shown = html.escape(title)
    head = f"<!DOCTYPE html>\n<html>\n<head><title>{shown}</title></head>\n<body>\n<h1>{shown}</h1>\n"
    return head + "".join(line + "\n" for line in lines) + "</body>\n</html>\n"


def _usable(link: Link) -> bool:
    plain = "/" not in link.filename and "\\" not in link.filename and not link.filename.startswith(".")
    known = link.filename.endswith((".whl", ".tar.gz", ".zip"))
    return plain and known and _SHA256.fullmatch(link.sha256) is not None


def _parse_json(body: bytes, url: str) -> list[Link]:
    return [
        Link(
            filename=str(file["filename"]),
            url=_absolute(url, str(file["url"])),
            sha256=str(file.get("hashes", {}).get("sha256", "")).lower(),
            requires_python=file.get("requires-python") or None,
            yanked=file.get("yanked", False),
            size=file.get("size"),
        )
        for file in json.loads(body)["files"]
    ]


def _absolute(base: str, address: str) -> str:
    # Pages have thousands of addresses, nearly all of them absolute, and joining is slow.
    return address if address.startswith(("https://", "http://")) else urljoin(base, address)


def _parse_html(body: bytes, url: str) -> list[Link]:
    parser = _Anchors()
    parser.feed(body.decode(errors="replace"))
    links = []
    for attributes in parser.anchors:
        address, fragment = urldefrag(urljoin(url, attributes.get("href") or ""))
        algorithm, _, digest = fragment.partition("=")
        links.append(
            Link(
                filename=unquote(urlsplit(address).path.rpartition("/")[2]),
                url=address,
                sha256=digest.lower() if algorithm == "sha256" else "",
                requires_python=attributes.get("data-requires-python") or None,
                yanked=(attributes["data-yanked"] or True) if "data-yanked" in attributes else False,
            )
        )
    return links


class _Anchors(HTMLParser):
    """Collects the attributes of all anchors; HTMLParser has undone the escaping."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.anchors.append(dict(attrs))
