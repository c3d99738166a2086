"""The cloud that syncs are run against: one outer side, and a fresh inner side for each test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest

from dmz.artifact import Kind
from dmz.attestations import Place
from dmz.promotion import lines
from dmz.promotion import release as releases
from dmz.promotion.entry import Entry
from dmz.promotion.release import Release
from dmz.promotion.statement import verifier_id
from dmz.sync.inputs import Inputs
from sandbox.cloud import policies
from sandbox.cloud.artifact_registry.artifacts import Artifacts
from sandbox.cloud.artifact_registry.repository import by_name
from sandbox.cloud.context import OPERATOR
from sandbox.cloud.endpoints import variables
from sandbox.cloud.storage.attached import attached
from sandbox.cloud.storage.objects import Objects
from sandbox.cloud.tokens import write_secret
from tests import attestations
from tests.faults.goods import offered
from tests.faults.proxy import Proxy
from tests.sandbox.cloud.conftest import Box
from tests.sandbox.data.harness import Loop

LOCATION: Final = "us-central1"
SYNC: Final = "dmz-sync@outer.iam.gserviceaccount.com"
ARCHIVIST: Final = "dmz-archivist@outer.iam.gserviceaccount.com"
WORKLOAD: Final = "small"
_OTHER: Final = "another"
"""A second workload, which only the earlier releases have."""


EARLIER: Final = ("kept", "old", "moved-1", "deb-kept", "deb-old", "file-kept", "file-old")
"""What the first release has, that inner holds when a test begins."""
LATER: Final = ("kept", "moved-2", "new", "deb-kept", "deb-new", "deb-large", "file-kept", "file-new")
"""What the second release has, that the sync under test is to bring in."""


@dataclass(frozen=True)
class Inner:
    """One inner side, with two releases for it: the one it holds, and the one that is to come."""

    world: World
    project: str
    earlier: Inputs
    later: Inputs
    before: frozenset[str]
    """SHA-256 of what the earlier releases approved, as the state tells the sync."""
    wanted: frozenset[str]
    """SHA-256 of what the later release has."""
    reader: str
    """A token of the machine."""
    digests: dict[str, frozenset[str]]
    """By the digest of a release, what it has."""

    @property
    def approved(self) -> frozenset[str]:
        return self.before | self.wanted

    @property
    def bucket(self) -> str:
        return self.later.release_bucket

    def rearrange(self) -> None:
        """Make it so that a sync has to do everything that it ever does.

        A deb was staged by a sync that was killed before the import; the archive has something that inner
        lacks, and lacks what inner has.
        """
        world, bodies = self.world, self.world.goods.bodies
        (deb,) = world.goods.of("deb-new")
        world.write(f"{self.project}-staging", f"{deb.sha256}/{deb.filename}", bodies[deb.sha256])
        archive = f"{self.project}-archive"
        (wheel,) = world.goods.of("moved-2")
        world.write(archive, f"sha256/{wheel.sha256}", bodies[wheel.sha256])
        for kept in world.goods.of("kept", "deb-kept", "file-kept"):
            path = f"storage/v1/b/{archive}/o/sha256%2F{kept.sha256}"
            world.box.send("DELETE", "storage", path)


class World:
    """The sandbox's cloud, what it offers, and the proxy in front of it."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.box = Box(root / "sandbox")
        self.upstream = Loop()
        self.proxy = Proxy(dict(self.box.cloud.endpoints))
        self.goods = offered(root, self.upstream, patch)
        self._made = 0
        self._offer()

    def close(self) -> None:
        self.proxy.close()
        self.upstream.close()
        self.box.close()

    def environment(self, proxy: Proxy | None = None) -> dict[str, str]:
        """What leads a sync through the proxy, or through another one."""
        addresses = (proxy or self.proxy).addresses
        write_secret(self.box.cloud.root / "operator.token", self.box.token)
        found = {"GOOGLE_OAUTH_ACCESS_TOKEN": self.box.token}
        for name, value in variables(self.box.cloud.root, self.box.ports, {}).items():
            for service, address in self.box.cloud.endpoints.items():
                if value.startswith(address):
                    found[name] = addresses[service] + value.removeprefix(address)
        return found

    # -- the outer side ----------------------------------------------------------------------------------

    def _offer(self) -> None:
        for account in (SYNC, ARCHIVIST):
            self.box.account(account.partition("@")[0], "outer")
            name = f"iam/projects/outer/serviceAccounts/{account}"
            self.grant(name, {"roles/iam.serviceAccountTokenCreator": OPERATOR})
        self.outer_repositories("python-remote", "apt-bookworm")
        for name in ("outer-files", "outer-attestations"):
            self.bucket("outer", name, {"roles/storage.objectViewer": f"serviceAccount:{SYNC}"})
        for one in self.goods.artifacts.values():
            if one.kind is Kind.FILE:
                self.write("outer-files", f"files/{one.sha256}/{one.filename}", self.goods.bodies[one.sha256])

    def outer_repositories(self, *names: str) -> None:
        """Declare remote repositories of the outer side."""
        reads = {"roles/artifactregistry.reader": f"serviceAccount:{SYNC}"}
        suite = {"repositoryBase": "DEBIAN", "repositoryPath": "debian/dists/bookworm"}
        upstreams = {
            "python-remote": ("PYTHON", {"customRepository": {"uri": self.goods.url}}),
            "apt-bookworm": ("APT", {"publicRepository": suite}),
        }
        for name in names:
            package_format, upstream = upstreams[name]
            self.repository("outer", name, package_format, reads, upstream)

    # -- inner sides -------------------------------------------------------------------------------------

    def inner(self, model: Inner | None = None) -> Inner:
        """A fresh inner side, which holds what `model` holds; both its releases are attested."""
        self._made += 1
        project = f"inner-{self._made}"
        machine = f"serviceAccount:{self.box.account('dmz-machine', project)}"
        sync = f"serviceAccount:{SYNC}"
        self.inner_repository(project, "python")
        self.inner_repository(project, "apt")
        self.bucket(
            project,
            f"{project}-release",
            {"roles/storage.objectAdmin": sync, "roles/storage.objectViewer": machine},
        )
        self.bucket(project, f"{project}-staging", {"roles/storage.objectUser": sync})
        self.bucket(
            "outer",
            f"{project}-archive",
            {
                "roles/storage.objectCreator": sync,
                "roles/storage.objectViewer": sync,
                "roles/storage.objectUser": f"serviceAccount:{ARCHIVIST}",
            },
        )
        earlier, olds = self._released(project, "earlier", {WORKLOAD: EARLIER, _OTHER: ("old",)})
        later, news = self._released(project, "later", {WORKLOAD: LATER})
        if model is not None:
            self._copy(model.project, project)
        return Inner(
            self,
            project,
            earlier,
            later,
            frozenset(one.sha256 for one in lines.parse(earlier.packages)),
            frozenset(one.sha256 for one in lines.parse(later.packages)),
            self.box.cloud.tokens.issue(machine),
            olds | news,
        )

    def _copy(self, source: str, target: str) -> None:
        """Put into one inner side what another one holds, behind the services' back."""
        cloud = self.box.cloud

        async def copy() -> None:
            catalog, objects = attached(cloud, Artifacts).catalog, attached(cloud, Objects)
            for name in ("python", "apt"):
                of, to = (
                    by_name(cloud, f"projects/{project}/locations/{LOCATION}/repositories/{name}")
                    for project in (source, target)
                )
                for entry in catalog.files(of):
                    catalog.add(to, entry)
            for purpose in ("release", "staging", "archive"):
                for one in objects.list(f"{source}-{purpose}"):
                    objects.put(f"{target}-{purpose}", one.name, one.digests, one.fields)

        self.box.do(copy())
        self.pass_time(target)

    def _released(
        self, project: str, when: str, contents: dict[str, tuple[str, ...]]
    ) -> tuple[Inputs, dict[str, frozenset[str]]]:
        """Write and attest releases; the inputs of a sync that carries them in."""
        folder = self.root / project / when
        place = Place(project, LOCATION, "outer-attestations", attestations.trust())
        made: dict[str, Release] = {}
        for workload, names in contents.items():
            entries = tuple(
                Entry(one, one.name, one.version) if one.kind is Kind.APT else Entry(one)
                for one in self.goods.of(*names)
            )
            release = Release(workload, "0" * 64, "sandbox-debian-12", "1" * 64, "3.11", entries)
            releases.write(release, folder)
            made[workload] = releases.read(folder, workload)
            signed: dict[str, bytes] = {}
            attestations.attest(signed, made[workload], place)
            for name, body in signed.items():
                self.write("outer-attestations", name, body)
        props: dict[str, Any] = {
            "packages": lines.render(releases.union(made.values())),
            "releases": {workload: release.digest for workload, release in made.items()},
            "attestation": {
                "key": attestations.pem(),
                "verifier": verifier_id(attestations.ATTESTOR),
                "bucket": "outer-attestations",
                "policyDigest": attestations.POLICY,
                "maxAgeSeconds": 604800.0,
            },
            "attestations": {},
            "releaseFolder": "releases",
            "project": project,
            "location": LOCATION,
            "aptRepository": "apt",
            "pythonRepository": "python",
            "releaseBucket": f"{project}-release",
            "stagingBucket": f"{project}-staging",
            "outerProject": "outer",
            "filesBucket": "outer-files",
            "archiveBucket": f"{project}-archive",
            "syncServiceAccount": SYNC,
            "adopt": False,
            "withdrawOnDelete": False,
            "providerVersion": "2",
        }
        inputs = replace(Inputs.of(props), release_folder=folder)
        return inputs, {
            release.digest: frozenset(entry.artifact.sha256 for entry in release.entries)
            for release in made.values()
        }

    def inner_repository(self, project: str, name: str) -> None:
        """Declare a repository of an inner side, `python` or `apt`."""
        access = {
            "roles/artifactregistry.repoAdmin": f"serviceAccount:{SYNC}",
            "roles/artifactregistry.reader": f"serviceAccount:dmz-machine@{project}.iam.gserviceaccount.com",
        }
        self.repository(project, name, name.upper(), access)

    def pass_time(self, project: str) -> None:
        """Let so much time go by for an inner side that leases run out which nobody renews."""
        objects = attached(self.box.cloud, Objects)
        query = "UPDATE objects SET updated = ? WHERE bucket IN (?, ?) AND name LIKE 'lease/%'"
        values = ("2026-01-01T00:00:00.000Z", f"{project}-release", f"{project}-archive")

        async def change() -> None:
            objects._database.execute(query, values)

        self.box.do(change())

    # -- the cloud ---------------------------------------------------------------------------------------

    def repository(
        self,
        project: str,
        name: str,
        package_format: str,
        access: dict[str, str],
        upstream: dict[str, Any] | None = None,
    ) -> None:
        """Declare a repository; with an upstream it is a remote one."""
        parent = f"projects/{project}/locations/{LOCATION}"
        body: dict[str, Any] = {"format": package_format}
        if upstream is not None:
            key = f"{package_format.lower()}Repository"
            body |= {"mode": "REMOTE_REPOSITORY", "remoteRepositoryConfig": {key: upstream}}
        operation = self.box.call(
            "POST", "artifactregistry", f"v1/{parent}/repositories", body, repositoryId=name
        )
        self.box.operation("artifactregistry", "v1", operation)
        self.grant(f"artifactregistry/{parent}/repositories/{name}", access)

    def bucket(self, project: str, name: str, access: dict[str, str]) -> None:
        """Declare a bucket."""
        self.box.call("POST", "storage", "storage/v1/b", {"name": name}, project=project)
        self.grant(f"storage/b/{name}", access)

    def grant(self, name: str, access: dict[str, str]) -> None:
        """Give roles to members on what the store has as `name`."""
        bindings = [{"role": role, "members": [member]} for role, member in access.items()]
        if name.startswith("storage/"):
            bindings.append({"role": "roles/storage.objectAdmin", "members": [OPERATOR]})

        async def put() -> None:
            policies.put(self.box.cloud.store, name, {"bindings": bindings})

        self.box.do(put())

    def write(self, bucket: str, name: str, body: bytes) -> None:
        """Write an object, as the operator."""
        self.box.write(bucket, name, body)


@contextmanager
def serving(root: Path) -> Iterator[World]:
    """A world that ends."""
    with pytest.MonkeyPatch.context() as patch:
        world = World(root, patch)
        try:
            for name, value in world.environment().items():
                patch.setenv(name, value)
            yield world
        finally:
            world.close()
