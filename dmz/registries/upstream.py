"""When the upstream of a remote Python repository got a file: the fact that private indexes drop.

The repository says which upstream it has. For the public index that is whatever this machine's pip is
configured with, or pip's own default: no address is written here.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import UTC, datetime

import httpx
from packaging.utils import canonicalize_name

from dmz.errors import InputError
from dmz.registries.concurrency import together
from dmz.registries.google import Google
from dmz.registries.index import ACCEPT, parse_simple
from dmz.registries.repository import Repository
from dmz.registries.retry import Retry, RetryingTransport

_LOG = logging.getLogger(__name__)


async def upstream_of(google: Google, project: str, location: str, repository: str) -> str:
    """The simple index that a remote repository fetches from; it ends in a slash.

    Raises:
        InputError: the repository does not exist or is not a remote one for Python.
    """
    described = await Repository(google, project, location, repository).describe()
    declared = described.get("remoteRepositoryConfig", {}).get("pythonRepository", {})
    if uri := declared.get("customRepository", {}).get("uri"):
        return str(uri).rstrip("/") + "/simple/"
    if declared.get("publicRepository"):
        return pip_index()
    raise InputError(
        f"{repository}: no remote Python repository of project {project}; run `pulumi up -s outer`"
    )


def pip_index() -> str:
    """The index that pip on this machine uses, from its files, variables and default; it ends in a slash."""
    from pip._internal.commands import create_command  # slow to import, and only this needs it

    options, _ = create_command("install").parse_args([])
    return str(options.index_url).rstrip("/") + "/"


async def upload_times(
    index: str, names: Collection[str], *, retry: Retry | None = None
) -> dict[str, datetime]:
    """Upload times by file name, from the index's JSON form (PEP 700).

    What the index does not tell is absent: unknown, not old. An index that does not answer tells nothing,
    and a warning says so.
    """
    transport = RetryingTransport(httpx.AsyncHTTPTransport(), retry or Retry(attempts=3))
    async with httpx.AsyncClient(transport=transport, timeout=30, follow_redirects=True) as client:

        async def times(name: str) -> dict[str, datetime]:
            response = await client.get(f"{index}{canonicalize_name(name)}/", headers={"Accept": ACCEPT})
            if response.status_code == 404:
                return {}
            response.raise_for_status()
            files = parse_simple(response.headers.get("content-type", ""), response.text)
            return {
                file.filename: datetime.fromisoformat(file.uploaded).astimezone(UTC)
                for file in files
                if file.uploaded
            }

        found: dict[str, datetime] = {}
        try:
            for one in await together(times(name) for name in sorted(set(names))):
                found |= one
        except httpx.HTTPError as error:
            # Not its text: an index's address may hold a password.
            _LOG.warning("upload times are unknown: the upstream index failed with %s", type(error).__name__)
        return found
