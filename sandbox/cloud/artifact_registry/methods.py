"""The REST methods of Artifact Registry that have behaviour: files, packages and versions.

See https://cloud.google.com/artifact-registry/docs/reference/rest. Repositories themselves are ordinary
resources of the control plane.
"""

from __future__ import annotations

import base64
import fnmatch
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from aiohttp import web

from sandbox.cloud import operations
from sandbox.cloud.artifact_registry import apt_uploads
from sandbox.cloud.artifact_registry.artifacts import Artifacts
from sandbox.cloud.artifact_registry.catalog import Catalog, Entry
from sandbox.cloud.artifact_registry.repository import Repository, by_name
from sandbox.cloud.context import Call, Cloud, Handler
from sandbox.cloud.errors import failed_precondition, invalid, not_found, unimplemented
from sandbox.cloud.storage.attached import attached
from sandbox.cloud.storage.serving import send_file

PAGE_LIMIT: Final = 1000
"""Items on a page, at most."""

_TYPES: Final = "type.googleapis.com/google.devtools.artifactregistry.v1"
_CONDITION: Final = re.compile(r'\s*(?P<field>[\w.]+)\s*=\s*"(?P<value>[^"]*)"\s*')
_NAME: Final = re.compile(
    r"(?P<repository>projects/[^/]+/locations/[^/]+/repositories/[^/]+)"
    r"(?:/files/(?P<file>.+)|/packages/(?P<package>[^/]+)(?:/versions/(?P<version>.+))?)?"
)


async def list_files(cloud: Cloud, call: Call) -> dict[str, Any]:
    """`files.list`."""
    repository = by_name(cloud, call.params["parent"])
    catalog, size, start = _catalog(cloud), _page_size(call), _page_start(call.query.get("pageToken"))
    if call.query.get("filter") or call.query.get("orderBy"):
        resources = (_file(repository, entry) for entry in catalog.listed(repository))
        return _page(call, "files", resources, ("name", "owner"))
    after = _unescaped(start.removeprefix(f"{repository.name}/files/"))
    entries = catalog.page(repository, after, size)
    answer: dict[str, Any] = {}
    if entries:
        answer["files"] = files = [_file(repository, entry) for entry in entries[:size]]
        if len(entries) > size:
            answer["nextPageToken"] = _page_token(files[-1])
    return answer


async def get_file(cloud: Cloud, call: Call) -> dict[str, Any]:
    """`files.get`."""
    return _file(*_found_file(cloud, call))


async def download_file(cloud: Cloud, call: Call) -> dict[str, Any] | web.StreamResponse:
    """`files.download`: the bytes with `alt=media`, else an empty response."""
    _, entry = _found_file(cloud, call)
    if call.query.get("alt") != "media":
        return {}
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": f'attachment; filename="{entry.filename}"',
    }
    return await send_file(call.request, _catalog(cloud).path(entry), headers)


async def delete_file(cloud: Cloud, call: Call) -> dict[str, Any]:
    """`files.delete`: for generic repositories only, in the real service too."""
    repository, _ = _found_file(cloud, call)
    raise failed_precondition(
        f"Files of a {repository.format} repository can't be deleted one by one; delete the version"
    )


async def list_packages(cloud: Cloud, call: Call) -> dict[str, Any]:
    """`packages.list`."""
    repository = by_name(cloud, call.params["parent"])
    groups = _grouped(_catalog(cloud).files(repository), lambda entry: entry.package)
    resources = (_dated(_package_name(repository, package), entries) for package, entries in groups.items())
    return _page(call, "packages", resources, ("name",))


async def get_package(cloud: Cloud, call: Call) -> dict[str, Any]:
    """`packages.get`."""
    repository, package, _ = _parsed(cloud, call.params["name"])
    return _dated(_package_name(repository, package), _held(cloud, repository, package))


async def delete_package(cloud: Cloud, call: Call) -> dict[str, Any]:
    """`packages.delete`: with all its versions."""
    repository, package, _ = _parsed(cloud, call.params["name"])
    _catalog(cloud).remove(repository, _held(cloud, repository, package))
    return _deleted(cloud, repository, "DeletePackageMetadata")


