"""Runs inside the isolation, as a program of its own: unpacks an sdist and asks its build backend (PEP 517).

    backend.py unpack SDIST         leaves the static build requirements
    backend.py requires             leaves those that the backend wants besides
    backend.py wheel NUMBER         builds, and leaves the wheel's file name

It begins in the space that it may write, and leaves its answer as `answer.json` there.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib
import io
import json
import os
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

_SPACE = Path.cwd()
_SOURCE = _SPACE / "source"
_LEGACY = {"requires": ["setuptools>=40.8.0"], "build-backend": "setuptools.build_meta:__legacy__"}
"""What a project means that says nothing (PEP 517, "Source trees")."""


def _system() -> dict[str, Any]:
    path = _project() / "pyproject.toml"
    if not path.exists():
        return _LEGACY
    try:
        import tomllib
    except ImportError:  # Python 3.10: pip carries the same parser
        from pip._vendor import tomli as tomllib  # type: ignore[no-redef]
    system = tomllib.loads(path.read_text(encoding="utf-8")).get("build-system", _LEGACY)
    # Without a backend it is the legacy one, with the requirements that the project gives (PEP 518).
    return {"build-backend": _LEGACY["build-backend"], **system}


def _project() -> Path:
    folders = [path for path in _SOURCE.iterdir() if path.is_dir()]
    if len(folders) != 1:
        raise SystemExit(f"the sdist has {len(folders)} folders, one is the form")
    return folders[0]


def _unpack(sdist: str) -> None:
    if sdist.endswith(".zip"):
        with zipfile.ZipFile(sdist) as archive:
            archive.extractall(_SOURCE)  # noqa: S202 - there is nothing else to write to
    else:
        with tarfile.open(sdist) as tar:
            if hasattr(tarfile, "data_filter"):
                tar.extractall(_SOURCE, filter="data")
            else:
                tar.extractall(_SOURCE)  # noqa: S202


def _backend() -> Any:
    system = _system()
    os.chdir(_project())
    sys.path[:0] = [str(_project() / path) for path in system.get("backend-path", [])]
    module, _, attributes = system["build-backend"].partition(":")
    found = importlib.import_module(module)
    for attribute in filter(None, attributes.split(".")):
        found = getattr(found, attribute)
    return found


def _requires() -> list[str]:
    hook = getattr(_backend(), "get_requires_for_build_wheel", None)
    return list(hook({})) if hook else []


def _wheel(number: str) -> str:
    made = _SPACE / "made"
    made.mkdir()
    name = _backend().build_wheel(str(made), {})
    return _numbered(made / name, number)


def _numbered(wheel: Path, number: str) -> str:
    """The same wheel with a build number, which tells it from those that other environments make.

    See https://packaging.python.org/specifications/binary-distribution-format/
    """
    parts = wheel.name[: -len(".whl")].split("-")
    name = "-".join([*parts[:2], number, *parts[-3:]]) + ".whl"
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(_SPACE / name, "w") as new:
        info = next(
            each for each in old.namelist() if each.endswith(".dist-info/WHEEL") and each.count("/") == 1
        )
        record = info[: -len("WHEEL")] + "RECORD"
        lines = [
            line for line in old.read(info).decode().rstrip().splitlines() if not line.startswith("Build:")
        ]
        text = "".join(f"{line}\n" for line in [*lines, f"Build: {number}"]).encode()
        digest = base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=").decode()
        rows = list(csv.reader(io.StringIO(old.read(record).decode())))
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(
            [info, f"sha256={digest}", str(len(text))] if row and row[0] == info else row for row in rows
        )
        for entry in old.infolist():
            changed = {info: text, record: out.getvalue().encode()}
            data = changed[entry.filename] if entry.filename in changed else old.read(entry)
            new.writestr(entry, data)
    return name


def main(task: str, *arguments: str) -> None:
    """Do one of the three things."""
    answer: Any = None
    if task == "unpack":
        _unpack(*arguments)
        answer = _system()["requires"]
    elif task == "requires":
        answer = _requires()
    else:
        answer = _wheel(*arguments)
    (_SPACE / "answer.json").write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
