"""The lock files of a release: PEP 751 for Python, deb822 stanzas for debs and files, and checksums of both.

Each has exactly one form: rendering what was read gives the same bytes, or the file is refused. So what a
reviewer sees is all that it says.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from packaging.pylock import Pylock, PylockUnsupportedVersionError, PylockValidationError

from dmz.artifact import Artifact, Kind
from dmz.errors import InputError
from dmz.promotion.entry import APT_PREFIX, FILES, Build, Entry
from dmz.promotion.wording import printable

REMEDY: Final = "run `dmz screen` again, or restore it with `git checkout -- releases`"

_SUM: Final = re.compile(r"([0-9a-f]{64})  ([^/\s]+)")
_SOURCE: Final = re.compile(r"(\S+)(?: \((\S+)\))?")
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


def names(workload: str) -> tuple[str, str, str, str]:
    """The four files of a workload's release; the checksums last, whose SHA-256 is the release digest."""
    return (
        f"pylock.{workload}.toml",
        f"apt.{workload}.lock",
        f"files.{workload}.lock",
        f"release.{workload}.sha256",
    )


def render(header: Header, entries: Iterable[Entry]) -> dict[str, bytes]:
    """The four files, by name; the same for the same release, whatever the order of its entries."""
    ordered = sorted(entries, key=lambda entry: entry.artifact)
    of = {kind: [entry for entry in ordered if entry.artifact.kind is kind] for kind in Kind}
    pylock, apt, files, checksums = names(header.workload)
    rendered = {
        pylock: _pylock(header, of[Kind.PYPI]).encode(),
        apt: _stanzas(_apt_stanza(entry) for entry in of[Kind.APT]).encode(),
        files: _stanzas(_file_stanza(entry.artifact) for entry in of[Kind.FILE]).encode(),
    }
    sums = "".join(f"{hashlib.sha256(body).hexdigest()}  {name}\n" for name, body in rendered.items())
    return {**rendered, checksums: sums.encode()}


def parse(workload: str, bodies: Mapping[str, bytes], where: str) -> tuple[Header, list[Entry]]:
    """Read the four files.

    Args:
        bodies: file name → content.
        where: their folder, for messages.

    Raises:
        InputError: one is missing, unreadable, not what the checksums say, or says something that a release
            cannot say: a file name that would leave its folder, one name for two contents.
    """
    *locks, checksums = names(workload)
    for name in (*locks, checksums):
        if name not in bodies:
            raise InputError(f"{where}/{name} is missing; {REMEDY}")
    _check_sums(locks, checksums, bodies, where)
    pylock, apt, files = locks
    header, wheels = _attempt(_read_pylock, bodies[pylock], f"{where}/{pylock}")
    if header.workload != workload:
        raise InputError(f"{where}/{pylock} is of the workload '{header.workload}'; {REMEDY}")
    debs = _attempt(_read_apt, bodies[apt], f"{where}/{apt}")
    others = _attempt(_read_files, bodies[files], f"{where}/{files}")
    entries = [*wheels, *debs, *others]
    check_unique(entries, where)
    for name, body in render(header, entries).items():
        if body != bodies[name]:
            raise InputError(f"{where}/{name} is not as `dmz screen` writes it; {REMEDY}")
    return header, entries


def check_unique(entries: Iterable[Entry], where: str) -> None:
    """Whether every entry can stand in one environment.

    Raises:
        InputError: a file name with two contents, or two versions of one package.
    """
    files: dict[tuple[Kind, str], str] = {}
    packages: set[tuple[Kind, str, str]] = set()
    for entry in entries:
        artifact = entry.artifact
        if files.setdefault((artifact.kind, artifact.filename), artifact.sha256) != artifact.sha256:
            raise InputError(
                f"{where}: the file name '{artifact.filename}' stands for two contents; {REMEDY}"
            )
        package = artifact.kind, artifact.name, artifact.architecture
        if package in packages:
            raise InputError(f"{where}: {artifact.key} stands twice, a machine installs one; {REMEDY}")
        packages.add(package)


Read = TypeVar("Read")


def _attempt(read: Callable[[str], Read], body: bytes, where: str) -> Read:
    try:
        return read(body.decode())
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    except (
        PylockUnsupportedVersionError,
        PylockValidationError,
        ValueError,
        KeyError,
        TypeError,
        RecursionError,
    ) as error:
        reason = f"no {error.args[0]}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{where} is unreadable ({printable(reason)}); {REMEDY}") from None


