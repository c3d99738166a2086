"""Wheels for sdists: looked up, or built in isolation, once for each sdist and base image.

Resolving and installing take wheels alone. Where pip finds none, the sdist is built where it reaches nothing:
its build requirements are fetched first, as wheels, and are all that it can install. Wheel and provenance go
into a bucket that this machine can read and create in, the provenance last: it makes the build one. Whoever
comes later finds it and takes it. Publishing is for another identity, after it has compared the hashes with
upstream's.

Formats: PEP 517; https://slsa.dev/spec/v1.0/provenance in https://in-toto.io/Statement/v1
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import urllib.error
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import python, storage
from .command import StepError
from .isolation import Folder
from .log import now, say

_FOLDER = Path("/opt/dmz/builds")
_TYPE = "urn:package-dmz:wheel-from-sdist:1"
_ROUNDS = 100
"""How many wheels may be missing one after the other."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*[\w \t\[\],.<>=!~*+();'\"-]*")
"""A requirement by name (PEP 508): no address, and nothing that pip could take for an option."""
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+!-]*")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Place:
    """Where everything is."""

    python: str
    """The interpreter whose pip is used; nothing foreign is installed for it yet."""
    location: str
    project: str
    repository: str
    """The remote repository."""
    bucket: str
    """Of the builds."""
    machine: str
    image: Mapping[str, str]
    """What the agent knows of the base image."""

    @property
    def simple(self) -> str:
        """The remote repository's index."""
        return python.index(self.location, self.project, self.repository)


def install(
    place: Place, requirements: Sequence[str], wheels: Path
) -> tuple[list[Mapping[str, Any]], dict[str, str]]:
    """Install requirements from wheels, those that have to be built among them.

    Args:
        wheels: the folder for those, made anew.

    Returns:
        The `install` list of pip's report; and for each wheel that was built, its sdist's SHA-256.

    Raises:
        StepError: pip found nothing that fits together, or a build failed.
    """
    shutil.rmtree(wheels, ignore_errors=True)
    wheels.mkdir(parents=True)
    built: dict[str, str] = {}
    for _ in range(_ROUNDS):
        try:
            items = python.install_reported(place.python, requirements, place.location, place.simple, wheels)
            return items, built
        except python.MissingError as missing:
            # Of a name that is wanted in several ways, the first is the newest's wish; the next round shows.
            new = {
                sdist[0]: sdist
                for text in reversed(missing.wanted)
                if (sdist := _sdist(place, text)) and sdist[2] not in built.values()
            }
            if not new:
                raise
            for name, filename, digest in new.values():
                built[_wheel(place, name, filename, digest, wheels)] = digest
    raise StepError(f"{_ROUNDS} distributions without a wheel, one after the other: given up")