async def list_versions(cloud: Cloud, call: Call) -> dict[str, Any]:
    """`versions.list`."""
    repository, package, _ = _parsed(cloud, call.params["parent"])
    groups = _grouped(_held(cloud, repository, package), lambda entry: entry.version)
    resources = (_dated(_version_name(repository, entries[0]), entries) for entries in groups.values())
    return _page(call, "versions", resources, ("name",))


async def get_version(cloud: Cloud, call: Call) -> dict[str, Any]:
    """`versions.get`."""
    repository, package, version = _parsed(cloud, call.params["name"])
    held = _held(cloud, repository, package, version)
    return _dated(_version_name(repository, held[0]), held)


async def delete_version(cloud: Cloud, call: Call) -> dict[str, Any]:
    """`versions.delete`: with all files of the version."""
    repository, package, version = _parsed(cloud, call.params["name"])
    _catalog(cloud).remove(repository, _held(cloud, repository, package, version))
    return _deleted(cloud, repository, "DeleteVersionMetadata")


async def batch_delete_versions(cloud: Cloud, call: Call) -> dict[str, Any]:
    """`versions.batchDelete`: all of them or, if one is unknown, none; `validateOnly` only looks."""
    repository, package, _ = _parsed(cloud, call.params["parent"])
    gone: list[Entry] = []
    for name in call.body.get("names") or []:
        of, named_package, version = _parsed(cloud, str(name))
        if of.name != repository.name or package not in ("-", named_package) or not version:
            raise invalid(f"'{name}' is no version under {call.params['parent']}")
        gone += _held(cloud, repository, named_package, version)
    if not gone:
        raise invalid("names is required: the versions to delete")
    if not call.body.get("validateOnly"):
        _catalog(cloud).remove(repository, gone)
    return _deleted(cloud, repository, "BatchDeleteVersionsMetadata")


_REPOSITORIES: Final = "artifactregistry.projects.locations.repositories."

OVERRIDES: Final[dict[str, Handler]] = {
    _REPOSITORIES + "aptArtifacts.import": apt_uploads.import_artifacts,
    _REPOSITORIES + "aptArtifacts.upload": apt_uploads.upload,
    _REPOSITORIES + "files.delete": delete_file,
    _REPOSITORIES + "files.download": download_file,
    _REPOSITORIES + "files.get": get_file,
    _REPOSITORIES + "files.list": list_files,
    _REPOSITORIES + "packages.delete": delete_package,
    _REPOSITORIES + "packages.get": get_package,
    _REPOSITORIES + "packages.list": list_packages,
    _REPOSITORIES + "packages.versions.batchDelete": batch_delete_versions,
    _REPOSITORIES + "packages.versions.delete": delete_version,
    _REPOSITORIES + "packages.versions.get": get_version,
    _REPOSITORIES + "packages.versions.list": list_versions,
}
"""By discovery method id."""


def _catalog(cloud: Cloud) -> Catalog:
    return attached(cloud, Artifacts).catalog


def _parsed(cloud: Cloud, name: str) -> tuple[Repository, str, str]:
    """Repository, package and version of a resource name; slashes inside a part may be escaped."""
    parts = _NAME.fullmatch(name)
    if parts is None:
        raise invalid(f"'{name}' is no name of a package or version")
    package, version = (_unescaped(parts[part] or "") for part in ("package", "version"))
    return by_name(cloud, parts["repository"]), package, version


def _found_file(cloud: Cloud, call: Call) -> tuple[Repository, Entry]:
    parts = _NAME.fullmatch(call.params["name"])
    if parts is None or not parts["file"]:
        raise invalid(f"'{call.params['name']}' is no name of a file")
    repository = by_name(cloud, parts["repository"])
    entry = _catalog(cloud).get(repository, _unescaped(parts["file"]))
    if entry is None:
        raise not_found(f"File {call.params['name']} not found")
    return repository, entry


def _held(cloud: Cloud, repository: Repository, package: str, version: str | None = None) -> list[Entry]:
    entries = _catalog(cloud).files(repository, package, version or None)
    if not entries:
        what = f"{package} {version}" if version else package
        raise not_found(f"Requested entity was not found: {what} in {repository.name}")
    return entries


