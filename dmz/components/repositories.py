"""The repositories, and who may read and write each.

Owns: the Artifact Registry repositories, the access to each, and what a service perimeter does to their
upstreams. Leaves alone: their contents. Outside, Google fetches and forgets them by its own rules; inside,
only `PackageSync` writes, and to rename or delete a repository is refused, because that would delete what it
holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import pulumi
import pulumi_gcp as gcp

from dmz.components.component import Component
from dmz.promotion.base_image import BaseImage

_READER: Final = "roles/artifactregistry.reader"
_WRITER: Final = "roles/artifactregistry.writer"
"""Upload without delete; there is no role for uploads alone."""
_ADMIN: Final = "roles/artifactregistry.repoAdmin"
"""Upload and delete."""

Member = pulumi.Input[str]


class _Repositories(Component):
    """What both sides have: a place, a stance towards upstreams, and access by repository."""

    def __init__(
        self,
        name: str,
        *,
        project: str,
        location: str,
        upstreams: Literal["ALLOW", "DENY"],
        opts: pulumi.ResourceOptions | None,
    ) -> None:
        super().__init__(name, opts)
        self._project = project
        self._location = location
        # Unset, a perimeter denies upstreams; it says what is meant whether or not there is one.
        gcp.artifactregistry.VpcscConfig(
            "upstreams", project=project, location=location, vpcsc_policy=upstreams, opts=self.held
        )

    def _repository(
        self,
        repository_id: str,
        *,
        format: Literal["APT", "PYTHON"],
        description: str,
        access: Mapping[str, tuple[str, Member]],
        remote: gcp.artifactregistry.RepositoryRemoteRepositoryConfigArgs | None = None,
        keep: bool = False,
    ) -> None:
        """Declare one; `access` has a role and a member for each name that a grant goes by."""
        repository = gcp.artifactregistry.Repository(
            repository_id,
            repository_id=repository_id,
            project=self._project,
            location=self._location,
            format=format,
            mode="REMOTE_REPOSITORY" if remote else "STANDARD_REPOSITORY",
            description=description,
            remote_repository_config=remote,
            deletion_policy="PREVENT" if keep else None,
            opts=pulumi.ResourceOptions.merge(self.held, pulumi.ResourceOptions(protect=keep)),
        )
        for who, (role, member) in access.items():
            gcp.artifactregistry.RepositoryIamMember(
                f"{repository_id}-{who}",
                project=self._project,
                location=self._location,
                repository=repository.repository_id,
                role=role,
                member=member,
                opts=self.held,
            )


class OuterRepositories(_Repositories):
    """A remote repository for each suite of the base image and for Python; standard ones for what is built.

    The ids are those that `dmz.promotion` writes into releases as the origin of an artifact.
    """

    apt: list[dict[str, str]]
    """The remotes, each `{"repository", "suite"}`, in the base image's order."""
    python: str = "python-remote"
    python_built: str = "python-built"
    apt_built: str = "apt-built"

    def __init__(
        self,
        name: str,
        *,
        project: str,
        location: str,
        base_image: BaseImage,
        machine: Member,
        sync: Member,
        publisher: Member,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(name, project=project, location=location, upstreams="ALLOW", opts=opts)
        read = {"machine-reads": (_READER, machine), "sync-reads": (_READER, sync)}
        self.apt = []
        for suite in base_image.suites:
            self.apt.append({"repository": suite.repository, "suite": suite.name})
            self._repository(
                suite.repository,
                format="APT",
                description=f"{base_image.distribution} {suite.name}, fetched as asked for",
                access=read,
                remote=gcp.artifactregistry.RepositoryRemoteRepositoryConfigArgs(
                    description=suite.path,
                    apt_repository=gcp.artifactregistry.RepositoryRemoteRepositoryConfigAptRepositoryArgs(
                        public_repository=gcp.artifactregistry.RepositoryRemoteRepositoryConfigAptRepositoryPublicRepositoryArgs(
                            repository_base=suite.base, repository_path=suite.path
                        )
                    ),
                ),
            )
        self._repository(
            self.python,
            format="PYTHON",
            description="The public Python index, fetched as asked for",
            access=read,
            remote=gcp.artifactregistry.RepositoryRemoteRepositoryConfigArgs(
                python_repository=gcp.artifactregistry.RepositoryRemoteRepositoryConfigPythonRepositoryArgs(
                    public_repository="PYPI"
                )
            ),
        )
        self._repository(
            self.python_built,
            format="PYTHON",
            description="Wheels that were built because upstream has none",
            access={"publisher-writes": (_WRITER, publisher), "sync-reads": (_READER, sync)},
        )
        self._repository(
            self.apt_built,
            format="APT",
            description="Debian packages that were built because upstream has none",
            access={"sync-reads": (_READER, sync)},
        )
        self.register_outputs({})


class InnerRepositories(_Repositories):
    """Two standard repositories: the sync writes, the machine reads, nobody else does either."""

    apt: str = "apt"
    python: str = "python"

    def __init__(
        self,
        name: str,
        *,
        project: str,
        location: str,
        machine: Member,
        sync: Member,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(name, project=project, location=location, upstreams="DENY", opts=opts)
        access = {"machine-reads": (_READER, machine), "sync-writes": (_ADMIN, sync)}
        self._repository(
            self.apt, format="APT", description="Released Debian packages", access=access, keep=True
        )
        self._repository(
            self.python, format="PYTHON", description="Released Python packages", access=access, keep=True
        )
        self.register_outputs({})
