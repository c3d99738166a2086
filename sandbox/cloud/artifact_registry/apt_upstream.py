"""Which archive and suite a remote apt repository means, by its configuration."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from sandbox import aptsources
from sandbox.aptsources import AptSourcesError, Archive
from sandbox.cloud.artifact_registry.repository import Repository
from sandbox.cloud.errors import failed_precondition, invalid, unimplemented

_BASES: Final = ("DEBIAN", "UBUNTU")
_PUBLIC_PATH: Final = re.compile(
    r"(?P<archive>[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*)/dists/(?P<suite>[A-Za-z0-9._/-]+)"
)


@dataclass(frozen=True)
class SuiteUpstream:
    """One suite of one archive."""

    archive: Archive
    suite: str

    @property
    def url(self) -> str:
        """Address of the folder with `InRelease`."""
        return f"{self.archive.uri}/dists/{self.suite}"


def locate(repository: Repository) -> SuiteUpstream:
    """The upstream that a remote apt repository means; asks apt, so not for the event loop.

    Raises:
        ApiError: its configuration is not offered here, or apt is not configured with such an archive.
    """
    declared = repository.upstream("aptRepository")
    public = declared.get("publicRepository")
    custom = (declared.get("customRepository") or {}).get("uri")
    try:
        if public:
            return _public(str(public.get("repositoryBase", "")), str(public.get("repositoryPath", "")))
        if custom:
            return _custom(str(custom))
    except AptSourcesError as error:
        raise failed_precondition(f"Repository {repository.id}: {error}") from error
    raise failed_precondition(
        f"Repository {repository.id} names no apt upstream; set publicRepository or a uri with /dists/SUITE"
    )


def _public(base: str, path: str) -> SuiteUpstream:
    if base not in _BASES:
        raise unimplemented(
            f"repositoryBase {base or 'unset'} is not offered by the sandbox; use {' or '.join(_BASES)}"
        )
    parts = _PUBLIC_PATH.fullmatch(path.strip("/"))
    if parts is None or ".." in path:
        raise invalid(f"repositoryPath '{path}' is not of the form ARCHIVE/dists/SUITE")
    return SuiteUpstream(aptsources.archive(base.lower(), parts["archive"], parts["suite"]), parts["suite"])


def _custom(uri: str) -> SuiteUpstream:
    root, found, suite = uri.rstrip("/").partition("/dists/")
    if not found:
        raise invalid(f"The upstream uri '{urlsplit(uri).path}' is not of the form ROOT/dists/SUITE")
    return SuiteUpstream(aptsources.archive_at(root), suite)
