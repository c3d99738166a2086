"""Artifacts, entries and releases for tests, by hand and by hypothesis."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from hypothesis import strategies as st

from dmz.artifact import Artifact, Kind
from dmz.promotion.base_image import BaseImage, base_images
from dmz.promotion.entry import Entry
from dmz.promotion.release import Release
from dmz.registries.interface import Stored

DEBIAN = {
    "runtime": "sandbox-debian-12",
    "distribution": "debian",
    "release": "bookworm",
    "suites": [
        {"name": "bookworm", "base": "DEBIAN", "path": "debian/dists/bookworm"},
        {"name": "bookworm-security", "base": "DEBIAN", "path": "debian-security/dists/bookworm-security"},
    ],
    "components": ["main"],
    "python": "3.11",
    "architecture": "amd64",
    "glibc": "2.36",
    "include": ["ca-certificates", "curl", "python3-venv"],
}


def image() -> BaseImage:
    return base_images([DEBIAN])["sandbox-debian-12"]


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def wheel(
    name: str = "jax",
    version: str = "0.4.1",
    content: bytes = b"wheel",
    why: tuple[str, ...] = ("requested",),
    origin: str = "python-remote",
    tag: str = "py3-none-any",
) -> Artifact:
    filename = f"{name.replace('-', '_')}-{version}-{tag}.whl"
    return Artifact(Kind.PYPI, name, "", version, filename, sha(content), len(content), origin, why)


def deb(
    name: str = "jq",
    version: str = "1.6-2.1",
    content: bytes = b"deb",
    why: tuple[str, ...] = ("requested",),
    architecture: str = "amd64",
    suite: str = "bookworm",
) -> Artifact:
    filename = f"{name}_{version.replace(':', '%3a')}_{architecture}.deb"
    return Artifact(
        Kind.APT, name, architecture, version, filename, sha(content), len(content), f"apt-{suite}", why
    )


def file(
    name: str = "data.tar.gz", content: bytes = b"file", why: tuple[str, ...] = ("requested",)
) -> Artifact:
    digest = sha(content)
    return Artifact(Kind.FILE, name, "", digest, name, digest, len(content), "files", why)


def entry(artifact: Artifact, source: str = "", source_version: str = "") -> Entry:
    if artifact.kind is Kind.APT:
        return Entry(artifact, source or artifact.name, source_version or artifact.version)
    return Entry(artifact)


def release(*artifacts: Artifact, workload: str = "small") -> Release:
    return Release(
        workload, "a" * 64, "sandbox-debian-12", "b" * 64, "3.11", tuple(entry(each) for each in artifacts)
    )


def stored(artifact: Artifact) -> Stored:
    return Stored(
        artifact.kind,
        artifact.name,
        artifact.architecture,
        artifact.version,
        artifact.filename,
        artifact.sha256,
        artifact.size,
    )


contents = st.binary(max_size=40)
_small = st.integers(0, 12)
_letters = "abz019"


def _names(separators: str, least: int) -> st.SearchStrategy[str]:
    return st.builds(
        "{}{}{}".format,
        st.text(_letters, min_size=least, max_size=3),
        st.sampled_from(["", *separators]),
        st.text(_letters, min_size=1, max_size=3),
    )


distribution_names = _names("-", 1)
debian_names = _names("+.-", 1)
reasons = st.lists(debian_names, unique=True, max_size=3).map(tuple)
pep440 = st.builds(
    "{}{}.{}{}{}".format,
    st.sampled_from(["", "1!"]),
    _small,
    _small,
    st.sampled_from(["", ".0", "a1", "b2", "rc1"]),
    st.sampled_from(["", ".post1"]),
) | _small.map(str)
debian_versions = st.builds(
    "{}{}.{}{}{}".format,
    st.sampled_from(["", "1:"]),
    _small,
    _small,
    st.sampled_from(["", "~rc1", "+dfsg"]),
    st.sampled_from(["", "-1", "-2.1", "-1+deb12u1"]),
)
times = st.none() | st.datetimes(
    min_value=datetime(2010, 1, 1), max_value=datetime(2030, 1, 1), timezones=st.just(UTC)
)

wheels = st.builds(
    wheel,
    name=distribution_names,
    version=pep440,
    content=contents,
    why=reasons,
    origin=st.sampled_from(["python-remote", "python-built"]),
)
debs = st.builds(
    deb,
    name=debian_names,
    version=debian_versions,
    content=contents,
    why=reasons,
    architecture=st.sampled_from(["amd64", "all"]),
    suite=st.sampled_from(["bookworm", "bookworm-security", "built"]),
)
files = st.builds(
    file,
    name=_names("._+-", 1),
    content=contents,
    why=reasons,
)
artifacts = wheels | debs | files


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    artifact = draw(artifacts)
    match artifact.kind:
        case Kind.PYPI:
            return Entry(artifact, uploaded=draw(times))
        case Kind.APT:
            return Entry(artifact, draw(debian_names), draw(debian_versions | st.just(artifact.version)))
        case Kind.FILE:
            return Entry(artifact)


releases = st.builds(
    Release,
    workload=st.sampled_from(["small", "maxtext", "a-3"]),
    workload_digest=st.just("1" * 64),
    runtime=st.just("sandbox-debian-12"),
    dpkg_digest=st.just("2" * 64),
    python=st.sampled_from(["3.10", "3.11"]),
    entries=st.lists(
        entries(), max_size=5, unique_by=(lambda each: each.artifact.key, lambda each: each.artifact.filename)
    ).map(tuple),
)
