"""The wheels of a release as a lock file of PEP 751, which also says what the release was made for.

See https://packaging.python.org/en/latest/specifications/pylock-toml/
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from packaging.pylock import Pylock

from dmz.artifact import Artifact, Kind
from dmz.promotion.entry import Build, Entry

_SPECIFIER: Final = re.compile(r"==(3\.\d+)\.\*")
_PLAIN: Final = re.compile(r"[ !#-\[\]-~]*")
"""Text that stands in TOML as it is: of ASCII all but quotes, backslashes and controls."""


@dataclass(frozen=True)
class Header:
    """What a release says besides its entries."""

    workload: str
    workload_digest: str
    runtime: str
    dpkg_digest: str
    python: str


def _string(text: str) -> str:
    if _PLAIN.fullmatch(text):  # as nearly all are
        return f'"{text}"'
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in escaped) + '"'


def _strings(texts: Iterable[str]) -> str:
    return "[" + ", ".join(map(_string, texts)) + "]"


def render(header: Header, entries: Sequence[Entry]) -> str:
    """The lock file of wheels in this order."""
    lines = [
        'lock-version = "1.0"',
        f"requires-python = {_string(f'=={header.python}.*')}",
        'created-by = "dmz"',
        *(["packages = []"] if not entries else []),
        "",
        "[tool.dmz]",
        f"workload = {_string(header.workload)}",
        f"workload-digest = {_string(header.workload_digest)}",
        f"runtime = {_string(header.runtime)}",
        f"dpkg-digest = {_string(header.dpkg_digest)}",
    ]
    for entry in entries:
        artifact = entry.artifact
        time = (
            f"upload-time = {entry.uploaded.astimezone(UTC).isoformat().replace('+00:00', 'Z')}, "
            if entry.uploaded
            else ""
        )
        wheel = (
            f"path = {_string(f'{Kind.PYPI}/{artifact.name}/{artifact.filename}')}, {time}"
            f"size = {artifact.size}, hashes = {{sha256 = {_string(artifact.sha256)}}}"
        )
        lines += [
            "",
            "[[packages]]",
            f"name = {_string(artifact.name)}",
            f"version = {_string(artifact.version)}",
            f"wheels = [{{{wheel}}}]",
            "",
            "[packages.tool.dmz]",
            f"origin = {_string(artifact.origin)}",
            f"why = {_strings(artifact.why)}",
        ]
        if entry.built:
            lines += [
                "",
                "[packages.tool.dmz.built]",
                f"sdist = {_string(entry.built.sdist)}",
                f"sha256 = {_string(entry.built.sha256)}",
                f"environment = {_string(entry.built.environment)}",
                f"requires = {_strings(entry.built.requires)}",
            ]
    return "\n".join(lines) + "\n"


def read(text: str) -> tuple[Header, list[Entry]]:
    """What a lock file says.

    The form in which they are written is read as such: of ten thousand packages in a tenth of the time that
    TOML takes. Whatever else it may be the TOML reader reads, or says what is wrong with it. Nothing
    rests on this being right: what was read counts only if it is written as what was there.

    Raises:
        ValueError, KeyError, TypeError, RecursionError, PylockValidationError, PylockUnsupportedVersionError:
            it is none of a release.
        InputError: an artifact that it names can't be one.
    """
    return _read_plain(text) or _read_any(text)


_TEXT: Final = r'"([ !#-\[\]-~]*)"'
_TEXTS: Final = r"\[([ -Z^-~]*)\]"
_HEAD: Final = re.compile(
    'lock-version = "1\\.0"\n'
    'requires-python = "==(3\\.[0-9]+)\\.\\*"\n'
    'created-by = "dmz"\n'
    "(?:packages = \\[\\]\n)?\n"
    "\\[tool\\.dmz\\]\n"
    f"workload = {_TEXT}\n"
    f"workload-digest = {_TEXT}\n"
    f"runtime = {_TEXT}\n"
    f"dpkg-digest = {_TEXT}\n"
)
_PACKAGE: Final = re.compile(
    "\n\\[\\[packages\\]\\]\n"
    f"name = {_TEXT}\n"
    f"version = {_TEXT}\n"
    'wheels = \\[{path = "pypi/([^/"\\\\\n]*)/([^/"\\\\\n]*)", '
    "(?:upload-time = ([0-9:.TZ-]+), )?"
    f"size = ([0-9]+), hashes = {{sha256 = {_TEXT}}}}}\\]\n\n"
    "\\[packages\\.tool\\.dmz\\]\n"
    f"origin = {_TEXT}\n"
    f"why = {_TEXTS}\n"
    "(?:\n\\[packages\\.tool\\.dmz\\.built\\]\n"
    f"sdist = {_TEXT}\n"
    f"sha256 = {_TEXT}\n"
    f"environment = {_TEXT}\n"
    f"requires = {_TEXTS}\n)?"
)


def _read_plain(text: str) -> tuple[Header, list[Entry]] | None:
    """What a pylock says, or None if it is not in the form that is written, or needs escapes."""
    head = _HEAD.match(text)
    if not head:
        return None
    python, workload, workload_digest, runtime, dpkg_digest = head.groups()
    entries = []
    at = head.end()
    while at < len(text):
        package = _PACKAGE.match(text, at)
        if not package or package[1] != package[3]:
            return None
        entries.append(_plain_wheel(*package.groups()))
        at = package.end()
    return Header(workload, workload_digest, runtime, dpkg_digest, python), entries


def _plain_wheel(
    name: str,
    version: str,
    _folder: str,
    filename: str,
    uploaded: str | None,
    size: str,
    sha256: str,
    origin: str,
    why: str,
    sdist: str | None,
    sdist_sha256: str,
    environment: str,
    requires: str,
) -> Entry:
    artifact = Artifact(Kind.PYPI, name, "", version, filename, sha256, int(size), origin, _plain_texts(why))
    return Entry(
        artifact,
        uploaded=datetime.fromisoformat(uploaded) if uploaded else None,
        built=Build(sdist, sdist_sha256, environment, _plain_texts(requires)) if sdist is not None else None,
    )


def _plain_texts(text: str) -> tuple[str, ...]:
    return tuple(text[1:-1].split('", "')) if text else ()


def _read_any(text: str) -> tuple[Header, list[Entry]]:
    document = tomllib.loads(text)
    Pylock.from_dict(document)
    python = _SPECIFIER.fullmatch(document["requires-python"])
    if not python:
        raise ValueError("requires-python names no one Python")
    own = document["tool"]["dmz"]
    said = [own[key] for key in ("workload", "workload-digest", "runtime", "dpkg-digest")]
    if not all(isinstance(each, str) for each in said):
        raise ValueError("something below tool.dmz is no text")
    workload, workload_digest, runtime, dpkg_digest = said
    return Header(workload, workload_digest, runtime, dpkg_digest, python[1]), [
        _wheel(package) for package in document["packages"]
    ]


def _wheel(package: Mapping[str, Any]) -> Entry:
    name, version = package["name"], package["version"]
    [wheel] = package["wheels"]
    kind, folder, filename = f"{wheel['path']}//".split("/", 2)
    filename = filename.removesuffix("//")
    if kind != Kind.PYPI or folder != name:
        raise ValueError(f"path '{wheel['path']}' would leave its folder")
    uploaded = wheel.get("upload-time")
    if not isinstance(uploaded, datetime | None):
        raise ValueError("upload-time is no time")
    own = package["tool"]["dmz"]
    return Entry(
        Artifact(
            kind=Kind.PYPI,
            name=name,
            architecture="",
            version=version,
            filename=filename,
            sha256=wheel["hashes"]["sha256"],
            size=wheel["size"],
            origin=own["origin"],
            why=tuple(own["why"]),
        ),
        uploaded=uploaded,
        built=_build(own["built"]) if "built" in own else None,
    )


def _build(table: Mapping[str, Any]) -> Build:
    said = Build(table["sdist"], table["sha256"], table["environment"], tuple(table["requires"]))
    if not all(isinstance(text, str) for text in (said.sdist, said.sha256, said.environment, *said.requires)):
        raise ValueError("the table 'built' has what is no text")
    return said
