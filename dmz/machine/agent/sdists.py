"""Which sdist to build for a requirement that no wheel answers; a program of its own, with pip's own rules.

It reads `{"page", "requirement"}` from standard input: a page of the simple index and a requirement.
It prints `{"filename", "sha256"}` of the newest sdist that the requirement and this Python allow, or `null`
where a wheel fits or no sdist does. It runs by the Python that installs, whose pip has what it imports.
"""

from __future__ import annotations

import json
import platform
import sys
import urllib.parse
from html.parser import HTMLParser
from typing import Any

from pip._vendor.packaging.requirements import InvalidRequirement, Requirement
from pip._vendor.packaging.specifiers import InvalidSpecifier, SpecifierSet
from pip._vendor.packaging.tags import sys_tags
from pip._vendor.packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found.append(dict(attrs))


def choose(page: str, text: str) -> dict[str, str] | None:
    """The sdist to build, or None."""
    try:
        specifier = Requirement(text).specifier
    except InvalidRequirement:
        return None
    supported = set(sys_tags())
    links = _Links()
    links.feed(page)
    found: list[tuple[Any, str, str]] = []
    for link in links.found:
        address, _, fragment = (link.get("href") or "").partition("#")
        filename = urllib.parse.unquote(address.rsplit("/", 1)[-1])
        algorithm, _, digest = fragment.partition("=")
        if algorithm != "sha256" or "data-yanked" in link or not _runs(link.get("data-requires-python")):
            continue
        try:
            if filename.endswith(".whl"):
                _, version, _, tags = parse_wheel_filename(filename)
                if tags & supported and specifier.contains(version, prereleases=True):
                    return None
                continue
            _, version = parse_sdist_filename(filename)
        except (InvalidWheelFilename, InvalidSdistFilename, ValueError):
            continue
        if specifier.contains(version, prereleases=True):
            found.append((version, filename, digest))
    if not found:
        return None
    # As pip does: pre-releases only where there is nothing else.
    _, filename, digest = max([each for each in found if not each[0].is_prerelease] or found)
    return {"filename": filename, "sha256": digest}


def _runs(specifier: str | None) -> bool:
    try:
        return SpecifierSet(specifier or "").contains(platform.python_version(), prereleases=True)
    except InvalidSpecifier:
        return True


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    print(json.dumps(choose(asked["page"], asked["requirement"])))
