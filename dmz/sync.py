"""PackageSync: the resource that makes the inner repositories hold exactly the releases.

A thin adapter from Pulumi to `dmz.promotion`. The provider keeps nothing between calls: clients are made
where they are used, as the identity of the sync, which the caller impersonates.

The import path of `PackageSyncProvider` is in the state of every stack: moving or renaming it breaks them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar

import pulumi
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)
from pulumi.output import Unknown

from dmz.artifact import Artifact, Kind
from dmz.errors import DmzError, InputError
from dmz.promotion import drift, lines, lockfiles
from dmz.promotion import release as releases
from dmz.promotion.entry import APT_PREFIX
from dmz.promotion.plan import Plan, plan
from dmz.promotion.transfer import Counters, Progress, carry_out
from dmz.registries.apt import AptRegistry
from dmz.registries.bucket import Bucket, BucketRegistry
from dmz.registries.concurrency import together
from dmz.registries.google import Google, connect
from dmz.registries.interface import Registry, Stored
from dmz.registries.python import PythonRegistry
from dmz.registries.repository import Repository

PROVIDER_VERSION: Final = "1"
"""Raised when a change of this code must make every stack sync again."""

_TARGET: Final = ("project", "location", "aptRepository", "pythonRepository", "releaseBucket")
"""Inputs that say where the releases go: another one is another resource."""
_TEXTS: Final = (
    *_TARGET,
    "outerProject",
    "filesBucket",
    "syncServiceAccount",
    "releaseFolder",
    "providerVersion",
)
_SWITCHES: Final = ("adopt", "withdrawOnDelete")
_INPUTS: Final = ("packages", "releases", *_TEXTS, *_SWITCHES)
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_TICK: Final = 2.0
"""Seconds between two lines of progress."""

_T = TypeVar("_T")


class PackageSync(Resource, module="dmz", name="PackageSync"):
    """The inner repositories' content: the releases, and nothing else."""

    packages: pulumi.Output[dict[str, str]]
    """What the repositories hold: `pypi/NAME`, `apt/NAME:ARCH` or `files/NAME` → one line."""
    releases: pulumi.Output[dict[str, str]]
    """Release digest by workload, as published to the machines."""
    copied: pulumi.Output[int]
    kept: pulumi.Output[int]
    withdrawn: pulumi.Output[int]
    bytes: pulumi.Output[int]
    """Of what was copied by the last run."""
    seconds: pulumi.Output[float]
    """Of the last run."""
    lingering: pulumi.Output[list[str]]
    """File names that no release has and that share their version with one that a release has: the service
    deletes whole versions only."""

    def __init__(
        self,
        name: str,
        *,
        packages: pulumi.Input[Mapping[str, pulumi.Input[str]]],
        releases: pulumi.Input[Mapping[str, pulumi.Input[str]]],
        release_folder: str,
        project: pulumi.Input[str],
        location: pulumi.Input[str],
        apt_repository: pulumi.Input[str],
        python_repository: pulumi.Input[str],
        release_bucket: pulumi.Input[str],
        outer_project: pulumi.Input[str],
        files_bucket: pulumi.Input[str],
        sync_service_account: pulumi.Input[str],
        adopt: bool = False,
        withdraw_on_delete: bool = False,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Args:
        packages: as `dmz.promotion.lines.render` writes the union of the releases.
        releases: release digest by workload.
        release_folder: folder of the lock files, relative to the project's.
        project: the inner project.
        outer_project: where the approved files are read.
        files_bucket: outer bucket of workload files.
        sync_service_account: the identity to act as.
        adopt: whether a first run may withdraw what was in the repositories before.
        withdraw_on_delete: whether deleting this resource empties the repositories.
        """
        super().__init__(
            PackageSyncProvider(),
            name,
            {
                "packages": packages,
                "releases": releases,
                "releaseFolder": release_folder,
                "project": project,
                "location": location,
                "aptRepository": apt_repository,
                "pythonRepository": python_repository,
                "releaseBucket": release_bucket,
                "outerProject": outer_project,
                "filesBucket": files_bucket,
                "syncServiceAccount": sync_service_account,
                "adopt": adopt,
                "withdrawOnDelete": withdraw_on_delete,
                "providerVersion": PROVIDER_VERSION,
                # Outputs have to be named for the SDK to resolve them.
                "copied": None,
                "kept": None,
                "withdrawn": None,
                "bytes": None,
                "seconds": None,
                "lingering": None,
            },
            opts,
        )


class PackageSyncProvider(ResourceProvider):
    """Create, read, update and delete of `PackageSync`."""

    serialize_as_secret_always = False
    """Nothing is captured, so nothing secret either."""

    def configure(self, req: ConfigureRequest) -> None:
        """Called once in Pulumi's process for dynamic resources, before anything else."""
        _speak_plainly(sys.modules["__main__"])

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuse inputs that cannot be carried out. What a preview does not know yet passes."""
        return CheckResult(news, list(_failures(news)))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Another target replaces; any other changed input updates; outputs make no difference."""
        changed = [key for key in _INPUTS if _differs(olds.get(key), news.get(key))]
        # What is not known yet is most likely what it was: it is looked at again when it is known.
        replaces = [key for key in changed if key in _TARGET and not isinstance(news.get(key), Unknown)]
        return DiffResult(changes=bool(changed), replaces=replaces)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Adopt what is there and copy the rest; withdraw what was there before only if `adopt` says so."""
        inputs = _Inputs.of(props)
        outs = _run(_sync(inputs, adopt=inputs.adopt))
        return CreateResult(inputs.id, {**_inputs_only(props), **outs})

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Copy, then withdraw what no release has."""
        outs = _run(_sync(_Inputs.of(news), adopt=True))
        return UpdateResult({**_inputs_only(news), **outs})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """What the repositories really hold, as inputs too, so that a refresh shows drift by package."""
        found = _run(_held(_Inputs.of(props)))
        if found is None:
            return ReadResult("", {})  # a repository is gone, and this resource with it
        return ReadResult(id_, {**props, **found}, {**_inputs_only(props), **found})

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Withdraw what the state knows of if `withdrawOnDelete` says so; else nothing."""
        inputs = _Inputs.of(props)
        if inputs.withdraw_on_delete:
            _run(_withdraw_all(inputs))


# ---- inputs


@dataclass(frozen=True)
class _Inputs:
    packages: dict[str, str]
    releases: dict[str, str]
    release_folder: Path
    project: str
    location: str
    apt_repository: str
    python_repository: str
    release_bucket: str
    outer_project: str
    files_bucket: str
    sync_service_account: str
    adopt: bool
    withdraw_on_delete: bool

    @classmethod
    def of(cls, props: Mapping[str, Any]) -> _Inputs:
        for failure in _failures(props):
            raise InputError(f"{failure.property}: {failure.reason}")
        return cls(
            dict(props["packages"]),
            dict(props["releases"]),
            Path(props["releaseFolder"]),
            props["project"],
            props["location"],
            props["aptRepository"],
            props["pythonRepository"],
            props["releaseBucket"],
            props["outerProject"],
            props["filesBucket"],
            props["syncServiceAccount"],
            bool(props.get("adopt", False)),
            bool(props.get("withdrawOnDelete", False)),
        )

    @property
    def id(self) -> str:
        return f"{self.project}/{self.location}/{self.python_repository},{self.apt_repository}"


def _inputs_only(props: Mapping[str, Any]) -> dict[str, Any]:
    return {key: props[key] for key in _INPUTS if key in props}


def _failures(props: Mapping[str, Any]) -> Iterable[CheckFailure]:
    """What is wrong with the inputs, as far as they are known."""
    for key in _TEXTS:
        value = props.get(key)
        if not isinstance(value, Unknown) and (not isinstance(value, str) or not value.strip()):
            yield CheckFailure(key, f"{value!r} is no text; pass the {key} of the stack")
    for key in _SWITCHES:
        if not isinstance(props.get(key, False), bool | Unknown):
            yield CheckFailure(key, f"{props[key]!r} is neither true nor false")
    folder = props.get("releaseFolder")
    if isinstance(folder, str) and (Path(folder).is_absolute() or ".." in Path(folder).parts):
        yield CheckFailure("releaseFolder", f"'{folder}' leaves the project; name a folder in it")
    for key, check in (("packages", _package_line), ("releases", _release_digest)):
        value = props.get(key)
        if isinstance(value, Unknown):
            continue
        if not isinstance(value, Mapping):
            yield CheckFailure(key, f"{value!r} is no map")
            continue
        for name, text in value.items():
            if not isinstance(text, Unknown) and (problem := check(name, text)):
                yield CheckFailure(key, problem)


def _package_line(key: str, line: object) -> str:
    try:
        lines.parse({key: str(line)})
    except InputError as error:
        return str(error)
    return ""


def _release_digest(workload: str, digest: object) -> str:
    if isinstance(digest, str) and _SHA256.fullmatch(digest):
        return ""
    return f"{workload}: {digest!r} is no release digest; run `dmz screen` again"


def _differs(old: object, new: object) -> bool:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return old.keys() != new.keys() or any(_differs(old[key], new[key]) for key in new)
    return isinstance(new, Unknown) or old != new


# ---- the work


@dataclass(frozen=True)
class _Inner:
    """The inner side: its three repositories and the objects that the machines read."""

    python: PythonRegistry
    apt: AptRegistry
    files: BucketRegistry
    release: Bucket

    @classmethod
    def of(cls, google: Google, inputs: _Inputs) -> _Inner:
        return cls(
            PythonRegistry(google, inputs.project, inputs.location, inputs.python_repository),
            AptRegistry(google, inputs.project, inputs.location, inputs.apt_repository),
            BucketRegistry(google, inputs.release_bucket),
            Bucket(google, inputs.release_bucket),
        )

    @property
    def registries(self) -> dict[Kind, Registry]:
        return {Kind.PYPI: self.python, Kind.APT: self.apt, Kind.FILE: self.files}

    async def list(self) -> list[Stored]:
        held = await together(registry.list() for registry in self.registries.values())
        return [stored for part in held for stored in part]


def _sources(google: Google, inputs: _Inputs, artifacts: Iterable[Artifact]) -> dict[str, Registry]:
    """The outer repositories that the artifacts name."""
    artifacts = list(artifacts)
    # Packages for all architectures are in the index of each.
    architectures = {artifact.architecture for artifact in artifacts if artifact.kind is Kind.APT} - {"all"}
    found: dict[str, Registry] = {}
    for artifact in artifacts:
        project, location, origin = inputs.outer_project, inputs.location, artifact.origin
        if origin in found:
            continue
        match artifact.kind:
            case Kind.PYPI:
                found[origin] = PythonRegistry(google, project, location, origin)
            case Kind.APT:
                found[origin] = AptRegistry(
                    google,
                    project,
                    location,
                    origin,
                    architectures=tuple(sorted(architectures)) or None,
                    suite=origin.removeprefix(APT_PREFIX),
                )
            case Kind.FILE:
                found[origin] = BucketRegistry(google, inputs.files_bucket)
    return found


async def _sync(inputs: _Inputs, *, adopt: bool) -> dict[str, Any]:
    approved, files = _verified(inputs)
    async with _Ticker() as ticker, _google(inputs) as google:
        inner = _Inner.of(google, inputs)
        ticker.says("looking at what the inner repositories hold")
        todo = plan(approved, await inner.list())
        todo.check(adopt)
        ticker.says(f"copying {len(todo.copy)} files")

        def progress(at: Progress) -> None:
            ticker.says(
                f"{at.done} of {at.total} files copied, {at.bytes >> 20} of {at.total_bytes >> 20} MiB"
            )

        async def publish() -> None:
            debs = [artifact for artifact in approved if artifact.kind is Kind.APT]
            if debs:
                ticker.says("waiting until the inner apt index shows all packages")
                await inner.apt.settle(debs)
            ticker.says("publishing the releases to the machines")
            await _publish(inner.release, inputs.releases, files)
            ticker.says(f"withdrawing {len(todo.withdraw)} files")

        sources = _sources(google, inputs, todo.copy)
        counters = await carry_out(todo, sources, inner.registries, progress, arrived=publish)
    return _outputs(counters, todo)


def _outputs(counters: Counters, done: Plan) -> dict[str, Any]:
    return {
        "copied": counters.copied,
        "kept": counters.kept,
        "withdrawn": counters.withdrawn,
        "bytes": counters.bytes,
        "seconds": round(counters.seconds, 1),
        "lingering": [stored.filename for stored in done.lingering],
    }


def _verified(inputs: _Inputs) -> tuple[list[Artifact], dict[str, dict[str, bytes]]]:
    """The approved artifacts, and each workload's lock files as they are in the checkout.

    Raises:
        InputError: the checkout is not what the inputs were made from.
    """
    found = {workload: releases.read(inputs.release_folder, workload) for workload in inputs.releases}
    for workload, release in found.items():
        if release.digest != inputs.releases[workload]:
            raise InputError(
                f"{inputs.release_folder}: the release of {workload} is {release.digest}, planned was "
                f"{inputs.releases[workload]}; it changed meanwhile: run `pulumi up` again"
            )
    approved = lines.parse(inputs.packages)
    if approved != releases.union(found.values()):
        raise InputError(
            f"packages: not what the releases in {inputs.release_folder} say; run `pulumi up` again"
        )
    return approved, {workload: release.files for workload, release in found.items()}


async def _publish(
    bucket: Bucket, digests: Mapping[str, str], files: Mapping[str, Mapping[str, bytes]]
) -> None:
    """Write the releases, and after them what tells the machines which one to install."""
    for workload, digest in digests.items():
        for name, body in files[workload].items():
            await _put(bucket, f"releases/{digest}/{name}", body)
    current = {
        f"current/{workload}.json": json.dumps({"workload": workload, "digest": digest}).encode()
        for workload, digest in digests.items()
    }
    for item in await bucket.list("current/"):
        if item.name not in current:
            await bucket.delete(item.name)
    for name, body in current.items():
        await _put(bucket, name, body)


async def _put(bucket: Bucket, name: str, body: bytes) -> None:
    if await bucket.read(name) != body:
        await bucket.write(name, body)


async def _held(inputs: _Inputs) -> dict[str, Any] | None:
    """`packages` and `releases` as they are now; None if a repository does not exist."""
    async with _Ticker() as ticker, _google(inputs) as google:
        ticker.says("looking at what the inner repositories hold")
        for repository in (inputs.python_repository, inputs.apt_repository):
            if not await Repository(google, inputs.project, inputs.location, repository).describe():
                return None
        inner = _Inner.of(google, inputs)
        return {
            "packages": drift.present(await inner.list(), inputs.packages),
            "releases": await _published(inner.release),
        }


async def _published(bucket: Bucket) -> dict[str, str]:
    """Release digest by workload, for those whose lock files are there and whole."""
    found: dict[str, str] = {}
    for item in await bucket.list("current/"):
        workload = item.name.removeprefix("current/").removesuffix(".json")
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, InputError):
            digest = str(json.loads(await bucket.read(item.name) or b"")["digest"])
            bodies = {
                name: await bucket.read(f"releases/{digest}/{name}") or b""
                for name in lockfiles.names(workload)
            }
            if releases.Release.parse(workload, bodies, bucket.name).digest == digest:
                found[workload] = digest
    return found


async def _withdraw_all(inputs: _Inputs) -> None:
    async with _Ticker() as ticker, _google(inputs) as google:
        inner = _Inner.of(google, inputs)
        ticker.says("withdrawing the packages from the inner repositories")
        known = {artifact.sha256 for artifact in lines.parse(inputs.packages)}
        leaving = plan((), [stored for stored in await inner.list() if stored.sha256 in known])
        await _publish(inner.release, {}, {})
        await carry_out(leaving, {}, inner.registries)


def _google(inputs: _Inputs) -> contextlib.AbstractAsyncContextManager[Google]:
    return connect(inputs.location, impersonate=inputs.sync_service_account)


# ---- speaking to people


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    return asyncio.run(work)


class _Ticker:
    """Says every two seconds what is being done, on standard error, which Pulumi shows."""

    def __init__(self) -> None:
        self._text = ""
        self._task: asyncio.Task[None] | None = None

    def says(self, text: str) -> None:
        self._text = text

    async def __aenter__(self) -> _Ticker:
        self._task = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task:
            self._task.cancel()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            print(f"PackageSync: {self._text} …", file=sys.stderr, flush=True)


class _PlainTraceback(ModuleType):
    """Stands in for `traceback` where Pulumi reports what a provider raised."""

    @staticmethod
    def format_exc() -> str:
        import traceback

        error = sys.exc_info()[1]
        return str(error) if isinstance(error, DmzError) else traceback.format_exc()


def _speak_plainly(server: ModuleType) -> None:
    """Make the refusals of this project reach the user as the one line that they are.

    The SDK's server for dynamic resources (`pulumi/dynamic/__main__.py`) answers every exception with
    `traceback.format_exc()` and offers no other way to fail. Only its own reference to that module is
    replaced, and only errors that are meant for people lose their traceback.
    """
    if hasattr(server, "DynamicResourceProviderServicer"):
        server.traceback = _PlainTraceback("traceback")  # type: ignore[attr-defined]
