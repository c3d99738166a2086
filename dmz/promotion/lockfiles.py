"""The lock files of a release: PEP 751 for Python, deb822 stanzas for debs and files, and checksums of both.

Each has exactly one form: rendering what was read gives the same bytes, or the file is refused. So what a
reviewer sees is all that it says.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from packaging.pylock import PylockUnsupportedVersionError, PylockValidationError

from dmz.artifact import Artifact, Kind
from dmz.errors import InputError
from dmz.promotion import pylock
from dmz.promotion.entry import APT_PREFIX, FILES, Entry
from dmz.promotion.pylock import Header
from dmz.promotion.wording import printable

REMEDY: Final = "run `dmz screen` again, or restore it with `git checkout -- releases`"

_SUM: Final = re.compile(r"([0-9a-f]{64})  ([^/\s]+)")
_SOURCE: Final = re.compile(r"(\S+)(?: \((\S+)\))?")


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
    python, apt, files, checksums = names(header.workload)
    rendered = {
        python: pylock.render(header, of[Kind.PYPI]).encode(),
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
    python, apt, files = locks
    header, wheels = _attempt(pylock.read, bodies[python], f"{where}/{python}")
    if header.workload != workload:
        raise InputError(f"{where}/{python} is of the workload '{header.workload}'; {REMEDY}")
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