def _deleted(cloud: Cloud, repository: Repository, metadata: str) -> dict[str, Any]:
    empty = {"@type": "type.googleapis.com/google.protobuf.Empty"}
    parent = f"artifactregistry/{repository.location_name}"
    return operations.done(cloud, parent, empty, {"@type": f"{_TYPES}.{metadata}"})


def _file(repository: Repository, entry: Entry) -> dict[str, Any]:
    digests = entry.digests
    resource = {
        "name": f"{repository.name}/files/{_escaped(entry.id)}",
        "sizeBytes": str(digests.size),
        "hashes": [
            {"type": "SHA256", "value": base64.b64encode(bytes.fromhex(digests.sha256)).decode()},
            {"type": "MD5", "value": base64.b64encode(bytes.fromhex(digests.md5)).decode()},
        ],
        "createTime": entry.created,
        "updateTime": entry.created,
        "owner": _version_name(repository, entry),
    }
    if entry.fetched:
        resource["fetchTime"] = entry.fetched
    return resource


def _package_name(repository: Repository, package: str) -> str:
    return f"{repository.name}/packages/{_escaped(package)}"


def _version_name(repository: Repository, entry: Entry) -> str:
    return f"{_package_name(repository, entry.package)}/versions/{_escaped(entry.version)}"


def _dated(name: str, entries: list[Entry]) -> dict[str, Any]:
    times = sorted(entry.created for entry in entries)
    return {"name": name, "createTime": times[0], "updateTime": times[-1]}


def _grouped(entries: Iterable[Entry], key: Callable[[Entry], str]) -> dict[str, list[Entry]]:
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(key(entry), []).append(entry)
    return dict(sorted(groups.items()))


def _page(
    call: Call, field: str, resources: Iterable[dict[str, Any]], filterable: tuple[str, ...]
) -> dict[str, Any]:
    """One page of a listing, by name, after the call's filter."""
    if call.query.get("orderBy"):
        raise unimplemented(f"orderBy is not offered by this sandbox for {call.method_id}")
    fits = _filter(call.query.get("filter", ""), filterable)
    size, start = _page_size(call), _page_start(call.query.get("pageToken"))
    items = sorted(
        (item for item in resources if item["name"] > start and fits(item)), key=lambda i: i["name"]
    )
    answer: dict[str, Any] = {}
    if items:
        answer[field] = items[:size]
    if len(items) > size:
        answer["nextPageToken"] = _page_token(items[size - 1])
    return answer


def _page_size(call: Call) -> int:
    text = call.query.get("pageSize") or "0"
    if not text.isdecimal():
        raise invalid(f"pageSize has to be a number, not '{text}'")
    return min(int(text) or PAGE_LIMIT, PAGE_LIMIT)


def _page_token(last: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(last["name"].encode()).decode()


def _filter(text: str, filterable: tuple[str, ...]) -> Callable[[dict[str, Any]], bool]:
    """What `filter` means: conditions `FIELD="VALUE"` joined by AND, `*` for any characters, case ignored.

    A `+` may be escaped, as gcloud does in a package's id.
    """
    conditions: list[tuple[str, str]] = []
    for part in re.split(r"\s+AND\s+", text) if text.strip() else []:
        condition = _CONDITION.fullmatch(part)
        if condition is None or condition["field"] not in filterable:
            known = " or ".join(filterable)
            raise invalid(
                f"The filter '{text}' is not offered here; use {known} as in {filterable[0]}=\"VALUE\""
            )
        pattern = re.sub(r"([\[\]?])", r"[\1]", condition["value"].lower().replace("%2b", "+"))
        conditions.append((condition["field"], pattern))
    return lambda item: all(
        fnmatch.fnmatchcase(str(item.get(field, "")).lower().replace("%2b", "+"), pattern)
        for field, pattern in conditions
    )


def _page_start(token: str | None) -> str:
    try:
        return base64.urlsafe_b64decode(token or "").decode()
    except ValueError as error:
        raise invalid("Invalid page token") from error


def _escaped(part: str) -> str:
    return part.replace("/", "%2F")


def _unescaped(part: str) -> str:
    return part.replace("%2F", "/").replace("%2f", "/")
