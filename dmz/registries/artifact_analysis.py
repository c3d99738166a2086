"""What Artifact Analysis found: vulnerability occurrences, from the Container Analysis API v1.

See https://cloud.google.com/artifact-analysis/docs/reference/rest/v1/projects.occurrences/list
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from dmz.errors import TransferError
from dmz.registries.failures import failure
from dmz.registries.google import Google

ROLE: Final = "roles/containeranalysis.occurrences.viewer"
"""What the caller needs on the project."""

_PAGE: Final = 1000
"""Occurrences a page, the most that the service gives."""


async def occurrences(
    google: Google, project: str, location: str, repositories: Collection[str]
) -> list[dict[str, Any]]:
    """What was found in packages of these Python repositories, and which of them were scanned.

    Args:
        repositories: ids of repositories of the project in this location.

    Returns:
        Occurrences of the kinds VULNERABILITY and DISCOVERY, as the service gives them.

    Raises:
        TransferError: the service refused or kept failing, or could not ask all its regions.
    """
    found: list[dict[str, Any]] = []
    for kind in ("VULNERABILITY", "DISCOVERY"):
        # Not filtered by resource: how a Python package's address reads is not documented (?).
        params = {"filter": f'kind="{kind}"', "pageSize": str(_PAGE)}
        while True:
            page = await _page(google, project, params)
            found += [
                each for each in page.get("occurrences", []) if _within(each, project, location, repositories)
            ]
            if not (token := page.get("nextPageToken")):
                break
            params["pageToken"] = token
    return found


async def _page(google: Google, project: str, params: dict[str, str]) -> dict[str, Any]:
    url = f"{google.endpoints.container_analysis}projects/{project}/occurrences"
    response = await google.send("GET", url, params=params)
    if response.status_code == 403:
        error = failure("Artifact Analysis", response)
        raise TransferError(
            f"{str(error).partition(';')[0]}; enable containeranalysis.googleapis.com in {project} and grant "
            f"{ROLE} there, or take artifact-analysis out of the policy's sources"
        )
    if response.is_error:
        raise failure("Artifact Analysis", response)
    page: dict[str, Any] = response.json()
    if regions := page.get("unreachable"):
        raise TransferError(
            f"Artifact Analysis could not ask {', '.join(map(str, regions))}, so its answer is not whole; "
            "try again"
        )
    return page


def _within(occurrence: dict[str, Any], project: str, location: str, repositories: Collection[str]) -> bool:
    """Whether it is about one of the repositories, by the data plane's address or the resource's name."""
    resource = str(occurrence.get("resourceUri", "")).split("://", 1)[-1].removeprefix("//")
    return any(
        resource.startswith(
            (
                f"{location}-python.pkg.dev/{project}/{each}/",
                f"artifactregistry.googleapis.com/projects/{project}/locations/{location}/repositories/{each}/",
                f"projects/{project}/locations/{location}/repositories/{each}/",
            )
        )
        for each in repositories
    )
