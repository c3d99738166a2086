"""The sealed machine: install the release and nothing else, prove it, and report.

Every deb, wheel and file is compared with the release before it is installed; the release is compared with
its digest and with its attestation before it is read. A changed release is installed anew, on the living
machine. An attestation is looked at when something is to be installed, and only then: what runs goes on
running when its attestation grows old.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
import traceback
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from . import attestation, base, debian, locks, metadata, probes, python, storage
from .command import StepError, run
from .log import now, say, stamp

_STATE = Path("/opt/dmz/inner.json")
_VENV = Path("/opt/dmz/venv")
_FILES = Path("/opt/dmz/files")
_DEBS = Path("/opt/dmz/debs")
_WHEELS = Path("/opt/dmz/wheels")
_POLL = 2
"""Seconds between two looks at the release."""
_AGAIN = 60
"""Seconds after which a failed installation is tried again: somebody may have mended the repository."""
_TRIES = 3
"""How often a failing installation is tried before it is reported: an index may lag behind the sync."""
_CHECK_LIMIT = 3600
"""Seconds that the workload's check may take."""


def current(settings: Mapping[str, Any]) -> str | None:
    """The digest of the release that this machine should have, or None while there is none."""
    body = storage.read(settings["release_bucket"], f"current/{settings['workload']}.json")
    return None if body is None else str(json.loads(body)["digest"])


def _release(settings: Mapping[str, Any], digest: str) -> locks.Release:
    texts = {}
    for name in locks.names(settings["workload"]):
        body = storage.read(settings["release_bucket"], f"releases/{digest}/{name}")
        if body is None:
            raise StepError(f"the release bucket has no releases/{digest}/{name}: not installing")
        texts[name] = body
    _attested(settings, digest, texts)
    return locks.parse(settings["workload"], digest, texts)


def _attested(settings: Mapping[str, Any], digest: str, texts: Mapping[str, bytes]) -> None:
    """Whether somebody who may has signed that this release passed.

    Raises:
        StepError: nobody did, or not for this place, this policy or this time.
    """
    trust = settings.get("attestation")
    if trust is None:
        raise StepError("dmz-settings say nothing of whose attestations count: not installing; pulumi up")
    name = f"releases/{digest}/attestation.dsse.json"
    envelope = storage.read(settings["release_bucket"], name)
    if envelope is None:
        raise StepError(
            f"attestation: the release bucket has no {name}: not installing; dmz attest, then pulumi up"
        )
    checksums = locks.names(settings["workload"])[-1]
    sums = {each: hashlib.sha256(body).hexdigest() for each, body in texts.items() if each != checksums}
    attestation.verify(envelope, trust, digest, sums, datetime.now(timezone.utc))  # noqa: UP017 - 3.10


def _compare(path: Path, approved: str) -> str:
    found = storage.sha256(path)
    if found != approved:
        path.unlink()
        raise StepError(f"{path.name} has SHA-256 {found}, the release approved {approved}: not installing")
    return found


def _apt(settings: Mapping[str, Any], release: locks.Release) -> list[dict[str, str]]:
    present = {key: package.version for key, package in debian.installed().items()}
    wanted = {(deb.name, deb.architecture): deb for deb in release.debs}
    missing = [deb for key, deb in wanted.items() if present.get(key) != deb.version]
    extra = [
        f"{name}:{architecture}" if architecture != "all" else name
        for name, architecture in sorted(set(present) - base.packages() - set(wanted))
    ]
    shutil.rmtree(_DEBS, ignore_errors=True)
    if release.debs:
        say(f"fetching {len(release.debs)} debs, of which {len(missing)} are new")
        location, project = settings["location"], settings["project"]
        debian.configure(location, [debian.standard(location, project, settings["apt_repository"])])
        # All of them, not only the missing: the report names what the repository holds today, by its bytes.
        debian.download([f"{deb.name}:{deb.architecture}={deb.version}" for deb in release.debs], _DEBS)
    by_digest = {storage.sha256(path): path for path in _DEBS.iterdir()} if _DEBS.exists() else {}
    for deb in release.debs:
        if deb.sha256 not in by_digest:
            raise StepError(
                f"{deb.filename}: the repository served other bytes than SHA-256 {deb.sha256}, "
                "which the release approved: not installing"
            )
    debian.install_files([by_digest[deb.sha256] for deb in missing], extra)
    after = {key: package.version for key, package in debian.installed().items()}
    return [
        {"name": deb.name, "version": deb.version, "architecture": deb.architecture, "sha256": deb.sha256}
        for key, deb in sorted(wanted.items())
        if after.get(key) == deb.version
    ]


