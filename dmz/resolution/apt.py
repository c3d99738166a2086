"""apt as the machine runs it, but in a folder of its own: it says what it would install, and changes nothing.

It needs no root, no network and no lock of this machine's apt. See apt.conf(5) and apt-get(8), `--simulate`.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dmz.errors import DmzError, RefusedError, TransferError
from dmz.promotion.installed import Installed, status

_DONE: Final = re.compile(
    r"(?P<what>Inst|Remv) (?P<name>[^\s:]+)\S*(?: \[(?P<old>\S+)\])?"
    r"(?: \((?P<new>\S+) .*\[(?P<architecture>\S+)\]\))?"
)
_NOT_FOUND: Final = re.compile(r"E: (?:Unable to locate package|Package '?)\s*([a-z0-9][a-z0-9+.:-]*)")
_UNMET: Final = re.compile(
    r"^ +(?P<name>[a-z0-9][a-z0-9+.:-]*) : (?P<kind>\w[\w-]*): (?P<relation>.*?)"
    r"(?: but (?P<why>.*))?$",
    re.MULTILINE,
)
_IDENTITY: Final = re.compile(rb"^(Package|Version|Architecture): *(\S+)", re.MULTILINE)
_REASON_LENGTH: Final = 400
"""Characters of apt's explanation that are shown."""


class AptMissingError(DmzError):
    """This machine has no apt to ask."""


class AptUnsatisfiableError(RefusedError):
    """apt finds no way to install what is asked for; the message is its reason alone."""


@dataclass(frozen=True, order=True)
class Planned:
    """One package that apt would install, or put in another one's place."""

    name: str
    architecture: str
    version: str
    replaces: str = ""
    """The version that is installed now; empty for a package that is new."""


def available() -> bool:
    """Whether this machine has apt."""
    return shutil.which("apt-get") is not None


async def simulate(
    names: Sequence[str], packages: Iterable[bytes], base: Iterable[Installed], architecture: str
) -> list[Planned]:
    """What apt would install on a machine with `base`, if these packages were all there is.

    Args:
        names: what is asked for, by name.
        packages: stanzas of a `Packages` index.
        architecture: the machine's, as Debian names it.

    Raises:
        AptMissingError: there is no apt here.
        AptUnsatisfiableError: it cannot install them all, or would have to remove something.
    """
    if not available():
        raise AptMissingError(
            "this machine has no apt-get, so nothing shows that the Debian packages can be installed; "
            "run it on Debian or Ubuntu"
        )
    base = list(base)
    with tempfile.TemporaryDirectory(prefix="dmz-apt-") as name:
        folder = Path(name)
        _prepare(folder, b"\n\n".join(_beyond(packages, base)), base, architecture)
        code, said = await _run(folder, "update", "-q")
        if code:
            raise TransferError(f"apt cannot read the index that was made for it: {_line(said)}")
        code, said = await _run(folder, "install", "--simulate", "-q", *names)
    if code:
        raise AptUnsatisfiableError(_reason(said))
    done = [match for line in said.splitlines() if (match := _DONE.match(line))]
    if removed := [match["name"] for match in done if match["what"] == "Remv"]:
        raise AptUnsatisfiableError(f"apt would remove {', '.join(removed)} from the base image")
    return sorted(
        Planned(match["name"], match["architecture"] or "", match["new"] or "", match["old"] or "")
        for match in done
    )


def _beyond(packages: Iterable[bytes], base: Iterable[Installed]) -> list[bytes]:
    """The stanzas of what the image does not have.

    An index says more of a package than is known of the image's: apt would take the same version for another
    one, and put it in the place of what is there.
    """
    there = {(each.name, each.version, each.architecture) for each in base}
    found = []
    for stanza in packages:
        fields = {match[1]: match[2].decode(errors="replace") for match in _IDENTITY.finditer(stanza)}
        key = (fields.get(b"Package"), fields.get(b"Version"), fields.get(b"Architecture"))
        if key not in there:
            found.append(stanza.strip(b"\n"))
    return found


def _prepare(folder: Path, packages: bytes, base: Iterable[Installed], architecture: str) -> None:
    for part in ("lists/partial", "cache/archives/partial", "etc", "repository", "log"):
        (folder / part).mkdir(parents=True)
    (folder / "repository/Packages").write_bytes(packages + b"\n")
    (folder / "status").write_text(status(base), encoding="utf-8")
    # apt takes an empty index for a broken one: where there are no packages, there is no repository either.
    source = f"deb [trusted=yes] file:{folder}/repository ./\n" if packages.strip() else ""
    (folder / "sources.list").write_text(source, encoding="utf-8")
    settings = {
        "Dir::Etc": f"{folder}/etc/",
        "Dir::Etc::main": "/dev/null",
        "Dir::Etc::parts": "/dev/null",
        "Dir::Etc::sourcelist": f"{folder}/sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::State": f"{folder}/",
        "Dir::State::lists": f"{folder}/lists/",
        "Dir::State::status": f"{folder}/status",
        "Dir::State::extended_states": f"{folder}/extended_states",
        "Dir::Cache": f"{folder}/cache/",
        "Dir::Log": f"{folder}/log/",
        "APT::Architecture": architecture,
        "APT::Sandbox::User": "",
        "APT::Get::Show-User-Simulation-Note": "0",
        "APT::Install-Recommends": "0",
        "Acquire::Languages": "none",
        "Debug::NoLocking": "1",
    }
    lines = [f'{key} "{value}";\n' for key, value in settings.items()]
    # Without a list of its own, apt would ask this machine's dpkg for foreign architectures.
    lines.append(f'APT::Architectures {{ "{architecture}"; }};\n')
    (folder / "apt.conf").write_text("".join(lines), encoding="utf-8")


async def _run(folder: Path, *arguments: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        "apt-get",
        *arguments,
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C",
            "APT_CONFIG": str(folder / "apt.conf"),
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    return process.returncode, said.decode(errors="replace")


def _reason(said: str) -> str:
    """apt's explanation as a person would say it, who lacks what; its own words where it says more."""
    if missing := _NOT_FOUND.findall(said):
        return f"nothing is called {' or '.join(sorted(set(missing)))}"
    unmet = [
        f"{match['name']} needs {match['relation'].strip()}"
        if match["kind"] in {"Depends", "PreDepends"}
        else f"{match['name']} {match['kind'].lower()} {match['relation'].strip()}"
        for match in _UNMET.finditer(said)
    ]
    return _line("; ".join(unmet) or said)


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _REASON_LENGTH else line[: _REASON_LENGTH - 2].rsplit(" ", 1)[0] + " …"
