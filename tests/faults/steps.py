"""Every kind of request that a sync makes: the rows of the matrix, and how one is told from another."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

_SHORT: Final = {
    "INNER": r"inner-\d+",  # every test has an inner side of its own
    "REPOSITORIES": r"/v1/projects/inner-\d+/locations/[^/]+/repositories",
    "OPERATIONS": r"/v1/projects/inner-\d+/locations/[^/]+/operations",
    "RELEASE": r"/storage/v1/b/inner-\d+-release/o",
    "STAGING": r"/storage/v1/b/inner-\d+-staging/o",
    "ARCHIVE": r"/storage/v1/b/inner-\d+-archive/o",
}
"""What stands in the paths below in capitals."""


@dataclass(frozen=True)
class Step:
    """One kind of request."""

    name: str
    method: str
    service: str
    """As the sandbox names its ports."""
    path: re.Pattern[str]
    """Of the whole path with its query, unescaped."""
    tags: frozenset[str]
    """What it is, for the faults that don't fit everywhere: `upload`, and `artifact` if it is one's;
    `checked` where the SHA-256 of what arrived is compared before anybody can read it; `entries` for a
    listing that has some, `digests` for one that has digests, and `lags` where a service may tell late;
    `mute` where an answer has no body. `rare` is what only a sync in trouble asks, and without an answer to
    what is `dispensable` it ends well all the same."""

    def __str__(self) -> str:
        return self.name


def _step(name: str, request: str, tags: str = "") -> Step:
    method, service, path = request.split(" ")
    for short, pattern in _SHORT.items():
        path = path.replace(short, pattern)
    return Step(name, method, service, re.compile(path), frozenset(tags.split()))


STEPS: Final = (
    _step("token", r"POST iamcredentials /v1/projects/-/serviceAccounts/[^/]+:generateAccessToken"),
    _step("find attestations", r"GET storage /storage/v1/b/outer-attestations/o\?.*"),
    _step("read attestation", r"GET storage /storage/v1/b/outer-attestations/o/.*"),
    _step("who runs it", r"POST oauth2 /tokeninfo", "dispensable"),
    _step("what time it is", r"GET storage RELEASE\?.*maxResults=1.*"),
    _step("write lease", r"POST storage /uploadRELEASE\?.*name=lease/.*", "upload"),
    _step("look at lease", r"GET storage RELEASE/lease/.*"),
    _step("find leases", r"GET storage RELEASE\?.*prefix=lease/.*", "entries"),
    _step("give back lease", r"DELETE storage RELEASE/lease/.*", "dispensable mute"),
    _step("find withdrawn", r"GET storage RELEASE\?.*prefix=withdrawn/.*"),
    _step("read withdrawn", r"GET storage RELEASE/withdrawn/.*", "rare"),
    _step("write withdrawn", r"POST storage /uploadRELEASE\?.*name=withdrawn/.*", "rare upload"),
    _step("find runs", r"GET storage RELEASE\?.*prefix=journal/(&.*)?"),
    _step("find entries", r"GET storage RELEASE\?.*prefix=journal/[^&]+.*", "entries"),
    _step("read journal", r"GET storage RELEASE/journal/.*"),
    _step("write journal", r"POST storage /uploadRELEASE\?.*name=journal/.*", "upload"),
    _step("find records", r"GET storage ARCHIVE\?.*prefix=releases/.*"),
    _step("write record", r"POST storage /uploadARCHIVE\?.*name=releases/.*", "upload"),
    _step("look at record", r"GET storage ARCHIVE/releases/.*", "rare"),
    _step("find prunings", r"GET storage ARCHIVE\?.*prefix=lease/.*"),
    _step("look at pruning", r"GET storage ARCHIVE/lease/.*", "rare"),
    _step("list archive", r"GET storage ARCHIVE\?.*prefix=sha256/.*", "digests entries"),
    _step("read archive", r"GET storage ARCHIVE/sha256/.*alt=media.*"),
    _step("keep in archive", r"POST storage /uploadARCHIVE\?.*uploadType=multipart.*", "upload artifact"),
    # Without it, the files inside are read and hashed instead.
    _step("look at what is kept", r"GET storage ARCHIVE/sha256/[0-9a-f]+(\?fields=.*)?", "dispensable"),
    _step("read wheel inside", r"GET python /INNER/python/[^/]+/[^/]+\.whl"),
    _step("read deb inside", r"GET apt /projects/INNER/pool/.*\.deb"),
    _step("read file inside", r"GET storage RELEASE/files/.*alt=media"),
    _step("look at file inside", r"GET storage RELEASE/files/.*alt=media&generation=.*"),
    _step("list Python", r"GET artifactregistry REPOSITORIES/python/files\?.*", "digests entries lags"),
    _step("list apt", r"GET artifactregistry REPOSITORIES/apt/files\?.*", "digests entries lags"),
    _step("list files", r"GET storage RELEASE\?.*prefix=files/.*", "digests entries"),
    _step("outer index", r"GET apt /remote/outer/[^/]+/dists/[^/]+/InRelease", "digests"),
    _step("outer packages", r"GET apt /remote/outer/[^/]+/dists/[^/]+/main/.*", "digests"),
    _step("download wheel", r"GET python /outer/python-remote/[^/]+/[^/]+\.whl"),
    _step("download deb", r"GET apt /remote/outer/[^/]+/pool/.*\.deb"),
    _step("download file", r"GET storage /storage/v1/b/outer-files/o/.*"),
    _step("upload wheel", r"POST python /INNER/python/", "upload artifact checked"),
    _step("upload file", r"POST storage /uploadRELEASE\?.*uploadType=multipart.*", "upload artifact"),
    _step("list staging", r"GET storage STAGING\?.*", "digests entries"),
    _step("read staged", r"GET storage STAGING/.*alt=media.*"),
    _step("stage deb", r"POST storage /uploadSTAGING\?.*", "upload artifact checked"),
    _step("import debs", r"POST artifactregistry REPOSITORIES/apt/aptArtifacts:import"),
    _step("poll operation", r"GET artifactregistry OPERATIONS/[^/]+"),
    _step("read index", r"GET apt /projects/INNER/dists/apt/InRelease", "digests lags"),
    _step("read packages", r"GET apt /projects/INNER/dists/apt/main/.*", "digests"),
    _step("empty staging", r"DELETE storage STAGING/.*", "mute"),
    _step("find release", r"GET storage RELEASE\?.*prefix=releases/.*"),
    _step("publish release", r"POST storage /uploadRELEASE\?.*name=releases/.*", "upload"),
    _step("find current", r"GET storage RELEASE\?.*prefix=current/.*", "entries"),
    _step("read release", r"GET storage RELEASE/(releases|current)/.*", "rare"),
    _step("find reports", r"GET storage /storage/v1/b/inner-\d+-reports/o\?.*", "rare"),
    _step("point to release", r"POST storage /uploadRELEASE\?.*name=current/.*", "upload"),
    _step("drop current", r"DELETE storage RELEASE/current/.*", "mute"),
    _step("withdraw version", r"POST artifactregistry REPOSITORIES/(python|apt)/packages/.*:batchDelete"),
    _step("withdraw file", r"DELETE storage RELEASE/files/.*", "mute"),
)
"""The rows of the matrix. A sync that makes another kind of request fails the tests: give it a row."""

UNKNOWN: Final = Step("unknown", "", "", re.compile(r"(?!)"), frozenset())


def step_of(service: str, method: str, path: str) -> Step:
    """The kind of a request; `path` as it was sent, with its query."""
    plain = unquote(path)
    for step in STEPS:
        if step.method == method and step.service == service and step.path.fullmatch(plain):
            return step
    return UNKNOWN


def named(name: str) -> Step:
    """The step of that name."""
    return next(step for step in STEPS if step.name == name)
