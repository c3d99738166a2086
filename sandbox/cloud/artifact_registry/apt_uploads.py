"""How packages come into standard apt repositories: one in an upload, many by an import from a bucket."""

from __future__ import annotations

import asyncio
import fnmatch
import re
import sqlite3
from pathlib import Path
from typing import Any, Final

from sandbox.cloud import access, operations
from sandbox.cloud.artifact_registry import deb
from sandbox.cloud.artifact_registry.artifacts import Artifacts
from sandbox.cloud.artifact_registry.repository import Repository, by_name
from sandbox.cloud.context import Call, Cloud
from sandbox.cloud.errors import ApiError, failed_precondition, invalid, refusal
from sandbox.cloud.references import project_number
from sandbox.cloud.storage.attached import attached
from sandbox.cloud.storage.blobs import Digests
from sandbox.cloud.storage.objects import Object, Objects, blob_path
from sandbox.cloud.storage.uploads import receive

_TYPES: Final = "type.googleapis.com/google.devtools.artifactregistry.v1"
_URI: Final = re.compile(r"gs://(?P<bucket>[^/]+)/(?P<name>.+)")


async def upload(cloud: Cloud, call: Call) -> dict[str, Any]:
    """`aptArtifacts.upload`: take one package; one that conflicts with what is held is ignored."""
    repository = _standard(cloud, call.params["parent"])
    artifacts = attached(cloud, Artifacts)
    with artifacts.catalog.blobs.writer() as writer:
        await receive(call.request, writer)
        control = await asyncio.to_thread(deb.read_control, await writer.place())
        digests = await writer.digests()
        taken: list[dict[str, Any]] = []
        if not _conflicts(artifacts, repository, control):
            await writer.publish()
            artifacts.catalog.add(repository, deb.entry(repository, control, digests))
            taken = [deb.artifact(repository, control)]
    response = {"@type": f"{_TYPES}.UploadAptArtifactResponse", "aptArtifacts": taken}
    metadata = {"@type": f"{_TYPES}.UploadAptArtifactMetadata"}
    parent = f"artifactregistry/{repository.location_name}"
    return {"operation": operations.done(cloud, parent, response, metadata)}


async def import_artifacts(cloud: Cloud, call: Call) -> dict[str, Any]:
    """`aptArtifacts.import`: take packages from buckets, in one operation with errors by source."""
    repository = _standard(cloud, call.params["parent"])
    source = call.body.get("gcsSource")
    if not source or not source.get("uris"):
        raise invalid("gcsSource.uris is required: gs://BUCKET/OBJECT for each package")
    uris, wildcards = [str(uri) for uri in source["uris"]], bool(source.get("useWildcards"))
    return operations.start(
        cloud,
        f"artifactregistry/{repository.location_name}",
        _import(cloud, repository, _reader(cloud, call, repository), uris, wildcards),
        {"@type": f"{_TYPES}.ImportAptArtifactsMetadata"},
    )


def _reader(cloud: Cloud, call: Call, repository: Repository) -> str:
    """Whose permission an import needs on the bucket."""
    if cloud.options.import_reads_as == "caller":
        return call.identity
    number = project_number(repository.name.split("/")[1])
    return f"serviceAccount:service-{number}@gcp-sa-artifactregistry.iam.gserviceaccount.com"


async def _import(
    cloud: Cloud, repository: Repository, reader: str, uris: list[str], wildcards: bool
) -> dict[str, Any]:
    artifacts, objects = attached(cloud, Artifacts), attached(cloud, Objects)
    taken: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for uri in uris:
        try:
            for found in _objects(cloud, objects, reader, uri, wildcards):
                control = await _take(artifacts, repository, blob_path(objects, found), found.digests)
                if control is not None:
                    taken.append(deb.artifact(repository, control))
        except (ApiError, OSError, sqlite3.OperationalError) as error:
            known = refusal(error)
            if known is None:
                raise
            source = {"uris": [uri], "useWildcards": True} if wildcards else {"uris": [uri]}
            errors.append({"gcsSource": source, "error": operations.status(known)})
    response: dict[str, Any] = {"@type": f"{_TYPES}.ImportAptArtifactsResponse"}
    if taken:
        response["aptArtifacts"] = taken
    if errors:
        response["errors"] = errors
    return response


async def _take(
    artifacts: Artifacts, repository: Repository, path: Path, digests: Digests
) -> deb.Control | None:
    """Add one package; None if one of its name, version and architecture is held already."""
    control = await asyncio.to_thread(deb.read_control, path)
    if _conflicts(artifacts, repository, control):
        return None
    await asyncio.to_thread(artifacts.catalog.blobs.adopt, path, digests.sha256)
    try:
        artifacts.catalog.add(repository, deb.entry(repository, control, digests))
    except ApiError as error:
        if error.status == 409:
            return None
        raise
    return control


def _conflicts(artifacts: Artifacts, repository: Repository, control: deb.Control) -> bool:
    held = artifacts.catalog.files(repository, control.package, control.version)
    return any(entry.details["architecture"] == control.architecture for entry in held)


def _objects(cloud: Cloud, objects: Objects, reader: str, uri: str, wildcards: bool) -> list[Object]:
    """The objects that a URI names, if `reader` may have them."""
    parts = _URI.fullmatch(uri)
    if parts is None:
        raise invalid(f"'{uri}' is not of the form gs://BUCKET/OBJECT")
    bucket, name = parts["bucket"], parts["name"]
    objects.bucket(bucket)
    if not wildcards:
        access.require(cloud, reader, "storage.objects.get", f"storage/b/{bucket}/o/{name}")
        return [objects.get(bucket, name)]
    access.require(cloud, reader, "storage.objects.list", f"storage/b/{bucket}")
    access.require(cloud, reader, "storage.objects.get", f"storage/b/{bucket}/o")
    fixed = re.split(r"[*?\[]", name)[0]
    found = [item for item in objects.list(bucket, fixed) if fnmatch.fnmatchcase(item.name, name)]
    if not found:
        raise ApiError(404, "NOT_FOUND", f"No object matches {uri}")
    return found


def _standard(cloud: Cloud, name: str) -> Repository:
    repository = by_name(cloud, name)
    if repository.format != "APT":
        raise failed_precondition(f"Repository {repository.id} holds {repository.format}, not APT")
    if repository.remote:
        raise failed_precondition(f"Repository {repository.id} is a remote repository; it takes no uploads")
    return repository