def _check_sums(locks: Sequence[str], checksums: str, bodies: Mapping[str, bytes], where: str) -> None:
    try:
        lines = bodies[checksums].decode().splitlines()
    except UnicodeDecodeError:
        lines = ["no text"]
    said: dict[str, str] = {}
    for line in lines:
        match = _SUM.fullmatch(line)
        if not match or match[2] in said:
            raise InputError(f"{where}/{checksums} is unreadable ({printable(line, 80)!r}); {REMEDY}")
        said[match[2]] = match[1]
    for name in locks:
        found = hashlib.sha256(bodies[name]).hexdigest()
        if said.get(name) != found:
            raise InputError(
                f"{where}/{name} has SHA-256 {found[:16]}…, {checksums} says "
                f"{said[name][:16] + '…' if name in said else 'nothing of it'}: edited or damaged; {REMEDY}"
            )
    if list(said) != list(locks):
        raise InputError(f"{where}/{checksums} names other files than {', '.join(locks)}; {REMEDY}")


# ---- PEP 751 (https://packaging.python.org/en/latest/specifications/pylock-toml/)


def _string(text: str) -> str:
    if _PLAIN.fullmatch(text):  # as nearly all are
        return f'"{text}"'
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in escaped) + '"'


def _strings(texts: Iterable[str]) -> str:
    return "[" + ", ".join(map(_string, texts)) + "]"


def _pylock(header: Header, entries: Sequence[Entry]) -> str:
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


def _read_pylock(text: str) -> tuple[Header, list[Entry]]:
    """Read a pylock.

    The form in which they are written is read as such: of ten thousand packages in a tenth of the time that
    TOML takes. Whatever else it may be the TOML reader reads, or says what is wrong with it. Nothing
    rests on this being right: `parse` believes what was read only if it is written as what was there.
    """
    return _read_plain_pylock(text) or _read_any_pylock(text)


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


def _read_plain_pylock(text: str) -> tuple[Header, list[Entry]] | None:
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


def _read_any_pylock(text: str) -> tuple[Header, list[Entry]]:
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
        raise InputError(f"path '{printable(wheel['path'])}' would leave its folder; {REMEDY}")
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


# ---- deb822 (deb822(5))


def _stanzas(stanzas: Iterable[Mapping[str, str]]) -> str:
    return "\n".join(
        "".join(f"{key}: {value}\n" if value else f"{key}:\n" for key, value in stanza.items())
        for stanza in stanzas
    )


def _apt_stanza(entry: Entry) -> dict[str, str]:
    artifact = entry.artifact
    other = entry.source_version != artifact.version
    return {
        "Package": artifact.name,
        "Version": artifact.version,
        "Architecture": artifact.architecture,
        "Source": f"{entry.source} ({entry.source_version})" if other else entry.source,
        "Filename": artifact.filename,
        "Size": str(artifact.size),
        "SHA256": artifact.sha256,
        "Suite": artifact.origin.removeprefix(APT_PREFIX),
        "Why": ", ".join(artifact.why),
    }


def _file_stanza(artifact: Artifact) -> dict[str, str]:
    return {
        "File": artifact.filename,
        "Size": str(artifact.size),
        "SHA256": artifact.sha256,
        "Why": ", ".join(artifact.why),
    }


def _paragraphs(text: str) -> list[Mapping[str, str]]:
    """The stanzas, each field on one line; nothing else is ever written."""
    found: list[Mapping[str, str]] = []
    for stanza in text.split("\n\n") if text else []:
        fields: dict[str, str] = {}
        for line in stanza.removesuffix("\n").split("\n"):
            key, colon, value = line.partition(":")
            if not colon:
                raise ValueError(f"'{line}' is no field")
            fields[key] = value.removeprefix(" ")
        found.append(fields)
    return found


def _reasons(text: str) -> tuple[str, ...]:
    return tuple(text.split(", ")) if text else ()


def _read_apt(text: str) -> list[Entry]:
    found = []
    for stanza in _paragraphs(text):
        source = _SOURCE.fullmatch(stanza["Source"])
        if not source:
            raise ValueError(f"no source: {stanza['Source']}")
        artifact = Artifact(
            kind=Kind.APT,
            name=stanza["Package"],
            architecture=stanza["Architecture"],
            version=stanza["Version"],
            filename=stanza["Filename"],
            sha256=stanza["SHA256"],
            size=int(stanza["Size"]),
            origin=APT_PREFIX + stanza["Suite"],
            why=_reasons(stanza["Why"]),
        )
        found.append(Entry(artifact, source[1], source[2] or artifact.version))
    return found


def _read_files(text: str) -> list[Entry]:
    return [
        Entry(
            Artifact(
                kind=Kind.FILE,
                name=stanza["File"],
                architecture="",
                version=stanza["SHA256"],
                filename=stanza["File"],
                sha256=stanza["SHA256"],
                size=int(stanza["Size"]),
                origin=FILES,
                why=_reasons(stanza["Why"]),
            )
        )
        for stanza in _paragraphs(text)
    ]
