"""Which permission a method of Google's APIs asks for.

Most follow from the method's id: `compute.networks.insert` needs `compute.networks.create`. The rest is here,
as Google's reference has it (https://cloud.google.com/iam/docs/permissions-reference).
"""

from __future__ import annotations

from typing import Final

_SERVICES: Final = {"cloudresourcemanager": "resourcemanager", "iamcredentials": "iam"}
"""Services whose permissions begin with another name."""

_VERBS: Final = {"insert": "create", "patch": "update", "wait": "get"}

_REPOSITORIES: Final = "artifactregistry.projects.locations.repositories"
_VERSIONS: Final = "cloudkms.projects.locations.keyRings.cryptoKeys.cryptoKeyVersions"
_SPECIAL: Final = {
    # Named by the reference of `gcloud artifacts vpcsc-config`.
    "artifactregistry.projects.locations.getVpcscConfig": "artifactregistry.vpcscconfigs.get",
    "artifactregistry.projects.locations.updateVpcscConfig": "artifactregistry.vpcscconfigs.update",
    f"{_REPOSITORIES}.aptArtifacts.import": "artifactregistry.aptartifacts.create",
    f"{_REPOSITORIES}.aptArtifacts.upload": "artifactregistry.aptartifacts.create",
    f"{_REPOSITORIES}.packages.versions.batchDelete": "artifactregistry.versions.delete",
    f"{_VERSIONS}.asymmetricSign": "cloudkms.cryptoKeyVersions.useToSign",
    f"{_VERSIONS}.getPublicKey": "cloudkms.cryptoKeyVersions.viewPublicKey",
    "dns.operations.get": "dns.managedZoneOperations.get",
    "iamcredentials.projects.serviceAccounts.generateAccessToken": "iam.serviceAccounts.getAccessToken",
    "serviceusage.services.batchEnable": "serviceusage.services.enable",
}

_MORE: Final = {
    "compute.firewalls.insert": "compute.networks.updatePolicy",
    "compute.firewalls.patch": "compute.networks.updatePolicy",
    "compute.firewalls.update": "compute.networks.updatePolicy",
    "compute.firewalls.delete": "compute.networks.updatePolicy",
    "compute.routes.insert": "compute.networks.updatePolicy",
    "compute.routes.delete": "compute.networks.updatePolicy",
}
"""What a method needs besides."""

_OPEN_OPERATIONS: Final = {"artifactregistry", "cloudresourcemanager", "iam", "serviceusage", "storage"}
"""Services without a documented permission for looking at an operation: its id, which only the caller was
told, is what lets one in."""


def permissions_of(method_id: str) -> tuple[str, ...]:
    """The permissions that a call of `method_id` asks for; none where Google names none."""
    if special := _SPECIAL.get(method_id):
        return (special,)
    service, *_, resource, verb = method_id.split(".")
    if resource.lower().endswith("operations") and service in _OPEN_OPERATIONS:
        return ()
    first = f"{_SERVICES.get(service, service)}.{resource}.{_VERBS.get(verb, verb)}"
    return (first, _MORE[method_id]) if method_id in _MORE else (first,)
