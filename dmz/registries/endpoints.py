"""Where Google's services are.

Endpoints come from the environment, under the names that Google's Terraform and Pulumi providers read
(`GOOGLE_<SERVICE>_CUSTOM_ENDPOINT`); the default is the public service.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import httpx


@dataclass(frozen=True)
class Endpoints:
    """Base addresses of the services used here; each ends in a slash."""

    artifact_registry: str
    storage: str
    iam_credentials: str
    python: str
    """Data plane of Python repositories."""
    apt: str
    """Data plane of apt repositories."""
    kms: str
    container_analysis: str
    oauth2: str
    """Tells whose an access token is."""

    @property
    def counted(self) -> tuple[str, ...]:
        """Where Artifact Registry's quotas apply."""
        return self.artifact_registry, upload_base(self.artifact_registry), self.python, self.apt

    @classmethod
    def from_environment(cls, location: str) -> Endpoints:
        """The endpoints for repositories in `location` (`us-central1`)."""

        def named(variable: str, default: str) -> str:
            return os.environ.get(variable, default).replace("{location}", location).rstrip("/") + "/"

        emulator = os.environ.get("STORAGE_EMULATOR_HOST")
        return cls(
            named("GOOGLE_ARTIFACT_REGISTRY_CUSTOM_ENDPOINT", "https://artifactregistry.googleapis.com/v1/"),
            named(
                "GOOGLE_STORAGE_CUSTOM_ENDPOINT",
                f"{(emulator or 'https://storage.googleapis.com').rstrip('/')}/storage/v1/",
            ),
            named("GOOGLE_IAM_CREDENTIALS_CUSTOM_ENDPOINT", "https://iamcredentials.googleapis.com/v1/"),
            named("DMZ_PYTHON_REPOSITORY_ENDPOINT", "https://{location}-python.pkg.dev/"),
            named("DMZ_APT_REPOSITORY_ENDPOINT", "https://{location}-apt.pkg.dev/"),
            named("GOOGLE_KMS_CUSTOM_ENDPOINT", "https://cloudkms.googleapis.com/v1/"),
            named(
                "GOOGLE_CONTAINER_ANALYSIS_CUSTOM_ENDPOINT", "https://containeranalysis.googleapis.com/v1/"
            ),
            named("DMZ_OAUTH2_ENDPOINT", "https://oauth2.googleapis.com/"),
        )


def upload_base(endpoint: str) -> str:
    """The media upload address that belongs to an API's base address: the same path below `/upload`."""
    url = httpx.URL(endpoint)
    return str(url.copy_with(path="/upload" + url.path))
