"""The base image: what the machine had before anything was installed, taken at its first boot."""

from __future__ import annotations

import json
import re
from pathlib import Path

from . import debian
from .command import run

_BASE = Path("/opt/dmz/base.json")


def image(runtime: str) -> dict[str, str]:
    """The image as it was before anything was installed: taken at the first boot, kept from then on."""
    if not _BASE.exists():
        before = debian.installed()
        libc = next(package for (name, _), package in before.items() if name == "libc6")
        described = {
            "runtime": runtime,
            "dpkg_digest": debian.digest(before.values()),
            "python": run(["python3", "-c", "import platform; print(platform.python_version())"]).strip(),
            "architecture": run(["dpkg", "--print-architecture"]).strip(),
            "glibc": re.split(r"[-+~]", libc.version)[0],
        }
        _BASE.parent.mkdir(parents=True, exist_ok=True)
        _BASE.write_text(
            json.dumps(
                {"image": described, "packages": sorted(map(list, before)), "status": debian.relations()}
            ),
            encoding="utf-8",
        )
    known: dict[str, str] = json.loads(_BASE.read_text(encoding="utf-8"))["image"]
    return known


def packages() -> set[tuple[str, str]]:
    """Name and architecture of every package that the image came with."""
    return {(name, arch) for name, arch in json.loads(_BASE.read_text(encoding="utf-8"))["packages"]}


def status() -> list[dict[str, object]]:
    """What the image came with, with what these packages say of each other; empty if it was not kept."""
    found: list[dict[str, object]] = json.loads(_BASE.read_text(encoding="utf-8")).get("status", [])
    return found
