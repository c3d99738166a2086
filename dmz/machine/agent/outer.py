"""The outer machine: install the workload with internet at hand, and publish what that took.

The inventory is a claim. Nothing downstream trusts its hashes; it says which packages, not what is in them.
"""

from __future__ import annotations

import json
import re
import time
import traceback
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import base, builds, debian, metadata, probes, python, storage
from .command import StepError, run
from .log import now, say, stamp

_STATE = Path("/opt/dmz/outer.json")
_APT = Path("/opt/dmz/apt.json")
_VENV = Path("/opt/dmz/venv")
_BUILT = Path("/opt/dmz/built")
_POLL = 2
"""Seconds between two looks at the settings."""
_AGAIN = 60
"""Seconds after which a failed discovery is tried again: a mirror may have had a bad moment."""


def _requirement_name(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement.strip())
    return python.normalised(match.group()) if match else ""


def _apt(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    wanted: Sequence[str] = settings["workload"]["apt"]
    before = base.packages()
    present = {package.name for package in debian.installed().values()}
    if missing := [name for name in wanted if name not in present]:
        say(f"installing {len(missing)} Debian packages")
        location, project = settings["location"], settings["project"]
        lines = [
            debian.remote(location, project, entry["repository"], entry["suite"], settings["components"])
            for entry in settings["apt_repositories"]
        ]
        debian.configure(location, lines)
        debian.install(missing)
    if not _APT.exists() or json.loads(_APT.read_text(encoding="utf-8")) != wanted:
        # What an earlier version of the workload needed is no part of what this one needs.
        debian.remove_unneeded(keep=[*wanted, *(f"{name}:{arch}" for name, arch in before)])
        _APT.write_text(json.dumps(wanted), encoding="utf-8")
    return [
        {
            "name": package.name,
            "version": package.version,
            "architecture": package.architecture,
            "source": package.source,
            "source_version": package.source_version,
            "requested": package.name in wanted,
        }
        for key, package in sorted(debian.installed().items())
        if key not in before
    ]


def _pypi(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    wanted: Sequence[str] = settings["workload"]["python"]
    location, project = settings["location"], settings["project"]
    if settings["workload"].get("python-overrides"):
        raise StepError(
            "the workload has python-overrides, which the image's pip cannot follow: this machine does not "
            "install it; turn them into requirements, or leave out what conflicts"
        )
    run(["python3", "-m", "venv", "--clear", str(_VENV)])
    if wanted:
        say(f"installing {len(wanted)} Python requirements and what they need")
    place = builds.Place(
        python=str(_VENV / "bin/python"),
        location=location,
        project=project,
        repository=settings["python_repository"],
        bucket=settings["builds_bucket"],
        machine=settings["machine"],
        image=base.image(settings["runtime"]),
    )
    items, built = builds.install(place, wanted, _BUILT)
    needed_by: dict[str, set[str]] = {}
    for item in items:
        for requirement in item["metadata"].get("requires_dist", []):
            if "extra ==" not in requirement:
                needed_by.setdefault(_requirement_name(requirement), set()).add(
                    python.normalised(item["metadata"]["name"])
                )
    found = []
    for item in items:
        name = python.normalised(item["metadata"]["name"])
        filename = python.filename(item["download_info"]["url"])
        found.append(
            {
                "name": name,
                "version": item["metadata"]["version"],
                "filename": filename,
                "requested": bool(item.get("requested")),
                "required_by": sorted(needed_by.get(name, set())),
                "built": filename in built,
                "sha256": item["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256", ""),
                "sdist": built.get(filename, ""),
            }
        )
    return sorted(found, key=lambda entry: str(entry["name"]))


def _files(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for wanted in settings["workload"].get("files", []):
        path = Path("/opt/dmz/files") / wanted["name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        say(f"fetching the file {wanted['name']}")
        address: str = wanted["address"]
        if address.startswith("gs://"):
            bucket, _, name = address.removeprefix("gs://").partition("/")
            digest = storage.download(bucket, name, path)
        else:
            with urllib.request.urlopen(address, timeout=300) as response, path.open("wb") as out:  # noqa: S310
                while chunk := response.read(1 << 20):
                    out.write(chunk)
            digest = storage.sha256(path)
        if digest != wanted["sha256"]:
            raise StepError(
                f"the file {wanted['name']} from {address} has SHA-256 {digest}, the workload says "
                f"{wanted['sha256']}: someone changed it, or the workload names the wrong one"
            )
        storage.create(settings["files_bucket"], f"files/{digest}/{wanted['name']}", path.read_bytes())
        found.append({"name": wanted["name"], "sha256": digest, "size": path.stat().st_size})
    return found


def discover(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Install the workload and return the inventory; a failure is an inventory that has an `error`."""
    inventory: dict[str, Any] = {
        "schema": 1,
        "workload": settings["workload"]["name"],
        "workload_digest": settings["workload_digest"],
        "machine": settings["machine"],
        "base_image": base.image(settings["runtime"]),
        "base_packages": base.status(),
    }
    try:
        inventory["apt"] = _apt(settings)
        inventory["pypi"] = _pypi(settings)
        inventory["files"] = _files(settings)
        inventory["probes"] = probes.run(settings["probes"])
    except Exception as error:
        # Whatever it is, somebody waits for an answer.
        inventory["error"] = " ".join((str(error) or repr(error)).split())
    inventory["created"] = now()
    return inventory


def main() -> None:
    """Install and publish whenever the settings ask for something else than last time; never ends."""
    debian.upgrades_off()
    pause = _POLL
    while True:
        try:
            pause = _POLL
            settings = metadata.settings()
            base.image(settings["runtime"])
            done = _STATE.read_text(encoding="utf-8") if _STATE.exists() else ""
            wanted = json.dumps(settings, sort_keys=True)
            if wanted != done:
                say(f"discovering what the workload {settings['workload']['name']} needs")
                inventory = discover(settings)
                name = f"inventories/{settings['workload']['name']}/{settings['workload_digest']}"
                storage.create_json(
                    settings["inventory_bucket"], f"{name}/{settings['machine']}-{stamp()}.json", inventory
                )
                say(f"inventory published: {inventory.get('error', 'complete')}")
                if "error" in inventory:
                    pause = _AGAIN
                else:
                    _STATE.write_text(wanted, encoding="utf-8")
        except Exception:
            # The next look may find the network or the settings in order; the console says what was wrong.
            say(traceback.format_exc())
        time.sleep(pause)


if __name__ == "__main__":
    main()
