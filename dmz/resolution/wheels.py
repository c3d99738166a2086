"""Which wheels a base image takes: its platform, the tags that pip supports there, the best of the files."""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Mapping
from typing import Final

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename
from packaging.version import Version

from dmz.errors import InputError
from dmz.promotion.base_image import BaseImage
from dmz.registries.python import parse_filename
from dmz.registries.simple import IndexFile, parse_simple

_UV_GLIBC: Final = (17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40)
"""Minor versions of glibc that uv's `--python-platform` knows."""
_LEGACY: Final[Mapping[int, str]] = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
"""Names of older platform tags by glibc's minor version (PEP 600)."""
_MACHINES: Final[Mapping[str, str]] = {"amd64": "x86_64", "arm64": "aarch64"}
_REQUIRES_PYTHON: Final = re.compile(r'data-requires-python="([^"]*)"')
_SYSTEMS: Final = ("macosx_", "win32", "win_amd64", "win_arm64", "musllinux_", "ios_", "android_")
"""How the platform tags of other systems begin."""
_KNOWN_MACHINES: Final = ("x86_64", "aarch64", "i686", "ppc64le", "s390x", "armv7l", "riscv64", "armv6l")
"""How the platform tags of Linux end."""


def platform(image: BaseImage) -> str:
    """What uv calls the image's platform, or the nearest older one that it knows.

    Raises:
        InputError: the image's C library is older than any that wheels are made for.
    """
    minor = _glibc(image)
    known = [known for known in _UV_GLIBC if known <= minor]
    if not known:
        raise InputError(f"{image.runtime}: glibc {image.glibc} is too old to resolve for; use 2.17 or later")
    return f"{_MACHINES[image.architecture]}-manylinux_2_{known[-1]}"


def supported_tags(image: BaseImage) -> dict[Tag, int]:
    """The tags of wheels that pip on the image installs, with their rank, the one it prefers first."""
    machine = _MACHINES[image.architecture]
    platforms = []
    for minor in range(_glibc(image), 16 if machine == "aarch64" else 4, -1):
        platforms.append(f"manylinux_2_{minor}_{machine}")
        if minor in _LEGACY:
            platforms.append(f"{_LEGACY[minor]}_{machine}")
    platforms.append(f"linux_{machine}")
    version = tuple(map(int, image.python.split(".")))
    tags = [
        *cpython_tags(version, platforms=platforms),
        *compatible_tags(version, f"cp{version[0]}{version[1]}", platforms),
    ]
    return {tag: place for place, tag in enumerate(tags)}


def environment(image: BaseImage) -> dict[str, str]:
    """What markers are about on the image (https://packaging.python.org/specifications/dependency-specifiers/)."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{image.python}.0",
        "os_name": "posix",
        "platform_machine": _MACHINES[image.architecture],
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{image.python}.0",
        "python_version": image.python,
        "sys_platform": "linux",
    }


def _glibc(image: BaseImage) -> int:
    return int(image.glibc.split(".")[1])


def choose_wheel(files: Collection[IndexFile], version: str, tags: Mapping[Tag, int]) -> IndexFile | None:
    """The wheel of a version that pip installs where `tags` are supported; None if none fits."""
    best: tuple[tuple[int, tuple[int, str]], IndexFile] | None = None
    for file in files:
        parsed = parse_filename(file.filename)
        if not file.filename.endswith(".whl") or parsed is None or Version(parsed[1]) != Version(version):
            continue
        _, _, build, file_tags = parse_wheel_filename(file.filename)
        places = [tags[tag] for tag in file_tags if tag in tags]
        if places:
            # As pip does: the best tag first, then the highest build number.
            key = (-min(places), build or (-1, ""))
            if best is None or key > best[0]:
                best = key, file
    return best[1] if best else None


def for_python(link: str, python: str) -> bool:
    """Whether a link of an HTML page is for this Python, as far as it says (PEP 503)."""
    match = _REQUIRES_PYTHON.search(link)
    try:
        return not match or SpecifierSet(html.unescape(match[1])).contains(python)
    except InvalidSpecifier:
        return True


def without_foreign(text: str, image: BaseImage) -> str:
    """A page in its HTML form without the wheels of other systems and machines, which are most of its links.

    What is left out could not be taken anyway. Wheels for other Pythons stay, so that a resolver can say so.
    """
    others = tuple(machine for machine in _KNOWN_MACHINES if machine != _MACHINES[image.architecture])
    foreign = _Foreign(others)
    links = [
        link
        for link in text.split("<a ")
        if (end := link.find(".whl")) < 0 or not foreign[link[link.rfind("-", 0, end) + 1 : end]]
    ]
    return "<a ".join(links)


class _Foreign(dict[str, bool]):
    """Whether a platform tag is another system's: few tags, on up to ten thousand links of a page."""

    def __init__(self, machines: tuple[str, ...]) -> None:
        super().__init__()
        self._machines = machines

    def __missing__(self, tag: str) -> bool:
        self[tag] = tag.startswith(_SYSTEMS) or tag.endswith(self._machines)
        return self[tag]


def files_of(content_type: str, text: str, part: str) -> list[IndexFile]:
    """The files of a page that have `part` in their name, or all.

    A page has up to ten thousand links; of those in its HTML form, only what names the part is parsed.
    """
    if part and "html" in content_type and (links := _links(text, part)):
        return parse_simple(content_type, "".join(links))
    return parse_simple(content_type, text)


def _links(text: str, part: str) -> list[str]:
    links, place = [], text.find(part)
    while place >= 0:
        end = text.find("<a ", place)
        end = end if end >= 0 else len(text)
        if (begin := text.rfind("<a ", 0, place)) >= 0:
            links.append(text[begin:end])
        place = text.find(part, end)
    return links