def _pypi(settings: Mapping[str, Any], release: locks.Release) -> list[dict[str, str]]:
    # A virtual environment is tied to its path: each has its own, and a link leads to the one in use.
    fresh = _VENV.with_name(f"venv-{stamp()}")
    for failed in _VENV.parent.glob("venv-*"):
        if failed != _VENV.resolve():
            shutil.rmtree(failed, ignore_errors=True)
    shutil.rmtree(_WHEELS, ignore_errors=True)
    run(["python3", "-m", "venv", "--clear", str(fresh)])
    if release.wheels:
        say(f"installing {len(release.wheels)} wheels")
        simple = python.index(settings["location"], settings["project"], settings["python_repository"])
        approved = {f"{wheel.name}=={wheel.version}": wheel.sha256 for wheel in release.wheels}
        python.download_locked(str(fresh / "bin/python"), approved, settings["location"], simple, _WHEELS)
        for wheel in release.wheels:
            _compare(_WHEELS / wheel.filename, wheel.sha256)
        python.install_files(
            str(fresh / "bin/python"), [_WHEELS / wheel.filename for wheel in release.wheels]
        )
    link = _VENV.with_name("venv.link")
    link.unlink(missing_ok=True)
    link.symlink_to(fresh)
    link.replace(_VENV)
    for former in _VENV.parent.glob("venv-*"):
        if former != fresh:
            shutil.rmtree(former, ignore_errors=True)
    listed = json.loads(run([str(_VENV / "bin/python"), "-m", "pip", "list", "--format", "json"]))
    present = {(python.normalised(entry["name"]), entry["version"]) for entry in listed}
    return [
        {"name": wheel.name, "version": wheel.version, "filename": wheel.filename, "sha256": wheel.sha256}
        for wheel in release.wheels
        if (python.normalised(wheel.name), wheel.version) in present
    ]


def _files(settings: Mapping[str, Any], release: locks.Release) -> list[dict[str, str]]:
    shutil.rmtree(_FILES, ignore_errors=True)
    _FILES.mkdir(parents=True)
    found = []
    for file in release.files:
        path = _FILES / file.name
        storage.download(settings["release_bucket"], f"files/{file.sha256}/{file.name}", path)
        found.append({"name": file.name, "sha256": _compare(path, file.sha256)})
    return found


def _check(settings: Mapping[str, Any]) -> dict[str, Any]:
    say("running the workload's check")
    command: str = settings["check"]
    environment = {
        "PATH": f"{_VENV}/bin:{os.environ.get('PATH', '/usr/sbin:/usr/bin:/sbin:/bin')}",
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "DMZ_FILES": str(_FILES),
    }
    try:
        ended = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=_FILES,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_CHECK_LIMIT,
        )
        code, output = ended.returncode, ended.stdout
    except subprocess.TimeoutExpired as error:
        code, output = 124, (error.stdout or b"") + f"\nended after {_CHECK_LIMIT} seconds\n".encode()
    say(f"the check ended with {code}")
    return {
        "exit": code,
        "output": output.decode(errors="replace")[-4000:],
        "sha256": hashlib.sha256(command.encode()).hexdigest(),
    }


def install(settings: Mapping[str, Any], digest: str) -> dict[str, Any]:
    """Install the release and return what to report, without the check and the probes.

    Raises:
        StepError: the release is not attested, the image is not the one that was screened, or a byte is not
            what was approved.
    """
    release = _release(settings, digest)
    image = base.image(settings["runtime"])
    if image["dpkg_digest"] != release.dpkg_digest:
        raise StepError(
            f"this machine's base image has the dpkg digest {image['dpkg_digest'][:16]}…, the release was "
            f"made for {release.dpkg_digest[:16]}…: not installing; discover and screen on this image"
        )
    return {
        "apt": _apt(settings, release),
        "pypi": _pypi(settings, release),
        "files": _files(settings, release),
    }


def report(settings: Mapping[str, Any], digest: str) -> dict[str, Any]:
    """Install, check and probe; a failure is a report that has an `error`."""
    made: dict[str, Any] = {
        "schema": 1,
        "workload": settings["workload"],
        "release": digest,
        "machine": settings["machine"],
        "created": now(),
        "base_image": base.image(settings["runtime"]),
        "installed": {"apt": [], "pypi": [], "files": []},
        "check": None,
        "probes": [],
        "error": None,
    }
    for tried in range(1, _TRIES + 1):
        try:
            made["installed"] = install(settings, digest)
            made["error"] = None
            break
        except (StepError, OSError, KeyError, ValueError) as error:
            made["error"] = " ".join((str(error) or repr(error)).split())
            say(f"try {tried} of {_TRIES}: {made['error']}")
            if tried < _TRIES:
                time.sleep(2 * tried)
    if made["error"] is None:
        made["check"] = _check(settings)
    made["probes"] = probes.run(settings["probes"])
    return made


def _asked(settings: Mapping[str, Any], digest: str | None) -> str:
    """What this machine is to have. Who attests is no part of it: another policy installs nothing anew."""
    about = {key: value for key, value in settings.items() if key != "attestation"}
    return json.dumps({"settings": about, "release": digest}, sort_keys=True)


def main() -> None:
    """Install and report whenever the release or the settings changed; never ends."""
    debian.upgrades_off()
    failed, again = "", 0.0
    while True:
        try:
            settings = metadata.settings()
            base.image(settings["runtime"])
            digest = current(settings)
            done = _STATE.read_text(encoding="utf-8") if _STATE.exists() else ""
            wanted = _asked(settings, digest)
            tried = json.dumps([settings, digest], sort_keys=True)
            due = tried != failed or time.monotonic() >= again
            if digest is not None and wanted != done and due:
                say(f"installing release {digest[:16]} of the workload {settings['workload']}")
                made = report(settings, digest)
                name = f"reports/{settings['workload']}/{digest}/{settings['machine']}-{stamp()}.json"
                storage.create_json(settings["report_bucket"], name, made)
                say(f"report published: {made['error'] or 'complete'}")
                if made["error"]:
                    failed, again = tried, time.monotonic() + _AGAIN
                else:
                    _STATE.write_text(wanted, encoding="utf-8")
        except Exception:
            # The next look may find the network or the release in order; the console says what was wrong.
            say(traceback.format_exc())
        time.sleep(_POLL)


if __name__ == "__main__":
    main()