def environment(dpkg_digest: str, version: str, requires: Mapping[str, str]) -> str:
    """What a build could see, as one SHA-256; `requires` has file names and their SHA-256."""
    lines = [f"dpkg {dpkg_digest}\n", f"python {version}\n"]
    lines += sorted(f"{digest}  {name}\n" for name, digest in requires.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _sdist(place: Place, requirement: str) -> tuple[str, str, str] | None:
    """Name, file name and SHA-256 of what has to be built for a requirement; None if nothing has."""
    match = _NAME.match(requirement.strip())
    if not match:
        return None
    name = python.normalised(match.group())
    page = python.page(place.location, place.project, place.repository, name)
    chosen = python.choose_sdist(place.python, page, requirement) if page else None
    return (name, chosen["filename"], chosen["sha256"]) if chosen else None


def _wheel(place: Place, name: str, filename: str, digest: str, into: Path) -> str:
    """The file name of the wheel for an sdist, which is then in a folder."""
    if not _PLAIN.fullmatch(filename):
        raise StepError(f"{filename[:200]!r} is no plain file name: not built")
    prefix = f"builds/{digest}/{place.image['dpkg_digest']}"
    kept = storage.read(place.bucket, f"{prefix}/provenance.json")
    if kept is not None:
        return _reuse(place, prefix, kept, into)
    say(f"building {filename} in isolation")
    provenance, wheel = _build(place, name, filename, digest, into)
    made = storage.sha256(wheel)
    with wheel.open("rb") as body:
        storage.create(place.bucket, f"{prefix}/{made}/{wheel.name}", body.read())
    if storage.create_json(place.bucket, f"{prefix}/provenance.json", provenance):
        return wheel.name
    # Another machine was first; there is one wheel for an sdist and an image.
    wheel.unlink()
    return _reuse(place, prefix, storage.read(place.bucket, f"{prefix}/provenance.json") or b"", into)


def _reuse(place: Place, prefix: str, kept: bytes, into: Path) -> str:
    where = f"gs://{place.bucket}/{prefix}"
    try:
        [subject] = json.loads(kept)["subject"]
        name, digest = str(subject["name"]), str(subject["digest"]["sha256"])
    except (ValueError, KeyError, TypeError):
        raise StepError(f"{where}/provenance.json cannot be read: delete it") from None
    if not _PLAIN.fullmatch(name) or not _DIGEST.fullmatch(digest):
        raise StepError(f"{where}/provenance.json is about {name[:200]!r}, which is no wheel: delete it")
    try:
        found = storage.download(place.bucket, f"{prefix}/{digest}/{name}", into / name)
    except urllib.error.HTTPError as error:
        raise StepError(f"{where}/{digest}/{name} cannot be read ({error}): delete its provenance") from None
    if found != digest:
        raise StepError(f"{where}/{digest}/{name} is not what its provenance says: delete both")
    say(f"taking {name}, which was built before")
    return name


def _build(place: Place, name: str, filename: str, digest: str, into: Path) -> tuple[dict[str, Any], Path]:
    what = f"{filename} could not be built in isolation"
    folder = Folder(_FOLDER / digest)
    sdist, wheels, driver = folder.inputs / filename, folder.inputs / "wheels", folder.inputs / "backend.py"
    python.fetch(place.location, place.project, place.repository, name, filename, sdist)
    if storage.sha256(sdist) != digest:
        raise StepError(f"{filename} has SHA-256 {storage.sha256(sdist)}, the index says {digest}: not built")
    shutil.copy(Path(__file__).with_name("backend.py"), driver)
    inside = ["venv/bin/python", f"../in/{driver.name}"]
    folder.run(what, ["python3", "-I", "-m", "venv", "venv"], _ENV)

    folder.run(what, [*inside, "unpack", f"../in/{filename}"], _ENV)
    wanted = _requirements(filename, folder.answer())
    _fetch(place, wanted, wheels)
    _provide(folder, what, wanted)
    folder.run(what, [*inside, "requires"], _ENV)
    if more := [each for each in _requirements(filename, folder.answer()) if each not in wanted]:
        wanted += more
        _fetch(place, wanted, wheels)
        _provide(folder, what, wanted)

    requires = {path.name: storage.sha256(path) for path in sorted(wheels.iterdir())}
    seen = environment(place.image["dpkg_digest"], place.image["python"], requires)
    # A number of its own for each environment: other bytes never come under the same name.
    folder.run(what, [*inside, "wheel", f"1d{seen[:12]}"], _ENV)
    made = str(folder.answer())
    if not _PLAIN.fullmatch(made) or not made.endswith(".whl"):
        raise StepError(f"{what}: it made {made[:200]!r}, which is no wheel")
    folder.take(made, into / made)
    folder.remove()
    return _provenance(place, filename, digest, into / made, requires), into / made


_ENV = {
    "HOME": "/mnt/space",
    "TMPDIR": "/mnt/space",
    "USER": "nobody",
    "LOGNAME": "nobody",
    # For builds that come out the same each time (https://reproducible-builds.org/specs/source-date-epoch/).
    "SOURCE_DATE_EPOCH": "315532800",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PIP_CONFIG_FILE": "/dev/null",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "PIP_NO_INDEX": "1",
    "PIP_NO_CACHE_DIR": "1",
    "PIP_ONLY_BINARY": ":all:",
    "PIP_FIND_LINKS": "/mnt/in/wheels",
}


def _requirements(filename: str, said: object) -> list[str]:
    """Build requirements, if they are by name: foreign text goes on pip's command line here, outside."""
    found = said if isinstance(said, list) else [said]
    for text in found:
        if not isinstance(text, str) or not _REQUIREMENT.fullmatch(text):
            raise StepError(
                f"{filename} wants {str(text)[:200]!r} to be built, which is no name with versions"
            )
    return list(found)


def _fetch(place: Place, wanted: Sequence[str], into: Path) -> None:
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir()
    if wanted:
        python.download(place.python, wanted, place.location, place.simple, into)


def _provide(folder: Folder, what: str, wanted: Sequence[str]) -> None:
    if wanted:
        folder.run(what, ["venv/bin/python", "-I", "-m", "pip", "install", "-q", "--", *wanted], _ENV)


def _provenance(
    place: Place, sdist: str, digest: str, wheel: Path, requires: Mapping[str, str]
) -> dict[str, Any]:
    def file(name: str, sha256: str) -> dict[str, Any]:
        return {"name": name, "digest": {"sha256": sha256}}

    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [file(wheel.name, storage.sha256(wheel))],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": _TYPE,
                "externalParameters": {"sdist": sdist},
                "internalParameters": {
                    "runtime": place.image["runtime"],
                    "dpkgDigest": place.image["dpkg_digest"],
                    "python": place.image["python"],
                    "architecture": place.image["architecture"],
                },
                "resolvedDependencies": [
                    file(sdist, digest),
                    *(file(name, sha256) for name, sha256 in sorted(requires.items())),
                ],
            },
            "runDetails": {
                "builder": {"id": f"urn:package-dmz:machine:{place.machine}"},
                "metadata": {"finishedOn": now()},
            },
        },
    }
