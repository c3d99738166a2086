"""What upstream offers: a small index of wheels, a small signed apt archive, and files."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from dmz.artifact import Artifact, Kind
from tests.sandbox.data.harness import Archive, Counted, Loop, deb, index_page, wheel

WHEELS = (
    ("kept", "kept", "1.0", 0),
    ("old", "old", "1.0", 0),
    ("moved-1", "moved", "1.0", 0),
    ("moved-2", "moved", "2.0", 0),
    ("new", "new", "1.0", 700_000),
)
DEBS = (
    ("deb-kept", "tiny-kept", "amd64", 0),
    ("deb-old", "tiny-old", "all", 0),
    ("deb-new", "tiny-new", "all", 0),
    ("deb-large", "tiny-large", "amd64", 300_000),
)
FILES = ("file-kept", "file-old", "file-new")


@dataclass(frozen=True)
class Goods:
    """Artifacts by the short names that stand above."""

    url: str
    """Of the Python index."""
    artifacts: dict[str, Artifact]
    bodies: dict[str, bytes]
    """By SHA-256."""

    def of(self, *names: str) -> tuple[Artifact, ...]:
        return tuple(self.artifacts[name] for name in names)


def offered(root: Path, loop: Loop, patch: pytest.MonkeyPatch) -> Goods:
    """Make everything and serve it; this process's apt configuration names the archive as its mirror."""
    web = root / "web"
    upstream = Counted(loop, web)
    goods = Goods(upstream.url, {}, {})

    def add(
        name: str, kind: Kind, package: str, version: str, path: Path, origin: str, arch: str = ""
    ) -> None:
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        goods.bodies[digest] = data
        goods.artifacts[name] = Artifact(
            kind, package, arch, version or digest, path.name, digest, len(data), origin, ("requested",)
        )

    pages: dict[str, list[Path]] = {}
    for name, package, version, size in WHEELS:
        path = wheel(web / "files", package, version, size)
        pages.setdefault(package, []).append(path)
        add(name, Kind.PYPI, package, version, path, "python-remote")
    for package, paths in pages.items():
        index_page(web, package, paths)
    debs = []
    for name, package, arch, size in DEBS:
        debs.append(deb(root / "debs", package, "1:1.0-1", arch, os.urandom(size).hex()))
        add(name, Kind.APT, package, "1:1.0-1", debs[-1], "apt-bookworm", arch)
    archive = Archive(web / "debian")
    archive.publish(debs)
    _configure_apt(root / "host-apt", upstream.url, archive, patch)
    for name in FILES:
        path = root / f"{name}.bin"
        path.write_bytes(os.urandom(70_000))
        add(name, Kind.FILE, path.name, "", path, "files")
    return goods


def _configure_apt(folder: Path, url: str, archive: Archive, patch: pytest.MonkeyPatch) -> None:
    (folder / "sources.list.d").mkdir(parents=True)
    (folder / "sources.list.d/debian.sources").write_text(
        f"Types: deb\nURIs: {url}/debian\nSuites: {archive.suite}\nComponents: main\n"
        f"Signed-By: {archive.keyring}\n"
    )
    (folder / "apt.conf").write_text(f'Dir::Etc "{folder}"; Dir::Etc::sourcelist "none";\n')
    patch.setenv("APT_CONFIG", str(folder / "apt.conf"))
    patch.delenv("DMZ_SANDBOX_MIRROR", raising=False)
